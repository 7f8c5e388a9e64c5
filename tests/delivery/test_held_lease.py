"""lease: a place in the ledger, held."""

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from attachment_gateway.delivery import held_lease as module
from attachment_gateway.errors import LedgerUnavailable
from attachment_gateway.ledger import EndedAbsent, EndedUnknown, Created, Acquired, InProgress, Place
from attachment_gateway.ledger.memory import MemoryLedger
from attachment_gateway.delivery.held_lease import HeldLease

LEASE_S = 0.3


@pytest.fixture(autouse=True)
def _short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases that end soon."""
    monkeypatch.setattr(module, "LEASE_S", LEASE_S)
    monkeypatch.setattr(module, "RENEW_EVERY_S", LEASE_S / 4)
    monkeypatch.setattr(module, "FENCE_S", LEASE_S / 10)


class Ledger(MemoryLedger):
    """A ledger that can be away."""

    def __init__(self) -> None:
        super().__init__(settle_s=0.1, retention_s=60, lease_s=LEASE_S)
        self.away = False
        self.announced: list[tuple[float, bool]] = []

    async def renew(self, place: Place) -> bool:
        self._check()
        return await super().renew(place)

    async def sending(self, place: Place, *, settled_in_s: float, anew: bool) -> bool:
        self._check()
        self.announced.append((settled_in_s, anew))
        return await super().sending(place, settled_in_s=settled_in_s, anew=anew)

    async def leave(self, place: Place, end: object) -> None:
        self._check()
        await super().leave(place, end)

    def _check(self) -> None:
        if self.away:
            raise LedgerUnavailable("away")


def place(holder: str, request_id: str = "") -> Place:
    return Place(holder=holder, post="p", request_id=request_id, fingerprint=b"f")


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 there is no event for it
            await asyncio.sleep(0.01)


async def test_it_holds_as_long_as_it_renews() -> None:
    """Past the end of its first lease, and not after it has left."""
    ledger = Ledger()
    lease = HeldLease(ledger, place("a"))
    assert not lease.holds()
    assert await lease.enter(9) == Acquired()
    for _ in range(20):
        assert lease.holds()
        await asyncio.sleep(LEASE_S / 10)
    await lease.leave(EndedAbsent())
    assert not lease.holds()


async def test_it_waits_for_its_turn() -> None:
    """Until who was before it has left."""
    ledger = Ledger()
    first, second = HeldLease(ledger, place("a")), HeldLease(ledger, place("b"))
    await first.enter(9)
    entering = asyncio.create_task(second.enter(9))
    await asyncio.sleep(2 * LEASE_S)
    assert not entering.done()
    await first.leave(EndedAbsent())
    assert await entering == Acquired()
    await second.leave(EndedAbsent())


async def test_another_standing_ends_the_wait() -> None:
    """What is known of the request id is told at once."""
    ledger = Ledger()
    first = HeldLease(ledger, place("a", "id"))
    await first.enter(9)
    assert isinstance(await HeldLease(ledger, place("b", "id")).enter(9), InProgress)
    await first.leave(EndedAbsent())


async def test_a_lease_that_cannot_be_renewed_ends() -> None:
    """Then nothing may leave any more; when the ledger is back in time, it goes on."""
    ledger = Ledger()
    lease = HeldLease(ledger, place("a"))
    await lease.enter(9)
    ledger.away = True
    with capture_logs() as log:
        await until(lambda: not lease.holds())
    assert log[0] == {"event": "ledger_not_renewed", "why": "away", "log_level": "warning"}
    ledger.away = False
    await until(lease.holds)
    await lease.leave(EndedAbsent())


async def test_a_place_that_was_taken_over_is_lost() -> None:
    """Who comes back after its lease holds nothing, and may not send."""
    ledger = Ledger()
    paused, heir = HeldLease(ledger, place("a", "id")), HeldLease(ledger, place("b", "id"))
    await paused.enter(9)
    assert await paused.sending(9)
    ledger.away = True
    await until(lambda: not paused.holds())
    await asyncio.sleep(LEASE_S / 10)
    ledger.away = False
    standing = await ledger.enter(place("b", "id"))
    assert isinstance(standing, Acquired)
    assert standing.unsettled is not None
    assert not await paused.sending(9)
    assert not paused.holds()
    await heir.enter(9)
    await paused.leave(EndedAbsent())  # says nothing that counts
    assert not isinstance(await ledger.find(place("c", "id")), Created)
    await heir.leave(EndedUnknown(settled_in_s=0))


async def test_what_is_under_way_is_announced_again_at_each_renewal() -> None:
    """As long as it may leave: from when it entered, and no more when the attempt has ended."""
    ledger = Ledger()
    lease = HeldLease(ledger, place("a", "id"))
    await lease.enter(9)
    assert await lease.sending(7)
    await until(lambda: len(ledger.announced) >= 2)
    lease.sent()
    announced = len(ledger.announced)
    await asyncio.sleep(LEASE_S)
    assert set(ledger.announced) == {(9, False)}
    assert len(ledger.announced) <= announced + 1
    assert await lease.sending(7)
    await lease.leave(EndedAbsent())
    assert ledger.announced[-1] == (7, True)


async def test_what_an_earlier_one_sent_is_not_written_over() -> None:
    """Who enters with something to settle announces only what it sends itself."""
    ledger = Ledger()
    first = HeldLease(ledger, place("a", "id"))
    await first.enter(9)
    await first.leave(EndedUnknown(settled_in_s=5))
    second = HeldLease(ledger, place("b", "id"))
    standing = await second.enter(9)
    assert isinstance(standing, Acquired)
    assert standing.unsettled is not None
    assert standing.unsettled.settled_in_s <= 5
    await second.leave(EndedAbsent())


async def test_an_end_that_cannot_be_written() -> None:
    """Is logged, and left to the lease."""
    ledger = Ledger()
    lease = HeldLease(ledger, place("a"))
    await lease.enter(9)
    ledger.away = True
    with capture_logs() as log:
        await lease.leave(EndedAbsent())
    assert log[0]["event"] == "ledger_not_written"


async def test_who_gives_up_waiting_leaves() -> None:
    """Its place in the queue is nobody's, at once."""
    ledger = Ledger()
    first = HeldLease(ledger, place("a"))
    await first.enter(9)
    waiting = asyncio.create_task(HeldLease(ledger, place("b", "id")).enter(9))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait({waiting})
    await first.leave(EndedAbsent())
    assert await ledger.enter(place("c", "id")) == Acquired()
