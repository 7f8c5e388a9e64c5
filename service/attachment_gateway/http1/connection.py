"""One HTTP/1.1 connection, for one request and its response at a time.

The last piece of a large request is held back until the kernel has taken the pieces before it; a
small request is held back whole. So the sender decides at the last moment whether the request
leaves, and knows whether it did. A connection always ends by a reset, so that nothing of a
cancelled attempt arrives later.
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

# Over TLS a larger request is written in portions, so that memory never holds all of it twice,
# plain and encrypted.
TLS_PORTION_BYTES = 256 * 1024

# How often to check whether the kernel has taken the last portion, since TLS doesn't report it.
POLL_S = 0.005

# An event loop polls its sockets once per iteration, and calls the protocols of readable sockets in
# the next one.
LOOP_ITERATIONS_TO_READ = 2

# Linger for 0 s: every close is a reset, also asyncio's own close after a cancelled handshake.
_RESET_ON_CLOSE = (socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Connection(asyncio.Protocol):
    """A connection, made by `connect`. `is_open` tells whether another exchange may use it."""

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
        """Connect to an origin, over TLS if its scheme is https. Raises NoResponseError.

        The kernel ends the connection if the server acknowledges no bytes for `timeout_s`.
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
        except (OSError, UnicodeError) as error:  # UnicodeError: the host is no valid name
            connection.reset()
            raise NoResponseError(Failure.CONNECT_FAILED) from error
        return connection

    def _prepare_socket(self, timeout_s: float) -> None:
        raw = self._tcp.get_extra_info("socket")
        raw.setsockopt(*_RESET_ON_CLOSE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # on Linux
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(timeout_s * 1000))
        self._readable.register(raw.fileno(), select.POLLIN)

    async def _start_tls(self, tls: ssl.SSLContext, host: str) -> None:
        secure = await self._loop.start_tls(self._tcp, self, tls, server_hostname=host)
        self._transport = cast("asyncio.Transport", secure)
        # The transport is full once one byte waits; with a mark of 0 it would be full when empty.
        self._transport.set_write_buffer_limits(high=1, low=0)

    def is_quiet(self) -> bool:
        """Tell whether the connection is open and has nothing to read."""
        return self.is_open and not self._readable.poll(0)

    async def exchange(
        self,
        request: Sequence[bytes],
        response: ResponseParser,
        *,
        may_offer: Callable[[], bool],
        timeout_s: float,
    ) -> None:
        """Send a request and read the response. Raises NoResponseError.

        `may_offer` is called before the last piece is offered; if it returns False, the piece is
        withheld. `timeout_s` is the idle timeout of sending, then the timeout of the response's
        head, then that of its body; a response whose body is late or cut has no body. The response
        may come before the request is complete.
        """
        # uvloop reports no error if the server closes before TLS is established.
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
                if self._tcp.is_closing():  # broken: what is written now is lost
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
        """Reset the connection: bytes that haven't arrived yet never will."""
        self.is_open = False
        if self._tcp is not None:
            self._tcp.abort()

    async def _send_but_last(
        self, request: Sequence[bytes], response: ResponseParser, timeout_s: float
    ) -> None:
        """Write all pieces but the last, and wait until the kernel has taken them."""
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
        if self._readable.poll(0):  # an early response, or the end: let the event loop read it
            for _ in range(LOOP_ITERATIONS_TO_READ):
                await asyncio.sleep(0)

    async def _wait_for_room(self, response: ResponseParser, timeout_s: float) -> None:
        """Wait until the transport takes more bytes.

        Raises NoResponseError if no byte leaves for `timeout_s`.
        """
        unsent_bytes = self._tcp.get_write_buffer_size()
        while not await self._wait_until(lambda: not self._is_full or response.is_over, timeout_s):
            before_bytes, unsent_bytes = unsent_bytes, self._tcp.get_write_buffer_size()
            if unsent_bytes == before_bytes:
                raise NoResponseError(Failure.WRITE_TIMEOUT)

    async def _wait_for_kernel(self, response: ResponseParser, timeout_s: float) -> None:
        """Wait until the kernel has taken all bytes.

        Raises NoResponseError if no byte leaves for `timeout_s`. It polls, since TLS reports when
        its own buffer is empty but not when the buffer below it is.
        """
        before_bytes, since = 0, self._loop.time()
        while (unsent_bytes := self._tcp.get_write_buffer_size()) and not response.is_over:
            if unsent_bytes != before_bytes:
                before_bytes, since = unsent_bytes, self._loop.time()
            elif self._loop.time() - since > timeout_s:
                raise NoResponseError(Failure.WRITE_TIMEOUT)
            await asyncio.sleep(POLL_S)

    async def _wait_for_response(self, response: ResponseParser, timeout_s: float) -> None:
        """Wait for the head, and then for the body. Raises NoResponseError if the head is late."""
        if not await self._wait_until(
            lambda: bool(response.http_status) or response.is_over, timeout_s
        ):
            raise NoResponseError(Failure.RESPONSE_TIMEOUT)
        if not (response.is_over or await self._wait_until(lambda: response.is_over, timeout_s)):
            response.cut()

    async def _wait_until(self, condition: Callable[[], bool], within_s: float) -> bool:
        """Wait for a condition, and return whether it became true in time.

        The timer alone tells that it is late, since uvloop calls it slightly before its clock
        reaches the time.
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

    # The methods that asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and let it be full as soon as one byte waits."""
        self._tcp = self._transport = cast("asyncio.Transport", transport)
        self._tcp.set_write_buffer_limits(0)

    def data_received(self, data: bytes) -> None:
        """Feed bytes to the response; between exchanges any byte resets the connection."""
        if self._response is None:
            self.reset()
        else:
            self._response.feed(data)
            self._wake()

    def eof_received(self) -> None:
        """Handle the end of the stream; the transport closes itself."""
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Handle the end of the connection, which completes a response only without an error."""
        self.is_open = False
        if self._response is not None:
            if error is None:
                self._response.end()
            else:
                self._response.cut()
            self._wake()

    def pause_writing(self) -> None:
        """Note that the transport is full."""
        self._is_full = True

    def resume_writing(self) -> None:
        """Note that the transport takes more bytes."""
        self._is_full = False
        self._wake()


def _portions(pieces: Sequence[bytes]) -> Iterator[memoryview]:
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), TLS_PORTION_BYTES):
            yield view[at : at + TLS_PORTION_BYTES]
