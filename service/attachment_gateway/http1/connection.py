"""One connection of HTTP/1.1: a request and its response at a time.

A large request's last piece is held back until the kernel has all before it; a small request is
held back whole. So whoever sends it decides at the last moment, and knows, whether it leaves. A
connection is never closed but reset, so that nothing of an attempt that is given up arrives later.
"""

import asyncio
import select
import socket
import ssl
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Self, cast

from attachment_gateway.http1.failure import Failure, NoResponseError
from attachment_gateway.http1.origin import Origin
from attachment_gateway.http1.response_parser import ResponseParser

CONNECT_TIMEOUT_S = 10.0

# A request up to this goes to the kernel in one write.
ONE_WRITE_BYTES = 64 * 1024

# By TLS a larger one goes in portions, so that it isn't held beside its encryption.
TLS_PORTION_BYTES = 256 * 1024

# How often it is looked whether the kernel has taken the last portion, of which TLS doesn't tell.
POLL_S = 0.005

# An event loop polls its sockets once an iteration, and calls what became readable in the next.
LOOP_ITERATIONS_TO_READ = 2

# To linger for 0 s: every close is a reset, also asyncio's own after a cancelled handshake.
_RESET_ON_CLOSE = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Connection(asyncio.Protocol):
    """Made by `connect`. `is_open` tells whether it may be used, again, for an exchange."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        # The connection itself, and what is written to: the same, or TLS over it.
        self._tcp = self._transport = cast("asyncio.Transport", None)
        self._readable = select.poll()
        self._response: ResponseParser | None = None
        self._changed: asyncio.Future[None] | None = None
        self._is_full = False
        self.is_open = True

    @classmethod
    async def connect(cls, origin: Origin, tls: ssl.SSLContext, *, timeout_s: float) -> Self:
        """Connect to an origin, by TLS if its scheme says so; raises NoResponseError.

        The kernel gives the connection up if nobody takes its bytes for so long.
        """
        connection = cls()
        try:
            async with asyncio.timeout(min(CONNECT_TIMEOUT_S, timeout_s)):
                await connection._loop.create_connection(
                    lambda: connection, origin.host, origin.port
                )
                connection._prepare_socket(timeout_s)
                if origin.scheme == "https" and connection.is_open:
                    await connection._start_tls(tls, origin.host)
        except TimeoutError:
            connection.reset()
            raise NoResponseError(Failure.CONNECT_TIMEOUT) from None
        except (OSError, UnicodeError) as error:  # the second for a host that is no name
            connection.reset()
            raise NoResponseError(Failure.CONNECT_FAILED) from error
        return connection

    def _prepare_socket(self, timeout_s: float) -> None:
        raw = self._tcp.get_extra_info("socket")
        raw.setsockopt(*_RESET_ON_CLOSE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(timeout_s * 1000))
        self._readable.register(raw.fileno(), select.POLLIN)

    async def _start_tls(self, tls: ssl.SSLContext, host: str) -> None:
        secure = await self._loop.start_tls(self._tcp, self, tls, server_hostname=host)
        self._transport = cast("asyncio.Transport", secure)
        # It is full when something waits to go; a mark of 0 would be reached by nothing at all.
        self._transport.set_write_buffer_limits(high=1, low=0)

    def is_quiet(self) -> bool:
        """Tell whether it is as the last exchange left it: neither ended, nor with more to read."""
        return self.is_open and not self._readable.poll(0)

    async def exchange(
        self,
        request: Sequence[bytes],
        response: ResponseParser,
        *,
        may_offer: Callable[[], bool],
        timeout_s: float,
    ) -> None:
        """Send a request and read the response; raises NoResponseError.

        `may_offer` is asked before the last piece is handed over; if it says no, the piece is
        withheld. The time is for the request to move on, then for the response's head, then for
        its body: if that is late, or cut, the response is without one. There may be a response
        before the request is complete.
        """
        # To uvloop a peer that closes before TLS is established is no error.
        if not self.is_open or self._tcp.is_closing():
            raise NoResponseError(Failure.CONNECT_FAILED)
        self._response = response
        self.is_open = False
        try:
            if sum(map(len, request)) <= ONE_WRITE_BYTES:
                request = [b"".join(request)]
            else:
                await self._send_but_last(request, response, timeout_s)
            if not response.is_over:
                if self._tcp.is_closing():  # broken; what is written now goes nowhere
                    raise NoResponseError(Failure.WRITE_FAILED)
                if not may_offer():
                    raise NoResponseError(Failure.WITHHELD)
                self._transport.write(request[-1])
                await self._wait_for_response(response, timeout_s)
                self.is_open = not response.is_last
        finally:
            self._response = None
            if not self.is_open:
                self.reset()
        if not response.http_status:
            raise NoResponseError(Failure.CONNECTION_LOST)

    def reset(self) -> None:
        """End it. Nothing arrives any more of what hasn't yet."""
        self.is_open = False
        if self._tcp is not None:
            self._tcp.abort()

    async def _send_but_last(
        self, request: Sequence[bytes], response: ResponseParser, timeout_s: float
    ) -> None:
        """Hand over all but the last piece."""
        if self._transport is self._tcp:
            self._tcp.writelines(request[:-1])
            await self._wait_for_room(response, timeout_s)
        else:
            for portion in _portions(request[:-1]):
                self._transport.write(portion)
                await self._wait_for_room(response, timeout_s)
                if response.is_over:
                    break
        await self._wait_for_kernel(response, timeout_s)
        if self._readable.poll(0):  # an early answer, or the end: the loop is to see it first
            for _ in range(LOOP_ITERATIONS_TO_READ):
                await asyncio.sleep(0)

    async def _wait_for_room(self, response: ResponseParser, timeout_s: float) -> None:
        """Wait until the transport takes more; raises if nothing goes out for `timeout_s`."""
        unsent_bytes = self._tcp.get_write_buffer_size()
        while not await self._wait_until(lambda: not self._is_full or response.is_over, timeout_s):
            before_bytes, unsent_bytes = unsent_bytes, self._tcp.get_write_buffer_size()
            if unsent_bytes == before_bytes:
                raise NoResponseError(Failure.WRITE_TIMEOUT)

    async def _wait_for_kernel(self, response: ResponseParser, timeout_s: float) -> None:
        """Wait until the kernel has it all; the time is as for room.

        TLS tells when its own buffer is empty, not when the one below it is, so that is polled.
        """
        before_bytes, since = 0, self._loop.time()
        while (unsent_bytes := self._tcp.get_write_buffer_size()) and not response.is_over:
            if unsent_bytes != before_bytes:
                before_bytes, since = unsent_bytes, self._loop.time()
            elif self._loop.time() - since > timeout_s:
                raise NoResponseError(Failure.WRITE_TIMEOUT)
            await asyncio.sleep(POLL_S)

    async def _wait_for_response(self, response: ResponseParser, timeout_s: float) -> None:
        """Wait for the head, and then for the body; NoResponseError if the head is late."""
        if not await self._wait_until(
            lambda: bool(response.http_status) or response.is_over, timeout_s
        ):
            raise NoResponseError(Failure.RESPONSE_TIMEOUT)
        if not (response.is_over or await self._wait_until(lambda: response.is_over, timeout_s)):
            response.cut()

    async def _wait_until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Wait for a condition; whether it holds in time.

        Whether it is late is what the timer says: uvloop's comes a moment before the clock says so.
        """
        if condition():
            return True
        is_late = False

        def be_late() -> None:
            nonlocal is_late
            is_late = True
            self._wake()

        timer = self._loop.call_later(within_s, be_late)
        try:
            while not condition() and not is_late:
                self._changed = self._loop.create_future()
                await self._changed
        finally:
            timer.cancel()
        return condition()

    def _wake(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._tcp = self._transport = cast("asyncio.Transport", transport)
        self._tcp.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        """Take bytes of the answer; there are none to take between exchanges."""
        if self._response is None:
            self.reset()
        else:
            self._response.feed(data)
            self._wake()

    def eof_received(self) -> None:
        """Take the end of the answers; the transport closes itself."""
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Take the end; an answer that the connection's end ends, isn't ended by its breaking."""
        self.is_open = False
        if self._response is not None:
            if error is None:
                self._response.end()
            else:
                self._response.cut()
            self._wake()

    def pause_writing(self) -> None:
        """Note that there is no room for more."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that there is."""
        self._is_full = False
        self._wake()


def _portions(pieces: Sequence[bytes]) -> Iterator[memoryview]:
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), TLS_PORTION_BYTES):
            yield view[at : at + TLS_PORTION_BYTES]
