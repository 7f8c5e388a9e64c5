"""The connections to one origin: at most `max_connections`; idle ones are kept KEEPALIVE_S."""

import asyncio
import ssl

from attachment_gateway.http1.connection import Connection
from attachment_gateway.http1.failure import Failure, NoResponseError
from attachment_gateway.http1.origin import Origin

# Less than servers keep theirs: if a server closes a connection while a request is on its way, the
# outcome of the request is unclear.
KEEPALIVE_S = 15.0

# Event loops round their timers, and may call this much early.
TIMER_EARLY_S = 0.002


class Pool:
    """Connections to one origin. Close it when done."""

    def __init__(
        self, origin: Origin, tls: ssl.SSLContext, *, max_connections: int, timeout_s: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._origin = origin
        self._tls = tls
        self._timeout_s = timeout_s
        self._permits = asyncio.Semaphore(max_connections)
        self._max_idle = max_connections
        self._idle: dict[Connection, float] = {}  # when each became idle, the latest last
        self._expiring: asyncio.TimerHandle | None = None

    async def take(self, *, on_new_connection: bool = False) -> Connection:
        """Return an idle connection, or a new one. Raises NoResponseError.

        With `on_new_connection` it is always a new one. The caller has to release it.
        """
        if self._permits.locked():
            await self._wait_for_permit()
        else:
            await self._permits.acquire()
        try:
            kept = None if on_new_connection else self._take_idle()
            return kept or await Connection.connect(
                self._origin, self._tls, timeout_s=self._timeout_s
            )
        except BaseException:
            self._permits.release()
            raise

    def release(self, connection: Connection) -> None:
        """Release a connection, and keep it if it is open."""
        self._permits.release()
        if connection.is_open:
            self._idle[connection] = self._loop.time()
            self._trim()
            self._expire_later()

    def close(self) -> None:
        """Close the idle connections now, and the others when they are released."""
        if self._expiring is not None:
            self._expiring.cancel()
        self._max_idle = 0
        self._trim()

    def _trim(self) -> None:
        while len(self._idle) > self._max_idle:
            self._end(next(iter(self._idle)))

    def _end(self, connection: Connection) -> None:
        del self._idle[connection]
        connection.reset()

    def _expire_later(self) -> None:
        if self._expiring is None and self._idle:
            oldest_since = next(iter(self._idle.values()))
            self._expiring = self._loop.call_at(oldest_since + KEEPALIVE_S, self._expire)

    def _expire(self) -> None:
        """Close the idle connections that are too old; a timer calls it."""
        self._expiring = None
        now = self._loop.time()
        for connection, since in list(self._idle.items()):
            if not connection.is_open or since + KEEPALIVE_S <= now + TIMER_EARLY_S:
                self._end(connection)
        self._expire_later()

    async def _wait_for_permit(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._permits.acquire()
        except TimeoutError:
            raise NoResponseError(Failure.NO_FREE_CONNECTION) from None

    def _take_idle(self) -> Connection | None:
        """Return the usable connection that was used last, None if there is none."""
        now = self._loop.time()
        while self._idle:
            connection, since = self._idle.popitem()
            if connection.is_quiet() and now - since < KEEPALIVE_S:
                return connection
            connection.reset()
        return None
