"""The least that a gRPC server in Python can do; no contestant on the same stack can cost less.

A gRPC server with the gateway's options, on uvloop, reads the stream and drops it, then sends a
prepared request of the right size over an open socket, and reads the response.
"""

import argparse
import asyncio
import re
from collections.abc import AsyncIterable
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

import grpc.aio
import uvloop

from attachment_gateway.server.options import server_options
from attachment_gateway.settings import Settings
from benchmarks.traffic import CONTENT_TYPE, NAME, ROOT, TOKEN, posts
from graphattachments.v1.attachment_pb2 import Attachment
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    CreateAttachmentResponse,
    UploadFileAttachmentRequest,
    UploadFileAttachmentResponse,
)
from graphattachments.v1.attachment_service_pb2_grpc import (
    AttachmentServiceServicer,
    add_AttachmentServiceServicer_to_server,
)

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_ANSWER = UploadFileAttachmentResponse(attachment=Attachment(id="AAMkAG=", name=NAME, size=1053))


@cache
def request_of(host: str, size_bytes: int) -> bytes:
    """Return a request about as large as the gateway's for a file of `size_bytes`."""
    content = b"A" * (-(-size_bytes // 3) * 4)
    before = (
        f'{{"@odata.type":"#microsoft.graph.fileAttachment","name":"{NAME}",'
        f'"contentType":"{CONTENT_TYPE}","contentBytes":"'
    ).encode()
    length = len(before) + len(content) + 2
    head = (
        f"POST {ROOT}{next(posts()).path} HTTP/1.1\r\nHost: {host}\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {length}\r\nAccept: application/json\r\n\r\n"
    ).encode()
    return b"".join((head, before, content, b'"}'))


class Connection(asyncio.Protocol):
    """A bare socket to Graph."""

    def __init__(self) -> None:
        self._received = b""
        self._answered: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's type doesn't inherit it

    def data_received(self, data: bytes) -> None:
        """Take a part of the response."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _CONTENT_LENGTH.search(head)
        if end and length and len(body) == int(length[1]) and self._answered:
            self._received = b""
            self._answered.set_result(body)

    async def exchange(self, request: bytes) -> bytes:
        """Send a request, and return the response's body."""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answered


class Floor(AttachmentServiceServicer):
    """The service without its actual work."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._idle: list[Connection] = []

    async def UploadFileAttachment(  # noqa: N802 the contract's name
        self, request_iterator: AsyncIterable[UploadFileAttachmentRequest], _context: Any
    ) -> UploadFileAttachmentResponse:
        """Read the stream, send a request of the same size, and read the response."""
        size_bytes = 0
        async for request in request_iterator:
            size_bytes += len(request.chunk)
        connection = self._idle.pop() if self._idle else await self._connected()
        await connection.exchange(request_of(self._host, size_bytes))
        self._idle.append(connection)
        return _ANSWER

    async def _connected(self) -> Connection:
        host, _, port = self._host.rpartition(":")
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(Connection, host, int(port))
        return connection

    async def CreateAttachment(  # noqa: N802 the contract's name
        self, _request: CreateAttachmentRequest, context: Any
    ) -> CreateAttachmentResponse:
        """Abort with UNIMPLEMENTED: it isn't measured."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "uploads only")
        raise NotImplementedError


async def serve(graph_url: str) -> None:
    """Serve until killed."""
    server = grpc.aio.server(options=server_options(Settings(), share_port=False))
    add_AttachmentServiceServicer_to_server(Floor(urlsplit(graph_url).netloc), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph-url", required=True)
    uvloop.run(serve(parser.parse_args().graph_url))


if __name__ == "__main__":
    main()
