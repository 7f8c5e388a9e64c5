"""The sockets below httpx's transport: asyncio's own, with writes gathered and answers dated.

What a request is made of goes to the socket in few large writes, and a connection is never closed
but reset, so that nothing of an attempt that is given up arrives later.
"""

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any, cast

import httpcore2

# Pieces smaller than this are gathered. A request that is about to be read from has all gone out.
GATHER_BYTES = 64 * 1024

# What a peer may send ahead of being read; more is left to TCP's own window.
READ_AHEAD_BYTES = 256 * 1024

_LINGER = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Network(httpcore2.AsyncNetworkBackend):
    """Connects by TCP."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect; see httpcore."""
        loop = asyncio.get_running_loop()
        async with _connecting(timeout):
            _, stream = await loop.create_connection(Stream, host, port)
        for option in (_LINGER, *(socket_options or ())):
            stream.get_extra_info("socket").setsockopt(*option)
        return stream


class Stream(asyncio.Protocol, httpcore2.AsyncNetworkStream):
    """One connection.

    `asked` tells whether something was read since the last write: an answer that was there before
    its request belongs to another one.
    """

    def __init__(self) -> None:
        self._transport = cast("asyncio.Transport", None)
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._incoming = bytearray()
        self._ended = False
        self._error: Exception | None = None
        self._changed: asyncio.Future[None] | None = None
        self._full = False
        self.asked = False

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        """Keep what came."""
        self._incoming += data
        if len(self._incoming) > READ_AHEAD_BYTES:
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """Note that nothing more comes; the transport closes itself."""
        self._ended = True
        self._wake()

    def connection_lost(self, error: Exception | None) -> None:
        """Note why."""
        self._ended = True
        self._error = error
        self._wake()

    def pause_writing(self) -> None:
        """Note that the socket takes no more."""
        self._full = True

    def resume_writing(self) -> None:
        """Note that the socket has taken all."""
        self._full = False
        self._wake()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def _change(self) -> None:
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed

    # httpcore's side

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Read what there is; see httpcore."""
        await self._flush(timeout)
        if not self._incoming and not self._ended:
            try:
                async with asyncio.timeout(timeout):
                    while not self._incoming and not self._ended:
                        await self._change()
            except TimeoutError:
                raise httpcore2.ReadTimeout from None
        self.asked = True
        if not self._incoming and self._error is not None:
            raise httpcore2.ReadError(str(self._error)) from self._error
        data = bytes(self._incoming[:max_bytes])
        del self._incoming[:max_bytes]
        if not self._ended:
            self._transport.resume_reading()
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write, or gather to write; see httpcore."""
        self.asked = False
        self._outgoing.append(buffer)
        self._outgoing_bytes += len(buffer)
        if self._outgoing_bytes >= GATHER_BYTES:
            await self._flush(timeout)

    async def _flush(self, timeout: float | None) -> None:  # noqa: ASYNC109
        if not self._outgoing:
            return
        if not self._ended:
            self._transport.writelines(self._outgoing)
            self._outgoing, self._outgoing_bytes = [], 0
        if self._full and not self._ended:
            try:
                async with asyncio.timeout(timeout):
                    while self._full and not self._ended:
                        await self._change()
            except TimeoutError:
                raise httpcore2.WriteTimeout from None
        if self._ended:
            raise httpcore2.WriteError("the connection has ended")

    async def aclose(self) -> None:
        """Reset the connection."""
        self._transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        """Go on by TLS; see httpcore."""
        loop = asyncio.get_running_loop()
        async with _connecting(timeout):
            transport = await loop.start_tls(
                self._transport, self, ssl_context, server_hostname=server_hostname
            )
        self.connection_made(cast("asyncio.Transport", transport))
        return self

    def get_extra_info(self, info: str) -> Any:
        """Return what is known of the connection; see httpcore."""
        if info == "is_readable":  # which an idle connection isn't, unless it has ended
            return self._ended or bool(self._incoming)
        return self._transport.get_extra_info(info)


@asynccontextmanager
async def _connecting(within_s: float | None) -> AsyncIterator[None]:
    """Connect in so long, and give asyncio's errors httpcore's names."""
    try:
        async with asyncio.timeout(within_s):
            yield
    except TimeoutError:
        raise httpcore2.ConnectTimeout from None
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from error
