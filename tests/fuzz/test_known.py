"""Each known violation, by a literal input: a row of KNOWN is removed when its test passes."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from tests.fuzz.draws import CANARY
from tests.fuzz.frame_draws import Connection
from tests.fuzz.http2 import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    Frame,
    header_block,
)
from tests.fuzz.wire_frames import run
from tests.fuzz.wire_gateway import gateway


def connection(path: bytes, authorization: bytes) -> Connection:
    """Return a call with an empty message."""
    headers = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path),
        (b":authority", b"gateway"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"authorization", authorization),
    ]
    frames = (
        Frame(SETTINGS, 0, 0, b""),
        Frame(HEADERS, END_HEADERS, 1, header_block(headers)),
        Frame(DATA, END_STREAM, 1, bytes(5)),
    )
    wire = PREFACE + b"".join(frame.encoded() for frame in frames)
    return Connection(wire=wire, read_s=2.0, half_closes=False)


async def broken_by(folder: Path, path: bytes, authorization: bytes) -> list[str]:
    """Make a call to a gateway, then another connection; return what is broken."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    async with gateway(listen, "http://127.0.0.1:9/v1.0", folder, None) as process:
        await run(listen, connection(path, authorization))
        await asyncio.sleep(0.1)
        await run(listen, connection(path, authorization))
        return await process.end()


@pytest.mark.xfail(raises=(ConnectionError, AssertionError), strict=True)
async def test_a_path_that_is_not_utf8_stops_no_server(tmp_path: Path) -> None:
    """A call of a path that isn't UTF-8 is refused, and the next connection is taken."""
    assert await broken_by(tmp_path, b"/\xc0/b", b"Bearer x") == []


async def test_a_header_that_is_not_utf8_is_not_logged(tmp_path: Path) -> None:
    """A token that isn't UTF-8 is in no line of the log, and the log is JSON."""
    token = f"Bearer {CANARY}".encode() + b"\xc0"
    path = b"/graphattachments.v1.AttachmentService/CreateAttachment"
    assert await broken_by(tmp_path, path, token) == []


@pytest.mark.parametrize(
    "path",
    [
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    ],
)
async def test_bytes_that_are_no_message_are_refused_without_a_text(
    path: str, tmp_path: Path
) -> None:
    """Health and reflection refuse bytes that are no message, without an exception's text."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    async with (
        gateway(listen, "http://127.0.0.1:9/v1.0", tmp_path, None) as process,
        grpc.aio.insecure_channel(listen) as channel,
    ):
        call: Any = channel.unary_unary(path)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"\xe7")
        broken = await process.end()
    assert (caught.value.code(), broken) == (grpc.StatusCode.INVALID_ARGUMENT, [])
