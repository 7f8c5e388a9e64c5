"""Tests of delivery/held_lease.py: a lease in the ledger that is renewed while it is held."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from attachment_gateway.delivery import held_lease as module
from attachment_gateway.delivery.held_lease import HeldLease
from attachment_gateway.errors import LedgerUnavailable
from attachment_gateway.ledger import (
    Acquired,
    Created,
    End,
    EndedAbsent,
    EndedUnknown,
    InProgress,
    Lease,
    Sending,
    Standing,
)
from attachment_gateway.ledger.memory import MemoryLedger

LEASE_S = 0.3

SENDING = Sending(settles_in_s=9, wall_s=0)


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the lease to LEASE_S, and its renewals and fence in proportion."""
    monkeypatch.setattr(module, "LEASE_S", LEASE_S)
    monkeypatch.setattr(module, "RENEW_EVERY_S", LEASE_S / 4)
    monkeypatch.setattr(module, "FENCE_S", LEASE_S / 10)


class Ledger(MemoryLedger):
    """A ledger in memory that can become unavailable."""

    def __init__(self) -> None:
        super().__init__(settle_s=0.1, retention_s=60, lease_s=LEASE_S)
        self.away = False
        self.renewed: list[float | None] = []

    async def renew(self, lease: Lease, *, settles_in_s: float | None = None) -> bool:
        self._check()
        self.renewed.append(settles_in_s)
        return await super().renew(lease, settles_in_s=settles_in_s)

    async def record_sending(self, lease: Lease, sending: Sending) -> bool:
        self._check()
        return await super().record_sending(lease, sending)

    async def release(self, lease: Lease, end: End) -> None:
        self._check()
        await super().release(lease, end)

    def _check(self) -> None:
        if self.away:
            raise LedgerUnavailable("away")


def wanted(holder: str, request_id: str = "") -> Lease:
    return Lease(holder=holder, post="p", request_id=request_id, fingerprint=b"f")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 there is no event for it
            await asyncio.sleep(0.01)


async def test_a_lease_holds_until_its_release() -> None:
    """A lease is renewed past its first LEASE_S, and holds no more after its release."""
    ledger = Ledger()
    lease = HeldLease(ledger, wanted("a"))
    assert not lease.holds()
    assert await lease.acquire(SENDING) == Acquired(is_sending=True)
    for _ in range(20):
        assert lease.holds()
        await asyncio.sleep(LEASE_S / 10)
    await lease.release(EndedAbsent())
    assert not lease.holds()


async def test_the_second_lease_waits_for_the_release_of_the_first() -> None:
    """The second lease on a post waits until the first one is released."""
    ledger = Ledger()
    first, second = HeldLease(ledger, wanted("a")), HeldLease(ledger, wanted("b"))
    await first.acquire(SENDING)
    entering = asyncio.create_task(second.acquire(SENDING))
    await asyncio.sleep(2 * LEASE_S)
    assert not entering.done()
    await first.release(EndedAbsent())
    assert await entering == Acquired(is_sending=True)
    await second.release(EndedAbsent())


async def test_a_request_in_progress_is_reported_at_once() -> None:
    """A lease with the request id of a running delivery doesn't wait: it gets InProgress."""
    ledger = Ledger()
    first = HeldLease(ledger, wanted("a", "id"))
    await first.acquire(SENDING)
    assert isinstance(await HeldLease(ledger, wanted("b", "id")).acquire(SENDING), InProgress)
    await first.release(EndedAbsent())


async def test_a_lease_ends_while_the_ledger_is_away() -> None:
    """A lease that can't be renewed ends, and holds again if the ledger returns in time."""
    ledger = Ledger()
    lease = HeldLease(ledger, wanted("a"))
    await lease.acquire(SENDING)
    ledger.away = True
    with capture_logs() as log:
        await until(lambda: not lease.holds())
    assert log[0] == {"event": "ledger_not_renewed", "why": "away", "log_level": "warning"}
    ledger.away = False
    await until(lease.holds)
    await lease.release(EndedAbsent())


