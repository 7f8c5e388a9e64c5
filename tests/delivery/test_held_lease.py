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
)
from attachment_gateway.ledger.memory import MemoryLedger

LEASE_S = 0.3


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
        self.announced: list[tuple[float, bool]] = []

    async def renew(self, lease: Lease) -> bool:
        self._check()
        return await super().renew(lease)

    async def record_sending(
        self, lease: Lease, *, settles_in_s: float, is_new_attempt: bool
    ) -> bool:
        self._check()
        self.announced.append((settles_in_s, is_new_attempt))
        return await super().record_sending(
            lease, settles_in_s=settles_in_s, is_new_attempt=is_new_attempt
        )

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
    assert await lease.acquire(9) == Acquired()
    for _ in range(20):
        assert lease.holds()
        await asyncio.sleep(LEASE_S / 10)
    await lease.release(EndedAbsent())
    assert not lease.holds()


async def test_the_second_lease_waits_for_the_release_of_the_first() -> None:
    """The second lease on a post waits until the first one is released."""
    ledger = Ledger()
    first, second = HeldLease(ledger, wanted("a")), HeldLease(ledger, wanted("b"))
    await first.acquire(9)
    entering = asyncio.create_task(second.acquire(9))
    await asyncio.sleep(2 * LEASE_S)
    assert not entering.done()
    await first.release(EndedAbsent())
    assert await entering == Acquired()
    await second.release(EndedAbsent())


async def test_a_request_in_progress_is_reported_at_once() -> None:
    """A lease with the request id of a running delivery doesn't wait: it gets InProgress."""
    ledger = Ledger()
    first = HeldLease(ledger, wanted("a", "id"))
    await first.acquire(9)
    assert isinstance(await HeldLease(ledger, wanted("b", "id")).acquire(9), InProgress)
    await first.release(EndedAbsent())


async def test_a_lease_ends_while_the_ledger_is_away() -> None:
    """A lease that can't be renewed ends, and holds again if the ledger returns in time."""
    ledger = Ledger()
    lease = HeldLease(ledger, wanted("a"))
    await lease.acquire(9)
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
    await paused.acquire(9)
    assert await paused.record_sending(9)
    ledger.away = True
    await until(lambda: not paused.holds())
    await asyncio.sleep(LEASE_S / 10)
    ledger.away = False
    standing = await ledger.acquire(wanted("b", "id"))
    assert isinstance(standing, Acquired)
    assert standing.unsettled is not None
    assert not await paused.record_sending(9)
    assert not paused.holds()
    await successor.acquire(9)
    await paused.release(EndedAbsent())  # has no effect on the ledger
    assert not isinstance(await ledger.find(wanted("c", "id")), Created)
    await successor.release(EndedUnknown(settles_in_s=0))


async def test_each_renewal_announces_a_running_attempt_again() -> None:
    """Each renewal announces the running attempt to the ledger, and stops when it has ended."""
    ledger = Ledger()
    lease = HeldLease(ledger, wanted("a", "id"))
    await lease.acquire(9)
    assert await lease.record_sending(7)
    await until(lambda: len(ledger.announced) >= 2)
    lease.sent()
    announced = len(ledger.announced)
    await asyncio.sleep(LEASE_S)
    assert set(ledger.announced) == {(9, False)}
    assert len(ledger.announced) <= announced + 1
    assert await lease.record_sending(7)
    await lease.release(EndedAbsent())
    assert ledger.announced[-1] == (7, True)


async def test_a_lease_keeps_the_settling_time_of_an_earlier_attempt() -> None:
    """A new lease gets the settling time of an earlier attempt, and doesn't extend it."""
    ledger = Ledger()
    first = HeldLease(ledger, wanted("a", "id"))
    await first.acquire(9)
    await first.release(EndedUnknown(settles_in_s=5))
    second = HeldLease(ledger, wanted("b", "id"))
    standing = await second.acquire(9)
    assert isinstance(standing, Acquired)
    assert standing.unsettled is not None
    assert standing.unsettled.settles_in_s <= 5
    await second.release(EndedAbsent())


async def test_an_end_that_cannot_be_written_is_logged() -> None:
    """An end that the ledger can't take is logged, and doesn't raise."""
    ledger = Ledger()
    lease = HeldLease(ledger, wanted("a"))
    await lease.acquire(9)
    ledger.away = True
    with capture_logs() as log:
        await lease.release(EndedAbsent())
    assert log[0]["event"] == "ledger_not_written"


async def test_a_cancelled_wait_leaves_the_queue() -> None:
    """A lease whose wait is cancelled leaves the queue at once."""
    ledger = Ledger()
    first = HeldLease(ledger, wanted("a"))
    await first.acquire(9)
    waiting = asyncio.create_task(HeldLease(ledger, wanted("b", "id")).acquire(9))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait({waiting})
    await first.release(EndedAbsent())
    assert await ledger.acquire(wanted("c", "id")) == Acquired()
