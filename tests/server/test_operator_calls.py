"""Tests of server/operator_calls.py: health checks and reflection, and what they may take."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, cast

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from attachment_gateway.server.gateway import Gateway
from attachment_gateway.server.operator_calls import MAX_CALLS, READS
from tests.abuse.frames import message
from tests.abuse.raw_client import RawClient, raw_client
from tests.abuse.traffic import MIB
from tests.support.calls import Start, failure

CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

# All but the last byte of a message of 1 MiB.
UNFINISHED = message(bytes(MIB))[:-1]


def health_stub(channel: grpc.aio.Channel) -> Any:
    """Return the stub, whose methods its types don't have."""
    return health_pb2_grpc.HealthStub(channel)


def raw_check(channel: grpc.aio.Channel) -> Any:
    """Return the method Check, which takes and returns bytes."""
    return channel.unary_unary(CHECK)


@asynccontextmanager
async def unfinished(gateway: Gateway, path: str, count: int) -> AsyncIterator[RawClient]:
    """Begin calls whose first message lacks its last byte."""
    async with raw_client(gateway.address) as client:
        streams = [await client.open(path) for _ in range(count)]
        sending = asyncio.gather(*(client.send(stream, UNFINISHED) for stream in streams))
        yield client
        sending.cancel()


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECTION])
async def test_a_message_that_never_ends_ends_its_call(start: Start, path: str) -> None:
    """A call whose message doesn't come in its time ends with ABORTED."""
    gateway = await start(listen="127.0.0.1:0", stream_idle_s=0.3)
    async with unfinished(gateway, path, 1) as client, asyncio.timeout(5):
        await client.streams[1].ended.wait()
    assert client.streams[1].status == str(grpc.StatusCode.ABORTED.value[0])
    assert client.streams[1].sent_bytes == len(UNFINISHED)


@pytest.mark.parametrize("path", [CHECK, WATCH, REFLECTION])
async def test_a_caller_that_does_not_finish_gives_way(start: Start, path: str) -> None:
    """Calls that don't finish their message don't keep others from being answered."""
    gateway = await start(listen="127.0.0.1:0")
    async with (
        unfinished(gateway, path, READS + 1) as client,
        grpc.aio.insecure_channel(gateway.address) as channel,
    ):
        stub = health_stub(channel)
        checked = await stub.Check(health_pb2.HealthCheckRequest(), timeout=5)
        assert checked.status == SERVING
        async with asyncio.timeout(5):
            ends = [asyncio.create_task(each.ended.wait()) for each in client.streams.values()]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        statuses = {each.status for each in client.streams.values() if each.ended.is_set()}
        assert statuses == {str(grpc.StatusCode.RESOURCE_EXHAUSTED.value[0])}
        for end in ends:
            end.cancel()


async def test_no_more_is_received_than_is_reserved(start: Start) -> None:
    """Of a call that waits to be read, only what fits the stream's window is received."""
    gateway = await start(listen="127.0.0.1:0")
    async with unfinished(gateway, CHECK, READS + 3) as client:
        await asyncio.sleep(0.2)
        sent = sorted(each.sent_bytes for each in client.streams.values())
    assert sent[3:] == [len(UNFINISHED)] * READS
    assert max(sent[:3]) < 100_000


async def test_bytes_that_are_no_request_are_refused(start: Start) -> None:
    """Bytes that aren't a request are told so, and the server goes on."""
    gateway = await start()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        failed = await failure(raw_check(channel)(b"\xff\xff"))
        assert (failed.code.name, failed.info.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST")
        stub = health_stub(channel)
        assert (await stub.Check(health_pb2.HealthCheckRequest())).status == SERVING


async def test_watches_have_a_limit(start: Start) -> None:
    """One watch more than MAX_CALLS is refused, and those that there are go on."""
    gateway = await start()
    async with grpc.aio.insecure_channel(gateway.address) as channel, AsyncExitStack() as stack:
        stub = health_stub(channel)
        request = health_pb2.HealthCheckRequest()
        watches = [stub.Watch(request) for _ in range(MAX_CALLS)]
        for watch in watches:
            stack.callback(watch.cancel)
            assert (await watch.read()).status == SERVING
        failed = await failure(raw_check(channel)(b""))
        assert failed.info.reason == "GATEWAY_OVERLOADED"
        await gateway.health.set("", NOT_SERVING)
        assert (await watches[-1].read()).status == NOT_SERVING


async def test_a_watch_that_is_not_read_delays_no_change(start: Start) -> None:
    """A caller that doesn't read its watch delays neither a change of health nor other watches."""
    gateway = await start(listen="127.0.0.1:0")
    async with (
        raw_client(gateway.address, window_bytes=0) as client,
        grpc.aio.insecure_channel(gateway.address) as channel,
    ):
        stream = await client.open(WATCH)
        await client.send(stream, message(b""), end=True)
        await asyncio.sleep(0.2)
        watch = health_stub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == SERVING
        async with asyncio.timeout(5):
            await gateway.health.set("", NOT_SERVING)
            assert (await watch.read()).status == NOT_SERVING
        watch.cancel()


async def test_a_reflection_call_takes_several_requests(start: Start) -> None:
    """Reflection answers each request of a call in turn."""
    gateway = await start()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", channel))
        requests = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="no.such.Symbol"),
        ]
        answers = [each async for each in stub.ServerReflectionInfo(iter(requests))]
    assert answers[0].HasField("list_services_response")
    assert answers[1].error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
