"""ledger.memory: its memory is bounded by what it must remember."""

from typing import Any

from attachment_gateway.ledger import Acquired, EndedAbsent, EndedCreated, EndedUnknown, Lease
from attachment_gateway.ledger.expiring import Expiring
from attachment_gateway.ledger.memory import MemoryLedger


def held(ledger: MemoryLedger) -> int:
    store: Any = ledger._rules._store
    return len(store)


async def test_an_idle_post_takes_no_memory() -> None:
    """A post takes no memory beyond the ids of its attachments, 15 s after its last lease."""
    now = 0.0
    ledger = MemoryLedger(settle_s=15, retention_s=1000, clock=lambda: now)
    for number in range(100):
        lease = Lease(holder=f"h{number}", post=f"g/{number}")
        await ledger.acquire(lease)
        await ledger.release(lease, EndedCreated("x"))
    assert held(ledger) == 4 * 100
    now = 15.0
    await ledger.acquire(Lease(holder="h", post="g"))
    assert held(ledger) == 2 * 100 + 2


async def test_expired_entries_are_removed() -> None:
    """The next call removes expired leases, ended request ids and attachments.

    A third of the calls end as unknown; their entries stay, two values for each.
    """
    now = 0.0
    ledger = MemoryLedger(settle_s=15, retention_s=1000, clock=lambda: now)
    ends = (EndedAbsent(), EndedCreated("x"), EndedUnknown(settles_in_s=15))
    for number in range(99):
        lease = Lease(holder=f"h{number}", post=f"g/{number}", request_id=f"r{number}")
        await ledger.acquire(lease)
        await ledger.release(lease, ends[number % 3])
    now = 1015.0
    await ledger.release(Lease(holder="h", post="g"), EndedUnknown(settles_in_s=1))
    assert held(ledger) == 2 * 33


async def test_a_claim_that_an_unsettled_entry_kept_is_removed_after_it() -> None:
    """A claim past its retention is removed once its post has no unsettled entry any more."""
    now = 0.0
    ledger = MemoryLedger(settle_s=15, retention_s=1000, clock=lambda: now)
    unknown = Lease(holder="u", post="g/p", request_id="r1")
    await ledger.acquire(unknown)
    await ledger.release(unknown, EndedUnknown(settles_in_s=15))
    await ledger.release(Lease(holder="h", post="g/p"), EndedCreated("x"))
    elsewhere = Lease(holder="e", post="g/q")
    for later in (1000.0, 3000.0):
        now = later
        await ledger.release(elsewhere, EndedAbsent())
        assert await ledger.claimed("g/p") == {"x"}
    await ledger.release(unknown, EndedCreated("x2"))
    now = 4000.0
    await ledger.release(elsewhere, EndedAbsent())
    assert held(ledger) == 0


async def test_a_holder_that_comes_back_has_one_position() -> None:
    """A holder that comes back after its lease ended has one position in the queue.

    Its old position may still be there, while an older lease isn't settled.
    """
    now = 0.0
    ledger = MemoryLedger(settle_s=15, retention_s=1000, clock=lambda: now)
    old, late, last = (Lease(holder=holder, post="g/p") for holder in ("old", "late", "last"))
    await ledger.acquire(old)
    await ledger.release(old, EndedUnknown(settles_in_s=9000))
    await ledger.acquire(late)
    now = 2000.0
    await ledger.acquire(last)
    await ledger.acquire(late)
    now = 2009.0
    await ledger.acquire(late)
    now = 9000.0
    assert await ledger.acquire(late) == Acquired()
    assert held(ledger) == 2


async def test_a_value_that_was_put_again_expires_later() -> None:
    """A value that is put again moves behind the older ones, which expire first."""
    values = Expiring[str, int]()
    values.put("a", 1, 10)
    values.put("b", 2, 20)
    values.put("a", 3, 30)
    assert list(values.expired(20)) == [2]
    assert (values.get("a"), values.get("b")) == (3, None)
    assert (values.get("a", 29), values.get("a", 30)) == (3, None)
    assert len(values) == 1
