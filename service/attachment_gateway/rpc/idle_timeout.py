"""How long a caller may be quiet: until its next message, or until the call's time ends."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

# Setting a timer anew costs as much as a small message does, so it is left as it is for this part
# of its time: the quiet that is let may be so much shorter.
GRAIN = 0.1


class Patience:
    """An async context, which ends by TimeoutError when the patience does.

    `ended` is what ends it, too, but not while it is `lifted`.
    """

    def __init__(self, idle_s: float, ended: asyncio.Future[Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle_s = idle_s
        self._ended = ended
        self._timeout = asyncio.timeout(idle_s)
        self._renew_from = 0.0
        self._counts = False

    def renew(self) -> None:
        """Begin anew, at a message."""
        now = self._loop.time()
        if now >= self._renew_from:
            self._renew_from = now + self._idle_s * GRAIN
            self._timeout.reschedule(now + self._idle_s)

    @contextmanager
    def lifted(self) -> Iterator[None]:
        """Let it be, while it is we who let the caller wait; and begin anew."""
        self._timeout.reschedule(None)
        self._counts = False
        yield
        self._counts = True
        self._renew_from = 0.0
        self.renew()

    async def __aenter__(self) -> Self:
        await self._timeout.__aenter__()
        self._counts = True
        self._renew_from = self._loop.time() + self._idle_s * GRAIN
        self._ended.add_done_callback(self._end)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._counts = False
        self._ended.remove_done_callback(self._end)
        await self._timeout.__aexit__(kind, error, traceback)

    def _end(self, _: object) -> None:
        if self._counts and not self._timeout.expired():  # what is due already can't be withdrawn
            self._timeout.reschedule(self._loop.time())
