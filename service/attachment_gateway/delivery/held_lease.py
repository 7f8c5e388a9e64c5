"""A place in the ledger, held: its lease is renewed, and its holder knows until when it holds."""

import asyncio

import structlog

from attachment_gateway.errors import LedgerUnavailable
from attachment_gateway.ledger import (
    LEASE_S,
    RENEW_EVERY_S,
    EndedUnchanged,
    Created,
    End,
    Acquired,
    InProgress,
    Ledger,
    Place,
    Reused,
    Queued,
)

# How often a place behind another process's is looked at.
POLL_FIRST_S = 0.01
POLL_MAX_S = 0.25

# What is about to be sent has to leave so long before the lease ends.
FENCE_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class HeldLease:
    """One call's place, from entering to leaving. Raises LedgerUnavailable."""

    def __init__(self, ledger: Ledger, place: Place) -> None:
        self._loop = asyncio.get_running_loop()
        self._ledger = ledger
        self._place = place
        self._until = 0.0
        self._settled_in_s: float | None = None
        self._renewing: asyncio.TimerHandle | asyncio.Task[None] | None = None

    def holds(self) -> bool:
        """Tell whether the lease is sure not to have ended: a paused process may have lost it."""
        return self._loop.time() < self._until - FENCE_S

    async def enter(self, settled_in_s: float) -> Acquired | Created | Reused | InProgress:
        """Wait until the place is the first in its queue, or something else is known of it.

        The first, with nothing to settle, has announced what it sends, as by `sending`. Who gives
        up waiting leaves.
        """
        try:
            return await self._entered(settled_in_s)
        except BaseException:
            await self.leave(EndedUnchanged())
            raise

    async def _entered(self, settled_in_s: float) -> Acquired | Created | Reused | InProgress:
        poll_s = POLL_FIRST_S
        while True:
            asked_at = self._loop.time()
            standing = await self._ledger.enter(self._place, settled_in_s=settled_in_s)
            if isinstance(standing, Acquired):
                self._settled_in_s = settled_in_s if standing.unsettled is None else None
                self._extend(asked_at)
            if not isinstance(standing, Queued):
                return standing
            await asyncio.sleep(poll_s)
            poll_s = min(poll_s * 2, POLL_MAX_S)

    async def sending(self, settled_in_s: float) -> bool:
        """Write ahead that a request is about to leave, and at each renewal that it still may.

        Graph may act on it for so long after the last of these. Whether the place is still held.
        What was announced on entering needs nothing more.
        """
        if self._settled_in_s is not None and self.holds():
            return True
        asked_at = self._loop.time()
        self._settled_in_s = settled_in_s
        held = await self._ledger.sending(self._place, settled_in_s=settled_in_s, anew=True)
        if held:
            self._extend(asked_at)
        return held

    def sent(self) -> None:
        """Tell that the attempt has ended; the lease goes on."""
        self._settled_in_s = None

    async def leave(self, end: End) -> None:
        """Leave, with what became of it. What can't be written is left to the lease's end."""
        if self._renewing is not None:
            self._renewing.cancel()
        self._until = 0.0
        try:
            await self._ledger.leave(self._place, end)
        except LedgerUnavailable as error:
            log.warning("ledger_not_written", why=error.why, end=type(end).__name__)

    def _extend(self, asked_at: float) -> None:
        self._until = asked_at + LEASE_S
        if self._renewing is None:
            self._renew_later()

    def _renew_later(self) -> None:
        self._renewing = self._loop.call_later(RENEW_EVERY_S, self._renew_now)

    def _renew_now(self) -> None:
        self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        asked_at = self._loop.time()
        try:
            if await self._renewed():
                self._extend(asked_at)
            else:
                self._until = 0.0
        except LedgerUnavailable as error:
            log.warning("ledger_not_renewed", why=error.why)
        self._renew_later()

    async def _renewed(self) -> bool:
        if self._settled_in_s is None:
            return await self._ledger.renew(self._place)
        return await self._ledger.sending(self._place, settled_in_s=self._settled_in_s, anew=False)
