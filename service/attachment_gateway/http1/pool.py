"""The connections to Graph: so many at once, and those that are idle kept for a while."""

import asyncio
import ssl

from attachment_gateway.http1.connection import BrokenError, Connection
from attachment_gateway.http1.origin import GraphRoot

# Connections are kept for less than Graph keeps them: one that Graph closes while a request is on
# its way costs an unclear outcome.
KEEPALIVE_S = 15.0

# Event loops round their timers, and may call so much early.
CLOCK_STEP_S = 0.002


class Pool:
    """Connections to one host. Close it when done."""

    def __init__(
        self, root: GraphRoot, tls: ssl.SSLContext, *, max_connections: int, timeout_s: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._root = root
        self._tls = tls
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(max_connections)
        self._max_idle = max_connections
        self._idle: dict[Connection, float] = {}  # since when, the latest last
        self._tidying: asyncio.TimerHandle | None = None

    async def take(self, *, anew: bool = False) -> Connection:
        """Return an idle connection, or a new one, surely if `anew`; raises BrokenError.

        Every one has to be given back.
        """
        if self._places.locked():
            await self._wait_for_place()
        else:
            await self._places.acquire()
        try:
            kept = None if anew else self._take_idle()
            return kept or await Connection.connect(
                self._root, self._tls, timeout_s=self._timeout_s
            )
        except BaseException:
            self._places.release()
            raise

    def give_back(self, connection: Connection) -> None:
        """Keep a connection if it is of use."""
        self._places.release()
        if connection.is_open:
            self._idle[connection] = self._loop.time()
            self._trim()
            self._tidy_later()

    def close(self) -> None:
        """End what is idle, and what is still given back."""
        if self._tidying is not None:
            self._tidying.cancel()
        self._max_idle = 0
        self._trim()

    def _trim(self) -> None:
        while len(self._idle) > self._max_idle:
            self._end(next(iter(self._idle)))

    def _end(self, connection: Connection) -> None:
        del self._idle[connection]
        connection.reset()

    def _tidy_later(self) -> None:
        if self._tidying is None and self._idle:
            oldest_since = next(iter(self._idle.values()))
            self._tidying = self._loop.call_at(oldest_since + KEEPALIVE_S, self._tidy)

    def _tidy(self) -> None:
        """End those that are too old, also if nobody comes any more."""
        self._tidying = None
        now = self._loop.time()
        for connection, since in list(self._idle.items()):
            if not connection.is_open or since + KEEPALIVE_S <= now + CLOCK_STEP_S:
                self._end(connection)
        self._tidy_later()

    async def _wait_for_place(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._places.acquire()
        except TimeoutError:
            raise BrokenError("PoolTimeout") from None

    def _take_idle(self) -> Connection | None:
        """Return the connection that was used last, of those that are still of use."""
        now = self._loop.time()
        while self._idle:
            connection, since = self._idle.popitem()
            if connection.is_quiet() and now - since < KEEPALIVE_S:
                return connection
            connection.reset()
        return None
