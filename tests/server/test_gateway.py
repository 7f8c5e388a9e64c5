"""Tests of server/gateway.py and __main__.py: starting, serving, draining and stopping."""

import asyncio
import json
import re
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from graphattachments.v1.attachment_pb2 import PostRef
from graphattachments.v1.attachment_service_pb2 import UploadFileAttachmentRequest
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.abuse.frames import Flag, Kind, frame
from tests.abuse.raw_client import raw_client
from tests.support.calls import BEARER, Start, failure, upload
from tests.support.processes import run, started
from tests.support.raw_graph import RawGraph, answer, hang

SERVICE = "graphattachments.v1.AttachmentService"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def ended(process: subprocess.Popen[str]) -> tuple[int, str, list[dict[str, object]]]:
    """Return the exit code, the rest of standard output, and the log's events."""
    out, err = await asyncio.to_thread(process.communicate, timeout=30)
    return process.returncode, out, [json.loads(line) for line in err.splitlines()]


async def test_serve_prints_its_port_and_sigterm_stops_it() -> None:
    """Standard output has one line, with the port, and SIGTERM ends the process with 0."""
    with started("serve", "--listen", "127.0.0.1:0") as (process, line):
        assert re.fullmatch(r"listening on 127\.0\.0\.1:[1-9]\d*", line)
        process.send_signal(signal.SIGTERM)
        code, out, log = await ended(process)
    assert (code, out) == (0, "")
    assert [entry["event"] for entry in log] == ["draining", "stopped"]


async def test_a_server_that_takes_no_calls_ends_its_process(graph: RawGraph) -> None:
    """After a call that ends gRPC's loop the process ends by itself, with 1 and in JSON."""
    command = ("serve", "--listen", "127.0.0.1:0", "--graph-url", graph.url)
    with started(*command) as (process, line):
        async with raw_client(line.split()[-1]) as client:
            headers = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/\xc0/b")]
            usual = [(b":authority", b"x"), (b"te", b"trailers")]
            usual.append((b"content-type", b"application/grpc"))
            block = b"".join(
                b"\x00%c%b%c%b" % (len(name), name, len(value), value)
                for name, value in (*headers, *usual)
            )
            await client.write(frame(Kind.HEADERS, block, flags=Flag.END_HEADERS, stream=1))
            code, out, log = await ended(process)
    assert out == ""
    assert "server_failed" in [entry["event"] for entry in log]
    assert {entry["event"] for entry in log} <= {"server_failed", "library"}
    assert code in {1, -signal.SIGSEGV}  # grpc 1.85 sometimes crashes after that


async def test_serve_may_open_as_many_files_as_it_is_let(
    tmp_path: Path,
) -> None:
    """The soft limit of open files is raised to the hard one, or to 65,536 below it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 1000), hard))
    try:
        with started("serve", "--listen", f"unix:{tmp_path}/gw.sock") as (process, _):
            raised, _ = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert raised == (65_536 if hard == resource.RLIM_INFINITY else min(65_536, hard))


async def test_serve_takes_a_unix_socket_from_the_environment(
    tmp_path: Path, graph: RawGraph, post: PostRef
) -> None:
    """The gateway serves on a unix socket, and takes its settings from the environment."""
    address = f"unix:{tmp_path}/gw.sock"
    settings = {
        "ATTACHMENT_GATEWAY_LISTEN": address,
        "ATTACHMENT_GATEWAY_GRAPH_URL": graph.url,
        "ATTACHMENT_GATEWAY_TYPO": "x",
    }
    with started("serve", **settings) as (process, line):
        assert line == f"listening on {address}"
        async with grpc.aio.insecure_channel(address) as channel:
            stub = AttachmentServiceStub(channel)
            response = await stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
        assert response.attachment.id == "AAMkAD="
        process.send_signal(signal.SIGINT)
        code, _, log = await ended(process)
    assert code == 0
    assert {"event": "unknown_setting", "name": "ATTACHMENT_GATEWAY_TYPO"}.items() <= log[0].items()
    assert {"event": "call", "code": "OK", "method": "UploadFileAttachment"}.items() <= log[
        1
    ].items()


async def test_the_log_has_no_secrets(graph: RawGraph, post: PostRef) -> None:
    """A failed call is one event without token, name or content."""
    with started("serve", "--listen=127.0.0.1:0", f"--graph-url={graph.url}") as (process, line):
        async with grpc.aio.insecure_channel(line.split()[-1]) as channel:
            stub = AttachmentServiceStub(channel)
            secret = (("authorization", "Bearer secret-token"),)
            requests = upload(post, [b"secret-content"], size_bytes=1)
            await failure(stub.UploadFileAttachment(requests, metadata=secret))
        process.send_signal(signal.SIGTERM)
        _, _, log = await ended(process)
    assert [entry["event"] for entry in log] == ["call", "draining", "stopped"]
    assert log[0]["reason"] == "SIZE_MISMATCH"
    assert "secret" not in json.dumps(log)
    assert "report.pdf" not in json.dumps(log)


UNFORESEEN = """
import structlog
from attachment_gateway.server import logs

