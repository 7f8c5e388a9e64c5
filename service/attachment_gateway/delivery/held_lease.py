"""A lease that is held: its renewal, and the time until which it is certainly valid."""

import asyncio

import structlog

from attachment_gateway.errors import GatewayError, LedgerUnavailable, RequestInProgress
from attachment_gateway.ledger import (
    LEASE_S,
    RENEW_EVERY_S,
    Acquired,
    Created,
    End,
    EndedUnchanged,
    InProgress,
    Lease,
    Ledger,
    Queued,
    Reused,
    Sending,
)

# The interval at which the ledger is asked while another process is first in the queue. It is
# doubled each time, from POLL_FIRST_S to POLL_MAX_S.
POLL_FIRST_S = 0.01
POLL_MAX_S = 0.25

# The last piece of a request is offered at least this long before the lease ends.
FENCE_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class HeldLease:
    """One delivery's lease, from `acquire` to `release`. Raises LedgerUnavailable."""

    def __init__(self, ledger: Ledger, lease: Lease) -> None:
        self._loop = asyncio.get_running_loop()
        self._ledger = ledger
        self._lease = lease
        self._until = 0.0
        self._settles_in_s: float | None = None
        self._renewing: asyncio.TimerHandle | asyncio.Task[None] | None = None

    def holds(self) -> bool:
        """Return whether the lease lasts for at least another FENCE_S.

        A process that was suspended may have missed its renewals.
        """
        return self._loop.time() < self._until - FENCE_S

    @property
    def is_sending(self) -> bool:
        """Whether an attempt is recorded as being sent, and the lease is held."""
        return self._settles_in_s is not None and self.holds()

    async def acquire(self, sending: Sending | None) -> Acquired | Created | Reused | InProgress:
        """Wait until the lease is the first in its queue, or the ledger has another answer.

        Unless there are earlier attempts, acquiring also records `sending`, as `record_sending`
        does. Cancelling the wait releases the lease.
        """
        try:
            return await self._acquired(sending)
        except BaseException:
            await self.release(EndedUnchanged())
            raise

    async def _acquired(self, sending: Sending | None) -> Acquired | Created | Reused | InProgress:
        poll_s = POLL_FIRST_S
        while True:
            asked_at = self._loop.time()
            standing = await self._ledger.acquire(self._lease, sending=sending)
            if isinstance(standing, Acquired):
                if sending is not None and standing.is_sending:
                    self._settles_in_s = sending.settles_in_s
                self._extend(asked_at)
            if not isinstance(standing, Queued):
                return standing
            await asyncio.sleep(poll_s)
            poll_s = min(poll_s * 2, POLL_MAX_S)

    async def record_sending(self, sending: Sending) -> bool:
        """Record that an attempt is about to be sent, and again at each renewal until `sent`.

        Returns whether the lease is still held.
        """
        asked_at = self._loop.time()
        self._settles_in_s = sending.settles_in_s
        held = await self._ledger.record_sending(self._lease, sending)
        if held:
            self._extend(asked_at)
        return held

    async def record_absent(self) -> bool:
        """Record that the last attempt has created nothing; return whether the lease is held."""
        return await self._ledger.record_absent(self._lease)

    def lost(self, *, sent_before: bool) -> GatewayError:
        """Return the error of a call whose lease another holder has taken over.

        `sent_before`: the call has sent a request, which has created nothing.
        """
        if self._lease.request_id:
            return RequestInProgress(retry_delay_s=LEASE_S, sent_before=sent_before)
        return LedgerUnavailable("the lease has ended", sent_before=sent_before)

    def sent(self) -> None:
        """Note that the attempt has ended; the lease is still held."""
        self._settles_in_s = None

    async def release(self, end: End) -> None:
        """Release the lease and record `end`; if the ledger is unavailable, the lease expires."""
        if self._renewing is not None:
            self._renewing.cancel()
        self._until = 0.0
        try:
            await self._ledger.release(self._lease, end)
        except LedgerUnavailable as error:
            log.warning("ledger_not_written", why=error.why, end=end.word)

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
            if await self._ledger.renew(self._lease, settles_in_s=self._settles_in_s):
                self._extend(asked_at)
            else:
                self._until = 0.0
        except LedgerUnavailable as error:
            log.warning("ledger_not_renewed", why=error.why)
        self._renew_later()
