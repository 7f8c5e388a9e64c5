"""network: the sockets below httpx's transport."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpcore2
import pytest

from attachment_gateway.network import GATHER_BYTES, READ_AHEAD_BYTES, Network, Stream

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Stream, Peer]]:
    """A connection, and its other end."""
    arrived: asyncio.Queue[Peer] = asyncio.Queue()

    async def arrive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await arrived.put((reader, writer))

    server = await asyncio.start_server(arrive, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        stream = await Network().connect_tcp("127.0.0.1", port, timeout=5)
        assert isinstance(stream, Stream)
        peer = await arrived.get()
        yield stream, peer
        await stream.aclose()
        peer[1].close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 there is no event for it
            await asyncio.sleep(0.01)


async def test_small_pieces_go_together() -> None:
    """At the latest when the answer is read; large ones at once."""
    async with connected() as (stream, (reader, writer)):
        await stream.write(b"GET ")
        await stream.write(b"/")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.05)
        writer.write(b"200")
        assert await stream.read(100, timeout=5) == b"200"
        assert await reader.readexactly(5) == b"GET /"
        await stream.write(bytes(GATHER_BYTES))
        assert await reader.readexactly(GATHER_BYTES) == bytes(GATHER_BYTES)


async def test_reading_no_more_than_asked_for() -> None:
    """The rest is for the next time."""
    async with connected() as (stream, (_, writer)):
        writer.write(b"abc")
        assert await stream.read(2, timeout=5) == b"ab"
        assert await stream.read(2, timeout=5) == b"c"


async def test_the_end() -> None:
    """Is nothing to read, and then nothing to write to."""
    async with connected() as (stream, (_, writer)):
        writer.close()
        assert await stream.read(2, timeout=5) == b""
        assert stream.get_extra_info("is_readable")
        await stream.write(b"x")
        with pytest.raises(httpcore2.WriteError):
            await stream.read(1, timeout=5)


async def test_a_reset() -> None:
    """Is a ReadError."""
    async with connected() as (stream, (_, writer)):
        linger = b"\1\0\0\0\0\0\0\0"
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        with pytest.raises(httpcore2.ReadError):
            await stream.read(1, timeout=5)


async def test_what_does_not_come_or_go_in_time() -> None:
    """Each wait has its own error."""
    async with connected() as (stream, (_, writer)):
        with pytest.raises(httpcore2.ReadTimeout):
            await stream.read(1, timeout=0.05)
        writer.transport.pause_reading()
        with pytest.raises(httpcore2.WriteTimeout):
            await stream.write(bytes(40_000_000), timeout=0.2)


async def test_what_is_slow_to_go_is_waited_for() -> None:
    """Until the socket has taken it."""
    async with connected() as (stream, (reader, writer)):
        writer.transport.pause_reading()
        writing = asyncio.create_task(stream.write(bytes(40_000_000), timeout=20))
        await asyncio.sleep(0.1)
        assert not writing.done()
        writer.transport.resume_reading()
        await reader.readexactly(40_000_000)
        await writing


async def test_no_listener() -> None:
    """Is a ConnectError, which tells that nothing has left."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(httpcore2.ConnectError):
        await Network().connect_tcp("127.0.0.1", port, timeout=5)


async def test_who_sends_much_is_held_back() -> None:
    """What isn't read yet doesn't fill the memory."""
    async with connected() as (stream, (_, writer)):
        writer.write(bytes(20_000_000))
        await asyncio.sleep(0.3)
        assert len(stream._incoming) < 2 * READ_AHEAD_BYTES + 300_000
        left = 20_000_000
        while left:
            left -= len(await stream.read(65536, timeout=5))


async def test_whether_an_answer_was_asked_for() -> None:
    """Only if it was waited for after the last write."""
    async with connected() as (stream, (_, writer)):
        await stream.write(b"x")
        assert not stream.asked
        writer.write(b"y")
        await stream.read(1, timeout=5)
        assert stream.asked
        await stream.write(b"x")
        assert not stream.asked


async def test_closing_resets() -> None:
    """Nothing that is under way arrives later."""
    async with connected() as (stream, (reader, _)):
        await stream.aclose()
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