def fail(token):
    raise RuntimeError("what happened")

logs.to_standard_error("info")
try:
    fail("secret")
except RuntimeError:
    structlog.get_logger().exception("unforeseen")
"""


def test_a_logged_traceback_has_no_secrets() -> None:
    """A logged traceback has the functions, and not the values of their variables."""
    finished = subprocess.run(
        [sys.executable, "-c", UNFORESEEN], capture_output=True, text=True, check=True, timeout=30
    )
    [entry] = [json.loads(line) for line in finished.stderr.splitlines()]
    assert entry["exception"][0]["exc_value"] == "what happened"
    assert entry["exception"][0]["frames"][-1]["name"] == "fail"
    assert "secret" not in finished.stderr


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["--listen", "nowhere"], "listen is 'nowhere'"),
        (["--graph-url", "http://example.com"], "plain http to loopback only"),
        (["--max-request-bytes", "many"], "'many' is not a valid integer"),
        (["--drain-s", "-1"], "drain_s is -1.0"),
    ],
)
def test_a_wrong_setting_is_a_usage_error(command: list[str], words: str) -> None:
    """A wrong setting ends the process with a usage error that names it."""
    finished = run("serve", *command)
    assert finished.returncode == 2
    assert words in finished.stderr
    assert finished.stdout == ""


def test_a_port_in_use_is_a_usage_error() -> None:
    """A port that another gateway uses is a usage error, and isn't shared."""
    with started("serve", "--listen=127.0.0.1:0") as (_, line):
        finished = run("serve", "--listen", line.split()[-1])
    assert finished.returncode == 2
    assert "can't be bound" in finished.stderr


async def test_health_has_the_server_and_the_service(start: Start) -> None:
    """The health of the server and the service is SERVING, and NOT_SERVING during the drain."""
    gateway = await start()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)
        for name in ("", SERVICE):
            request = health_pb2.HealthCheckRequest(service=name)
            assert (await stub.Check(request)).status == SERVING
        await gateway.health.enter_graceful_shutdown()
        assert (await stub.Check(request)).status == NOT_SERVING


