"""Graph's end of a connection, which a test reads and writes itself."""

import asyncio
import functools
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trustme

from attachment_gateway.http1.connection import Connection
from attachment_gateway.http1.origin import Origin
from attachment_gateway.http1.response_parser import ResponseParser

CREATED = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


SMALL = (b"POST / HTTP/1.1\r\n\r\n", b'{"a":', b"1}")


@functools.cache
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return TLS contexts of a server, and of a client that trusts it."""
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server, client


@dataclass
class Peer:
    """Graph's end of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def descriptor(self) -> int:
        number: int = self.writer.get_extra_info("socket").fileno()
        return number

    async def response(self, request: tuple[bytes, ...], data: bytes = CREATED) -> None:
        """Read the whole request, check that it is this one, and write the response."""
        wire = b"".join(request)
        assert await self.reader.readexactly(len(wire)) == wire
        self.writer.write(data)

    def end_by_reset(self) -> None:
        its = self.writer.get_extra_info("socket")
        if its is not None:  # None if the connection has ended already
            its.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            self.writer.transport.abort()

    async def reset(self) -> bool:
        """Read to the end, and return whether the connection was reset."""
        try:
            async with asyncio.timeout(10):
                while await self.reader.read(1_000_000):
                    pass
        except ConnectionResetError:
            return True
        return False


@dataclass
class Listener:
    """A listening socket's address, and the connections that have arrived."""

    scheme: str
    port: int
    arrived: asyncio.Queue[Peer] = field(default_factory=asyncio.Queue)

    @property
    def root(self) -> Origin:
        return Origin(self.scheme, f"127.0.0.1:{self.port}")

    async def connect(self, *, timeout_s: float = 10) -> tuple[Connection, Peer]:
        connection = await Connection.connect(self.root, contexts()[1], timeout_s=timeout_s)
        return connection, await self.arrived.get()


@asynccontextmanager
async def listening(scheme: str) -> AsyncIterator[Listener]:
    """Listen with a small receive buffer of the kernel's."""
    listener = Listener(scheme, 0)
    peers: list[Peer] = []

    async def arrive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        its = writer.get_extra_info("socket")
        its.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        peers.append(Peer(reader, writer))
        await listener.arrived.put(peers[-1])

    server = socket.create_server(("127.0.0.1", 0))
    server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    listener.port = server.getsockname()[1]
    tls = contexts()[0] if scheme == "https" else None
    running = await asyncio.start_server(arrive, sock=server, ssl=tls)
    try:
        yield listener
    finally:
        running.close()
        for peer in peers:
            peer.writer.transport.abort()
        await asyncio.sleep(0.01)


def small_buffer(connection: Connection) -> None:
    """Give a connection a small send buffer of the kernel's."""
    its = connection._tcp.get_extra_info("socket")
    its.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)


@asynccontextmanager
async def connected(
    scheme: str = "http", *, timeout_s: float = 10
) -> AsyncIterator[tuple[Connection, Peer]]:
    """Yield a connection and its other end."""
    async with listening(scheme) as listener:
        connection, peer = await listener.connect(timeout_s=timeout_s)
        small_buffer(connection)
        yield connection, peer
        connection.reset()


async def exchange(
    connection: Connection,
    request: tuple[bytes, ...],
    *,
    may_offer: Callable[[], bool] = lambda: True,
    timeout_s: float = 10,
) -> ResponseParser:
    """Send a request and return the parsed response; the exchange must end within 30 s."""
    response = ResponseParser(max_body_bytes=1000)
    async with asyncio.timeout(30):
        await connection.exchange(request, response, may_offer=may_offer, timeout_s=timeout_s)
    return response


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 there is no event for it
            await asyncio.sleep(0.005)
