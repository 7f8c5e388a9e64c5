"""The connection under a request, which counts bytes and can be cut.

ASGI gives an app no access to the connection. uvicorn passes a copy of its `app_state` to every
request as the scope's state, so the protocol puts its wire there.
"""

import asyncio
import socket
import struct
from itertools import count

from uvicorn.protocols.http.h11_impl import H11Protocol

STATE_KEY = "wire"

# struct linger {on, seconds}: with 0 seconds, closing sends RST instead of FIN (socket(7)).
_LINGER_NOT = struct.pack("ii", 1, 0)

_numbers = count(1)


class Wire:
    """One connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._socket: socket.socket = transport.get_extra_info("socket")
        # asyncio sets it only on sockets that were made with a protocol number. Without it, the
        # body of a response waits up to 40 ms until the client acknowledges the head.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received_bytes = 0
        self._request_began_at = 0
        self.number = next(_numbers)
        self.closed = asyncio.Event()

    @property
    def request_bytes(self) -> int:
        """The received bytes of the present request, including requests pipelined behind it."""
        return self._received_bytes - self._request_began_at

    def received(self, size_bytes: int) -> None:
        """Count received bytes."""
        self._received_bytes += size_bytes

    def request_ended(self) -> None:
        """Start the count of the next request."""
        self._request_began_at = self._received_bytes

    async def cut(self, *, reset: bool) -> None:
        """Close the connection after the written bytes are sent; with `reset`, at once by RST."""
        if reset and not self._transport.is_closing():
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self._transport.abort()
        else:
            self._transport.close()
        await self.closed.wait()


class GraphProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, with a wire in the state of each request."""

    wire: Wire

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base
        """Make the connection's wire."""
        self.wire = Wire(transport)
        self.app_state = {**self.app_state, STATE_KEY: self.wire}
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count the bytes and pass them on."""
        self.wire.received(len(data))
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Start the count of the next request."""
        self.wire.request_ended()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the task that waits in `Wire.cut`."""
        super().connection_lost(exc)
        self.wire.closed.set()