async def test_reflection_lists_the_services_and_error_details(start: Start) -> None:
    """Reflection lists the services and has the types of the error details."""
    gateway = await start()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        # The stub's types allow synchronous channels only.
        stub: Any = reflection_pb2_grpc.ServerReflectionStub(cast("Any", channel))
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="google.rpc.ErrorInfo"),
        ]
        listed, details = [got async for got in stub.ServerReflectionInfo(iter(asked))]
    names = {service.name for service in listed.list_services_response.service}
    assert names == {SERVICE, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert details.file_descriptor_response.file_descriptor_proto


async def test_a_drain_lets_calls_finish(start: Start, graph: RawGraph, post: PostRef) -> None:
    """A call in progress finishes during the drain."""
    graph.script = [answer(delay_s=0.5)]
    gateway = await start()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        call = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
        await asyncio.sleep(0.2)
        draining = asyncio.create_task(gateway.drain(10))
        assert (await call).attachment.id == "AAMkAD="
        assert gateway.calls._is_draining
        async with asyncio.timeout(5):
            await draining


async def test_the_end_of_the_grace_answers_unfinished_calls(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """Before the grace ends, an unclear attempt is UNKNOWN and an unfinished upload UNAVAILABLE."""
    graph.script = [hang]
    gateway = await start()

    async def endless() -> AsyncIterator[UploadFileAttachmentRequest]:
        yield next(upload(post, []))
        await asyncio.sleep(60)

    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        sending = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
        reading = stub.UploadFileAttachment(endless(), metadata=BEARER)
        await asyncio.sleep(0.3)
        draining = asyncio.create_task(gateway.drain(0.6))
        unknown, refused = await asyncio.gather(failure(sending), failure(reading))
        async with asyncio.timeout(5):
            await draining
    assert (unknown.code, unknown.info.reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")
    assert (refused.code, refused.info.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "GATEWAY_DRAINING",
    )
    assert refused.trailers["grpc-retry-pushback-ms"] == "1000"
    assert len(graph.received) == 1


async def test_a_call_during_the_drain_is_refused(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A call that arrives during the drain is GATEWAY_DRAINING, and nothing is sent."""
    gateway = await start()
    gateway.calls.drain()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        refused = await failure(stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER))
    assert refused.info.reason == "GATEWAY_DRAINING"
    assert graph.connections == 0


async def test_an_old_connection_is_replaced_without_losing_calls(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A connection older than `connection_age_s` is replaced, and its calls finish."""
    gateway = await start(connection_age_s=0.3)

    async def slow() -> AsyncIterator[UploadFileAttachmentRequest]:
        for request in upload(post, [b"x"] * 4):
            yield request
            await asyncio.sleep(0.3)

    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        under_way = stub.UploadFileAttachment(slow(), metadata=BEARER)
        for _ in range(4):
            await stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
            await asyncio.sleep(0.3)
        await under_way
    assert len(graph.received) == 5


async def test_a_drain_waits_for_attempts_of_cancelled_calls(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """The drain waits for an attempt whose call was cancelled."""
    graph.script = [answer(delay_s=0.6)]
    gateway = await start()
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        call = AttachmentServiceStub(channel).UploadFileAttachment(
            upload(post, [b"x"]), metadata=BEARER
        )
        await asyncio.sleep(0.3)
        call.cancel()
    await gateway.drain(10)
    assert not gateway.runner._running
    assert len(graph.received) == 1


async def test_sigterm_answers_the_calls_in_progress(graph: RawGraph, post: PostRef) -> None:
    """After SIGTERM each call in progress is answered, and the process exits with 0."""
    graph.script = [answer(delay_s=0.5), answer(delay_s=0.5)]
    command = ("serve", "--listen=127.0.0.1:0", f"--graph-url={graph.url}", "--drain-s=10")
    with started(*command) as (process, line):
        async with grpc.aio.insecure_channel(line.split()[-1]) as channel:
            stub = AttachmentServiceStub(channel)
            calls = [
                stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER) for _ in range(2)
            ]
            await asyncio.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            answers = await asyncio.gather(*calls)
        code, _, _ = await ended(process)
    assert [got.attachment.id for got in answers] == ["AAMkAD=", "AAMkAD="]
    assert code == 0


def test_the_emulator_without_its_extra_says_what_to_install() -> None:
    """Without its extra the emulator's command says what to install."""
    blocked = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from attachment_gateway.__main__ import main; main()"
    )
    finished = subprocess.run(
        [sys.executable, "-c", blocked, "emulator"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert finished.returncode == 1
    assert "pip install 'attachment-gateway[emulator]'" in finished.stderr


async def test_an_upload_over_the_mailboxes_limit_is_refused(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """An upload over the mailbox's limit isn't sent, and the error says when to come again."""
    gateway = await start(mailbox_upload_bytes=1500)
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        await stub.UploadFileAttachment(upload(post, [bytes(600)]), metadata=BEARER)
        call = stub.UploadFileAttachment(upload(post, [bytes(600)]), metadata=BEARER, timeout=5)
        failed = await failure(call)
        assert (failed.code.name, failed.info.reason) == ("RESOURCE_EXHAUSTED", "MAILBOX_LIMIT")
        assert 200_000 < int(failed.trailers["grpc-retry-pushback-ms"]) <= 305_000
        post.group_id = "another"
        await stub.UploadFileAttachment(upload(post, [bytes(600)]), metadata=BEARER)
    assert len(graph.received) == 2


async def test_nothing_is_sent_without_a_ledger(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """If the ledger is unavailable, nothing is sent, and the error is LEDGER_UNAVAILABLE."""
    gateway = await start(ledger="redis://127.0.0.1:9/0")
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        failed = await failure(stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER))
    assert (failed.code.name, failed.info.reason) == ("UNAVAILABLE", "LEDGER_UNAVAILABLE")
    assert "RetryInfo" in failed.details
    assert graph.connections == 0


def test_a_ledger_that_cannot_be_opened_is_a_usage_error() -> None:
    """A ledger whose path can't be created is a usage error that names the setting."""
    finished = run("serve", "--listen=127.0.0.1:0", "--ledger=sqlite:////proc/x/ledger")
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "ledger" in finished.stderr
