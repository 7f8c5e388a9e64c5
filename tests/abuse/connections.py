"""Attacks by connections that do little, and by clients that read nothing."""

import asyncio
from functools import partial

from grpc_reflection.v1alpha.reflection_pb2 import ServerReflectionRequest

from tests.abuse import frames, traffic
from tests.abuse.attack import Attack, Outcome, Target, during, on_connections, paced, seen
from tests.abuse.frames import Kind, message
from tests.abuse.raw_client import RawClient
from tests.abuse.traffic import MB, OTHER


async def _idle(target: Target, *, number: int, start: bytes, to_operator: bool = False) -> Outcome:
    """Open connections, write a start on each, and keep them."""
    address = target.operator_address if to_operator else target.address
    host, _, port = address.rpartition(":")
    kept: list[asyncio.StreamWriter] = []
    refused = 0

    async def connect() -> None:
        nonlocal refused
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            refused += 1
            return
        kept.append(writer)
        writer.write(start)

    await during(target, [connect() for _ in range(number)])
    for writer in kept:
        writer.transport.abort()
    return Outcome(notes={"connections": len(kept), "refused": refused})


async def _reconnecting(target: Target) -> Outcome:
    """Connect and close again, 300 times a second."""
    host, _, port = target.address.rpartition(":")
    made = 0

    async def once() -> None:
        nonlocal made
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(frames.PREFACE + frames.settings({}))
        made += 1
        writer.close()

    async def some(number: int) -> None:
        await asyncio.gather(*(once() for _ in range(number)), return_exceptions=True)

    await during(target, [paced(300, some)])
    return Outcome(notes={"connections": made})


async def _unread_answers(target: Target) -> Outcome:
    """Create items that Graph echoes, with windows of 0 bytes for the answers."""

    async def stream(client: RawClient) -> None:
        request = traffic.item(traffic.post("echo"), 2_900_000)
        its = await client.open(traffic.CREATE, OTHER)
        await client.send(its, message(request.SerializeToString()), end=True)

    async def work(client: RawClient) -> None:
        await asyncio.gather(*(stream(client) for _ in range(5)))

    return seen(await on_connections(target, 8, work, window_bytes=0))


async def _unread_reflection(target: Target, *, window_bytes: int, reads: bool) -> Outcome:
    """Ask reflection for the largest answer, again and again, and read nothing."""
    asked = ServerReflectionRequest(file_containing_symbol="graphattachments.v1.AttachmentService")
    one = message(asked.SerializeToString())

    async def stream(client: RawClient) -> None:
        its = await client.open(traffic.REFLECTION, OTHER)
        await client.send(its, one * 200)

    async def work(client: RawClient) -> None:
        await asyncio.gather(*(stream(client) for _ in range(40)))

    return seen(await on_connections(target, 5, work, window_bytes=window_bytes, reads=reads))


ATTACKS = (
    Attack(
        name="preface-only",
        about="300 connections that send the preface and nothing more",
        run=partial(_idle, number=300, start=frames.PREFACE + frames.settings({})),
    ),
    Attack(
        name="silent-connections",
        about="300 connections that never send the preface",
        run=partial(_idle, number=300, start=b""),
    ),
    Attack(
        name="no-descriptors",
        about="1,100 silent connections to a gateway with 1,024 descriptors (CVE-2023-4785)",
        run=partial(_idle, number=1_100, start=b""),
    ),
    Attack(
        name="goaway-of-16-mib",
        about="300 connections with a GOAWAY frame that announces 16 MiB (grpc/grpc#42095)",
        run=partial(
            _idle,
            number=300,
            start=frames.PREFACE
            + frames.settings({})
            + frames.head(Kind.GOAWAY, frames.MAX_FRAME_BYTES)
            + bytes(8),
        ),
    ),
    Attack(
        name="half-scrapes",
        about="300 connections to the operator's port, each with half a request",
        run=partial(_idle, number=300, start=b"GET /metrics HTTP/1.1\r\nHost:", to_operator=True),
    ),
    Attack(
        name="reconnecting",
        about="300 connections a second that are closed after the preface",
        run=_reconnecting,
    ),
    Attack(
        name="unread-answers",
        about="40 items of 2.9 MB that Graph echoes, with windows of 0 bytes for the answers",
        run=_unread_answers,
    ),
    Attack(
        name="unread-reflection",
        about="40,000 questions to reflection on 200 calls, with windows of 0 bytes",
        run=partial(_unread_reflection, window_bytes=0, reads=True),
    ),
    Attack(
        name="unread-socket",
        about="the same with open windows, on sockets that nobody reads (CVE-2019-9517)",
        run=partial(_unread_reflection, window_bytes=100 * MB, reads=False),
    ),
)
