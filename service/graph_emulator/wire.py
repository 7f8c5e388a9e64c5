"""The connection under a request: counted byte by byte, and breakable.

ASGI shows an app neither. uvicorn hands a copy of its `app_state` to every request as the scope's
state, so a protocol that puts its own wire there shows it to the app.
"""

import asyncio
import socket
import struct
from itertools import count

from uvicorn.protocols.http.h11_impl import H11Protocol

STATE_KEY = "wire"

# struct linger {on, seconds}: with zero seconds, closing sends RST instead of FIN (socket(7)).
_LINGER_NOT = struct.pack("ii", 1, 0)

_numbers = count(1)


class Wire:
    """One connection."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._socket: socket.socket = transport.get_extra_info("socket")
        # asyncio does this only for sockets that were made with a protocol number; without it an
        # answer's body waits for its head to be acknowledged, 40 ms.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._received_bytes = 0
        self._request_began_at = 0
        self.number = next(_numbers)
        self.closed = asyncio.Event()

    @property
    def request_bytes(self) -> int:
        """What has come of the present request; one that is pipelined behind it counts as well."""
        return self._received_bytes - self._request_began_at

    def received(self, size_bytes: int) -> None:
        """Count bytes as they come."""
        self._received_bytes += size_bytes

    def request_ended(self) -> None:
        """Count anew: the next byte is the next request's."""
        self._request_began_at = self._received_bytes

    async def cut(self, *, reset: bool) -> None:
        """Close it, after what was written has gone out; with `reset` by RST, and at once."""
        if reset and not self._transport.is_closing():
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NOT)
            self._transport.abort()
        else:
            self._transport.close()
        await self.closed.wait()


class GraphProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, which shows each request its wire."""

    wire: Wire

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the base
        """Put a wire under the connection."""
        self.wire = Wire(transport)
        self.app_state = {**self.app_state, STATE_KEY: self.wire}
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Count, and pass on."""
        self.wire.received(len(data))
        super().data_received(data)

    def on_response_complete(self) -> None:
        """Count anew, and pass on."""
        self.wire.request_ended()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass on, and tell whoever cut it."""
        super().connection_lost(exc)
        self.wire.closed.set()
