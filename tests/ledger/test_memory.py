"""ledger.memory: its memory is bounded by what it must remember."""

from typing import Any

from attachment_gateway.ledger import Acquired, EndedCreated, EndedUnknown, Lease
from attachment_gateway.ledger.expiring import Expiring
from attachment_gateway.ledger.memory import MemoryLedger


def held(ledger: MemoryLedger) -> int:
    store: Any = ledger._rules._store
    return len(store)


async def test_an_idle_post_takes_no_memory() -> None:
    """A post without leases takes no memory beyond the ids of its attachments."""
    ledger = MemoryLedger(settle_s=15, retention_s=1000)
    for number in range(100):
        lease = Lease(holder=f"h{number}", post=f"g/{number}")
        await ledger.acquire(lease)
        await ledger.release(lease, EndedCreated("x"))
    claimed = held(ledger)
    for number in range(100):
        lease = Lease(holder=f"h{number}", post=f"g/{number}")
        await ledger.acquire(lease)
        assert held(ledger) == claimed + 2
        await ledger.release(lease, EndedCreated("x"))
    assert held(ledger) == claimed == 200


async def test_expired_entries_are_removed() -> None:
    """The next call removes expired leases, unknown ends, request ids and attachments."""
    now = 0.0
    ledger = MemoryLedger(settle_s=15, retention_s=1000, clock=lambda: now)
    for number in range(99):
        lease = Lease(holder=f"h{number}", post=f"g/{number}", request_id=f"r{number}")
        await ledger.acquire(lease)
        if number % 3:
            end = EndedCreated("x") if number % 3 == 1 else EndedUnknown(settles_in_s=15)
            await ledger.release(lease, end)
    now = 1015.0
    await ledger.release(Lease(holder="h", post="g"), EndedUnknown(settles_in_s=1))
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
