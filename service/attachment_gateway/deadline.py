"""A call's deadline, which limits every wait and every retry of the call."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from attachment_gateway.errors import GatewayError, NotSent

_T = TypeVar("_T")

# The gateway answers early, so that its answer arrives before the caller's deadline: by this share
# of the time that was left when the call arrived, and by at most ANSWER_EARLY_MAX_S.
ANSWER_EARLY_SHARE = 0.05
ANSWER_EARLY_MAX_S = 0.5


class Deadline:
    """The end of a call's time, shortly before the caller's own deadline, `left_s` from now.

    `expired` is done when the time is over, because the caller's deadline is near or the gateway
    has to stop. Its result is the error to return if nothing can have been created. Every wait of
    the call ends when it is done. Close the deadline when the call ends.
    """

    def __init__(self, left_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self.expired: asyncio.Future[GatewayError] = self._loop.create_future()
        early_s = min(left_s * ANSWER_EARLY_SHARE, ANSWER_EARLY_MAX_S)
        self._ends_at = self._loop.time() + left_s - early_s
        self._timer = self._loop.call_at(self._ends_at, self._run_out)

    def left_s(self) -> float:
        """Return the seconds that are left, 0.0 if the time is over."""
        return 0.0 if self.expired.done() else self._ends_at - self._loop.time()

    def expire(self, error: GatewayError) -> None:
        """End the time with this error; do nothing if it is over."""
        if not self.expired.done():
            self.expired.set_result(error)

    def check(self) -> None:
        """Raise the error of `expired` if the time is over."""
        if self.expired.done():
            raise self.expired.result()

    def close(self) -> None:
        """Cancel the timer."""
        self._timer.cancel()

    async def in_time(
        self, wait: Coroutine[Any, Any, _T], *, late: Callable[[], GatewayError]
    ) -> _T:
        """Return the result of `wait`. If the time ends first, cancel it and raise an error.

        The error is `late()` if the caller's deadline is near, else the error of `expired`.
        """
        waiting = asyncio.create_task(wait)
        try:
            if await self.outlasts(waiting):
                return waiting.result()
        finally:
            waiting.cancel()
        error = self.expired.result()
        raise late() if isinstance(error, NotSent) else error

    async def outlasts(self, work: asyncio.Task[Any]) -> bool:
        """Wait until the work is done or the time is over. Return whether the work is done.

        The work is never cancelled.
        """
        first = self._loop.create_future()

        def tell(_: object) -> None:
            if not first.done():
                first.set_result(None)

        work.add_done_callback(tell)
        self.expired.add_done_callback(tell)
        try:
            await first
        finally:
            work.remove_done_callback(tell)
            self.expired.remove_done_callback(tell)
        return work.done()

    def _run_out(self) -> None:
        self.expire(NotSent())
