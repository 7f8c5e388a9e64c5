"""A raw Graph: it records each request to the byte, and sends the responses of a script."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Handler = Callable[["Exchange"], Awaitable[None]]

CREATED: dict[str, Any] = {
    "@odata.type": "#microsoft.graph.fileAttachment",
    "id": "AAMkAD=",
    "lastModifiedDateTime": "2026-03-01T09:00:00Z",
    "name": "report.pdf",
    "contentType": None,
    "size": 1053,
    "isInline": False,
}


@dataclass
class Received:
    """One request, to the byte."""

    raw: bytes
    head: bytes
    body: bytes

    @property
    def request_line(self) -> str:
        return self.head.split(b"\r\n")[0].decode()

    @property
    def headers(self) -> dict[str, str]:
        lines = self.head.split(b"\r\n")[1:]
        return dict(line.decode().split(": ", 1) for line in lines if line)

    @property
    def json(self) -> dict[str, Any]:
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass
class Exchange:
    """One request whose head was read, and its connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    head: bytes
    graph: "RawGraph"

    @property
    def reads(self) -> bool:
        """Whether the request is a GET."""
        return self.head.startswith(b"GET ")

    async def body(self, size: int | None = None) -> bytes:
        """Read `size` bytes of the body, by default all of it."""
        headers = Received(b"", self.head, b"").headers
        length = int(
            {name.lower(): value for name, value in headers.items()}.get("content-length", 0)
        )
        return await self.reader.readexactly(length if size is None else size)

    async def receive(self) -> None:
        """Read the whole request and record it."""
        body = await self.body()
        received = Received(self.head + body, self.head, body)
        (self.graph.reads if self.reads else self.graph.received).append(received)

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Reset the connection."""
        linger = struct.pack("ii", 1, 0)
        self.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.writer.transport.abort()


def answer(
    status: int = 201,
    body: bytes | dict[str, Any] | None = None,
    *,
    delay_s: float = 0,
    close: bool = False,
    **headers: str,
) -> Handler:
    """Return a handler that reads the request and responds; headers by name, with _ for -."""
    if body is None:
        body = CREATED
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"Content-Length: {len(data)}", *lines, "", ""])

    async def handle(exchange: Exchange) -> None:
        await exchange.receive()
        await asyncio.sleep(delay_s)
        await exchange.send(head.encode() + data)
        if close:
            exchange.writer.close()

    return handle


def error(status: int, code: str, message: str = "", **headers: Any) -> Handler:
    """Return a handler that responds with an error of Graph's form."""
    return answer(status, {"error": {"code": code, "message": message}}, **headers)


@dataclass
class RawGraph:
    """A server with a handler for each request, in the order of a script.

    `script` is for POSTs, and 201 after its end; `read_script` for GETs, and an empty list after
    its end.
    """

    scheme: str = "http"
    port: int = 0
    received: list[Received] = field(default_factory=list)
    reads: list[Received] = field(default_factory=list)
    script: list[Handler] = field(default_factory=list)
    read_script: list[Handler] = field(default_factory=list)
    connections: int = 0
    tasks: set[asyncio.Task[Any]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1.0"

    def _handler(self, exchange: Exchange) -> Handler:
        if exchange.reads:
            return self.read_script.pop(0) if self.read_script else answer(200, {"value": []})
        return self.script.pop(0) if self.script else answer()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                exchange = Exchange(reader, writer, head, self)
                await self._handler(exchange)(exchange)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return
        finally:
            self.tasks.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


@asynccontextmanager
async def raw_graph(tls: ssl.SSLContext | None = None) -> AsyncIterator[RawGraph]:
    """Run a raw Graph on a free port."""
    graph = RawGraph(scheme="http" if tls is None else "https")
    server = await asyncio.start_server(graph.serve, "127.0.0.1", 0, ssl=tls)
    graph.port = server.sockets[0].getsockname()[1]
    try:
        yield graph
    finally:
        server.close()
        for task in graph.tasks:
            task.cancel()
        if graph.tasks:
            await asyncio.wait(graph.tasks)


async def hang(exchange: Exchange) -> None:
    """Receive the request and send no response for 60 s."""
    await exchange.receive()
    await asyncio.sleep(60)