async def test_a_lease_that_was_taken_over_may_not_send() -> None:
    """A lease that another holder has taken over holds nothing, may not send and writes no end."""
    ledger = Ledger()
    paused, successor = HeldLease(ledger, wanted("a", "id")), HeldLease(ledger, wanted("b", "id"))
    await paused.acquire(SENDING)
    assert await paused.record_sending(SENDING)
    ledger.away = True
    await until(lambda: not paused.holds())
    await asyncio.sleep(LEASE_S / 10)
    ledger.away = False
    standing = await ledger.acquire(wanted("b", "id"))
    assert isinstance(standing, Acquired)
    assert standing.unsettled is not None
    assert not await paused.record_sending(SENDING)
    assert not paused.holds()
    await successor.acquire(SENDING)
    await paused.release(EndedAbsent())  # has no effect on the ledger
    assert not isinstance(await ledger.find(wanted("c", "id")), Created)
    await successor.release(EndedUnknown(settles_in_s=0))


async def test_each_renewal_prolongs_a_running_attempt() -> None:
    """Each renewal prolongs the running attempt in the ledger, until the attempt has ended."""
    ledger = Ledger()
    lease = HeldLease(ledger, wanted("a", "id"))
    await lease.acquire(SENDING)
    await until(lambda: len(ledger.renewed) >= 2)
    lease.sent()
    renewed = len(ledger.renewed)
    await until(lambda: len(ledger.renewed) >= renewed + 2)
    assert ledger.renewed[:2] == [9, 9]
    assert ledger.renewed[-1] is None
    assert await lease.record_sending(SENDING)
    assert lease.is_sending
    await lease.release(EndedAbsent())


async def test_a_lease_keeps_the_settling_time_of_an_earlier_attempt() -> None:
    """A new lease gets the settling time of an earlier attempt, and doesn't extend it."""
    ledger = Ledger()
    first = HeldLease(ledger, wanted("a", "id"))
    await first.acquire(SENDING)
    await first.release(EndedUnknown(settles_in_s=5))
    second = HeldLease(ledger, wanted("b", "id"))
    standing = await second.acquire(SENDING)
    assert isinstance(standing, Acquired)
    assert standing.unsettled is not None
    assert standing.unsettled.settles_in_s <= 5
    await second.release(EndedAbsent())


async def test_an_end_that_cannot_be_written_is_logged() -> None:
    """An end that the ledger can't take is logged, and doesn't raise."""
    ledger = Ledger()
    lease = HeldLease(ledger, wanted("a"))
    await lease.acquire(SENDING)
    ledger.away = True
    with capture_logs() as log:
        await lease.release(EndedAbsent())
    assert log[0]["event"] == "ledger_not_written"


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    """A lease whose wait is cancelled leaves the queue at once."""
    ledger = Ledger()
    first = HeldLease(ledger, wanted("a"))
    await first.acquire(SENDING)
    waiting = asyncio.create_task(HeldLease(ledger, wanted("b", "id")).acquire(SENDING))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait({waiting})
    await first.release(EndedAbsent())
    assert await ledger.acquire(wanted("c", "id")) == Acquired()


async def test_a_cancelled_acquisition_leaves_no_attempt() -> None:
    """If acquiring is cancelled after it has recorded an attempt, the attempt never was."""
    ledger = Ledger()

    class Cancelled(MemoryLedger):
        async def acquire(self, lease: Lease, *, sending: Sending | None = None) -> Standing:
            await ledger.acquire(lease, sending=sending)
            raise asyncio.CancelledError

        async def release(self, lease: Lease, end: End) -> None:
            await ledger.release(lease, end)

    broken = Cancelled(settle_s=0.1, retention_s=60)
    with pytest.raises(asyncio.CancelledError):
        await HeldLease(broken, wanted("a", "id")).acquire(SENDING)
    assert await ledger.acquire(wanted("b", "id")) == Acquired()
