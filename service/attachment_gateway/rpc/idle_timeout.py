"""The idle timeout: how long a call waits for its caller, and how slow the caller may be."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

# Rescheduling a timer costs as much as reading a small message, so it is done at most once in this
# share of the idle timeout. The timeout may be shorter by that share.
GRAIN = 0.1

# A fast caller may be ahead of the least rate by at most this, so that one that stops is soon late.
AHEAD_S = 4.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceLimits:
    """How slow a caller may be.

    A message comes at the latest `idle_s` after the one before, and a caller is at the most
    `idle_s` behind `least_rate`, in bytes per second.
    """

    idle_s: float
    least_rate: int


class IdleTimeout:
    """An async context that raises TimeoutError when the caller is slower than its limits.

    It also raises TimeoutError when `ended` is done, unless it is `suspended`.
    """

    def __init__(self, limits: PaceLimits, ended: asyncio.Future[Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._ended = ended
        # At the least rate, what has come would have come by then.
        self._due_at = self._loop.time()
        self._timeout = asyncio.timeout(limits.idle_s)
        self._restart_from = 0.0
        self._is_running = False

    def received(self, size_bytes: int) -> None:
        """Start the timeout again after a message; call this at each."""
        now = self._loop.time()
        self._due_at = min(self._due_at + size_bytes / self._limits.least_rate, now + AHEAD_S)
        if now >= self._restart_from:
            self._restart(now)

    def late_s(self) -> float:
        """Return for how long the caller has been behind the least rate, 0 or less if it isn't."""
        return self._loop.time() - self._due_at

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Stop the timeout while the caller waits for the gateway; then start it again."""
        self._timeout.reschedule(None)
        self._is_running = False
        began_at = self._loop.time()
        yield
        self._is_running = True
        now = self._loop.time()
        self._due_at += now - began_at
        self._restart(now)

    def _restart(self, now: float) -> None:
        self._restart_from = now + self._limits.idle_s * GRAIN
        self._timeout.reschedule(min(now, self._due_at) + self._limits.idle_s)

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._is_running = True
        self._restart_from = self._loop.time() + self._limits.idle_s * GRAIN
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
