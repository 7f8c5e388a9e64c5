"""The idle timeout: how long a call waits for the caller's next message."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

# Rescheduling a timer costs as much as reading a small message, so it is done at most once in this
# share of the idle timeout. The timeout may be shorter by that share.
GRAIN = 0.1


class IdleTimeout:
    """An async context that raises TimeoutError `idle_s` after the last `restart`.

    It also raises TimeoutError when `ended` is done, unless it is `suspended`.
    """

    def __init__(self, idle_s: float, ended: asyncio.Future[Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle_s = idle_s
        self._ended = ended
        self._timeout = asyncio.timeout(idle_s)
        self._restart_from = 0.0
        self._is_running = False

    def restart(self) -> None:
        """Start the timeout again; call this at each message."""
        now = self._loop.time()
        if now >= self._restart_from:
            self._restart_from = now + self._idle_s * GRAIN
            self._timeout.reschedule(now + self._idle_s)

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Stop the timeout while the caller waits for the gateway; then start it again."""
        self._timeout.reschedule(None)
        self._is_running = False
        yield
        self._is_running = True
        self._restart_from = 0.0
        self.restart()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._is_running = True
        self._restart_from = self._loop.time() + self._idle_s * GRAIN
        self._ended.add_done_callback(self._end)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_running = False
        self._ended.remove_done_callback(self._end)
        await self._timeout.__aexit__(kind, error, traceback)

    def _end(self, _: object) -> None:
        # A timeout that has expired can't be rescheduled.
        if self._is_running and not self._timeout.expired():
            self._timeout.reschedule(self._loop.time())
