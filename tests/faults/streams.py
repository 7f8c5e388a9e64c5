"""Passing bytes between connections in a shape, and the ways to end a connection."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

from tests.faults.wire_faults import Shape

READ_BYTES = 64 * 1024

# struct linger {on, seconds}: with zero seconds, closing sends RST instead of FIN (socket(7)).
_LINGER_NOT = struct.pack("ii", 1, 0)

# The exceptions of a connection's end; IncompleteReadError is a FIN in the middle of a message.
GONE = (ConnectionError, asyncio.IncompleteReadError, TimeoutError, OSError)


class Link:
    """One connection as a reader and a writer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self._writer = writer

    async def head(self) -> bytes:
        """Read up to and including the empty line."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def send(self, data: bytes, shape: Shape) -> None:
        """Write data in a shape."""
        size = shape.slice_bytes or max(len(data), 1)
        if shape.latency_s:
            await asyncio.sleep(shape.latency_s)
        for start in range(0, len(data), size):
            piece = data[start : start + size]
            if self._writer.is_closing():  # uvloop would raise another error than ConnectionError
                raise ConnectionResetError
            self._writer.write(piece)
            await self._writer.drain()
            if shape.bytes_per_s:
                await asyncio.sleep(len(piece) / shape.bytes_per_s)

    async def discard(self) -> None:
        """Read and discard until the other end closes."""
        with contextlib.suppress(*GONE):
            while await self.reader.read(READ_BYTES):
                pass

    def reset(self) -> None:
        """End the connection with RST."""
        if not self._writer.is_closing():
            end = self._writer.get_extra_info("socket")
            end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self._writer.transport.abort()

    def close(self) -> None:
        """End the connection with FIN, after what was written."""
        self._writer.close()


async def pieces(first: bytes, link: Link, size: int) -> AsyncIterator[bytes]:
    """Yield `size` bytes: first those that were read already, then those that are received."""
    first = first[:size]
    if first:
        yield first
    left = size - len(first)
    while left:
        piece = await link.reader.read(min(left, READ_BYTES))
        if not piece:
            raise asyncio.IncompleteReadError(b"", left)
        left -= len(piece)
        yield piece
