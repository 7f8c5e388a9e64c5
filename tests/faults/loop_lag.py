"""Whether the machine keeps up, measured by how late the event loop is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.faults.timing import LATE_BY_S

_EVERY_S = 0.02


class LoopLag:
    """Checks the clock every `_EVERY_S` and remembers when it was late."""

    def __init__(self) -> None:
        self._late_at = float("-inf")

    def late_since(self, time_s: float) -> bool:
        """Return whether the machine has been late since a time of the loop's clock."""
        return self._late_at >= time_s

    async def watch(self) -> None:
        """Check the clock until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _EVERY_S
            await asyncio.sleep(_EVERY_S)
            if loop.time() - due > LATE_BY_S:
                self._late_at = loop.time()


@asynccontextmanager
async def watched_loop() -> AsyncIterator[LoopLag]:
    """Watch the event loop until the context ends."""
    loop_lag = LoopLag()
    task = asyncio.create_task(loop_lag.watch())
    try:
        yield loop_lag
    finally:
        task.cancel()
