"""Tests of server/logs.py: one JSON object a line, and a broken log changes no response."""

import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from prometheus_client import REGISTRY

from attachment_gateway.server.logs import LineLogger
from graphattachments.v1.attachment_pb2 import PostRef
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.support.calls import BEARER, upload
from tests.support.processes import WITHIN_S, Process, ended, program, started
from tests.support.raw_graph import RawGraph

# RFC 9113, section 3.4, and an empty SETTINGS frame.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"

# GOAWAY: last stream 0, ENHANCE_YOUR_CALM, and debug data that a log could show.
GOAWAY_DATA = b"\0\0\0\0" + b"\0\0\0\x0b" + b"words of a peer"
GOAWAY = len(GOAWAY_DATA).to_bytes(3, "big") + b"\7\0\0\0\0\0" + GOAWAY_DATA


@contextmanager
def gateway(graph: RawGraph, **options: Any) -> Iterator[tuple[Process, str]]:
    """Run a gateway with these options for its process, and yield the process and its address."""
    command = (sys.executable, "-m", "attachment_gateway", "serve", "--listen=127.0.0.1:0")
    settings = (f"--graph-url={graph.url}", "--ledger=memory:")
    with subprocess.Popen(
        [*command, *settings], stdout=subprocess.PIPE, text=True, start_new_session=True, **options
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().split()[-1]
        finally:
            process.kill()


def attached(address: str, post: PostRef) -> str:
    """Return the id of the attachment that one upload creates."""
    with grpc.insecure_channel(address) as channel:
        call = AttachmentServiceStub(channel).UploadFileAttachment
        return call(iter(upload(post, [b"x"])), metadata=BEARER, timeout=WITHIN_S).attachment.id


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
async def test_a_full_disk_under_the_log_changes_no_response(
    graph: RawGraph, post: PostRef
) -> None:
    """Calls succeed while the log's disk is full."""
    with os.fdopen(os.open("/dev/full", os.O_WRONLY), "wb") as stderr:
        await _answers(graph, post, stderr=stderr)


async def test_a_closed_pipe_under_the_log_changes_no_response(
    graph: RawGraph, post: PostRef
) -> None:
    """Calls succeed after the reader of the log's pipe has closed it."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stderr:
        await _answers(graph, post, stderr=stderr)


async def test_a_closed_standard_error_changes_no_response(graph: RawGraph, post: PostRef) -> None:
    """Calls succeed without standard error, and no connection gets its descriptor."""
    await _answers(graph, post, preexec_fn=lambda: os.close(2))


async def _answers(graph: RawGraph, post: PostRef, **options: Any) -> None:
    def call() -> None:
        with gateway(graph, **options) as (process, address):
            assert [attached(address, post) for _ in range(3)] == ["AAMkAD="] * 3
            if "preexec_fn" in options and Path("/proc").exists():
                assert Path(f"/proc/{process.pid}/fd/2").resolve() == Path(os.devnull)

    await asyncio.to_thread(call)


def test_lines_that_cannot_be_written_are_counted() -> None:
    """A log line that can't be written is counted in `log_events_dropped_total`."""
    reading, writing = os.pipe()
    os.close(reading)

    def dropped() -> float:
        return REGISTRY.get_sample_value("attachment_gateway_log_events_dropped_total") or 0.0

    before = dropped()
    stream = os.fdopen(writing, "w")
    LineLogger(stream).info("lost")
    assert dropped() == before + 1
    with pytest.raises(BrokenPipeError):
        stream.close()
    LineLogger(stream).info("closed")
    assert dropped() == before + 2


def test_what_peers_send_is_not_logged() -> None:
    """The log has nothing of what a peer sends, which gRPC's core would write to standard error."""
    with started("serve", "--listen=127.0.0.1:0", "--ledger=memory:") as (process, line):
        host, _, port = line.split()[-1].rpartition(":")
        for sent in (PREFACE + GOAWAY, b"GET / HTTP/1.1\r\n\r\n", PREFACE + b"\xff" * 100):
            with socket.create_connection((host, int(port)), timeout=WITHIN_S) as peer:
                peer.sendall(sent)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(4096):
                    pass
        process.terminate()
        code, _, log = ended(process)
    assert code == 0
    assert [json.loads(each)["event"] for each in log.splitlines()] == ["draining", "stopped"]


GUARD = """
import os, sys

class Guard:
    def find_spec(self, name, path=None, target=None):
        if name == "grpc" and os.environ.get("GRPC_VERBOSITY") != "NONE":
            raise SystemExit("grpc is imported before GRPC_VERBOSITY is set")

sys.meta_path.insert(0, Guard())
os.environ.pop("GRPC_VERBOSITY", None)
sys.argv = ["attachment-gateway", COMMAND, "--help"]
from attachment_gateway.__main__ import main
main()
"""


@pytest.mark.parametrize("command", ["serve", "worker", "emulator", "upload", "attach"])
def test_no_command_imports_grpc_before_its_setting(command: str) -> None:
    """No command imports grpc before GRPC_VERBOSITY is set, because grpc reads it at its import."""
    code = GUARD.replace("COMMAND", repr(command))
    with program(sys.executable, "-c", code) as process:
        status, output, errors = ended(process)
    assert (status, errors) == (0, "")
    assert command in output
