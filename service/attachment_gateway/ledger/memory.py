"""The ledger of one process, in its memory; it is empty when the process starts."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from attachment_gateway.ledger import (
    LEASE_S,
    Created,
    End,
    InProgress,
    Lease,
    Look,
    Reused,
    Sending,
    Standing,
)
from attachment_gateway.ledger.boot_clock import boot_clock
from attachment_gateway.ledger.expiring import Expiring
from attachment_gateway.ledger.rules import Entry, Row, Rules

# How often an expired claim is checked again that an unsettled entry of its post keeps.
CLAIM_CHECK_EVERY_S = 60.0


class MemoryLedger:
    """A Ledger that is always available. Its default clock is the boot's: a suspend counts."""

    def __init__(
        self,
        *,
        settle_s: float,
        retention_s: float,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._rules = Rules(
            MemoryStore(), settle_s=settle_s, retention_s=retention_s, lease_s=lease_s
        )
        self._clock = clock or boot_clock().now_s

    async def acquire(self, lease: Lease, *, sending: Sending | None = None) -> Standing:
        """Implement Ledger.acquire; see Ledger for this method and those below."""
        now = self._clock()
        self._rules.purge(now)
        return self._rules.acquire(lease, now, sending)

    async def find(self, lease: Lease) -> Created | Reused | InProgress | None:
        """Look the request id up."""
        return self._rules.find(lease, self._clock())

    async def look(self, lease: Lease) -> Look:
        """Return what is known of the request id and the post."""
        return self._rules.look(lease, self._clock())

    async def renew(self, lease: Lease, *, settles_in_s: float | None = None) -> bool:
        """Renew the lease."""
        return self._rules.renew(lease, self._clock(), settles_in_s)

    async def record_sending(self, lease: Lease, sending: Sending) -> bool:
        """Record that an attempt is about to be sent."""
        return self._rules.record_sending(lease, sending, self._clock())

    async def record_absent(self, lease: Lease) -> bool:
        """Mark the last attempt as absent."""
        return self._rules.record_absent(lease, self._clock())

    async def release(self, lease: Lease, end: End) -> None:
        """Leave the queue, and record the result."""
        now = self._clock()
        self._rules.purge(now)
        self._rules.release(lease, end, now)

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids that deliveries have created."""
        return self._rules.claimed(post, self._clock())

    async def close(self) -> None:
        """Do nothing: there are no files or connections."""


class MemoryStore:
    """A Store in dictionaries; a post without rows and claimed ids takes no memory."""

    def __init__(self) -> None:
        self._rows = Expiring[tuple[str, int], Row]()
        self._queues: dict[str, dict[int, Row]] = {}
        self._entries = Expiring[str, Entry]()
        # Apart from the others, which wait in order for their expiry.
        self._kept_entries: dict[str, Entry] = {}
        self._unsettled: dict[str, dict[str, None]] = {}
        self._claims = Expiring[tuple[str, str], tuple[str, str]]()
        self._claimed: dict[str, dict[str, float]] = {}

    def __len__(self) -> int:
        entries = (self._entries, self._kept_entries, self._unsettled)
        each = (self._rows, self._queues, *entries, self._claims, self._claimed)
        return sum(len(things) for things in each)

    def purge(self, now: float, gone_by: float) -> None:
        """Remove what has expired; in total, the cost is in proportion to what was added."""
        for row in self._rows.expired(gone_by):
            self._dequeue(row)
        for _ in self._entries.expired(now):
            pass
        for post, attachment_id in list(self._claims.expired(now)):
            if post in self._unsettled:
                claim = (post, attachment_id)
                self._claims.put(claim, claim, now + CLAIM_CHECK_EVERY_S)
            else:
                _remove(self._claimed, post, attachment_id)

    def rows(self, post: str) -> Sequence[Row]:
        """Return the post's rows in order of `seq`: a row that is written again keeps its place."""
        return list(self._queues.get(post, {}).values())

    def put_row(self, row: Row) -> None:
        """Write a row; it replaces the row with the same post and `seq`."""
        self._queues.setdefault(row.post, {})[row.seq] = row
        self._rows.put((row.post, row.seq), row, row.gone_at)

    def drop_row(self, post: str, holder: str) -> None:
        """Remove the holder's row, if there is one."""
        for row in self.rows(post):
            if row.holder == holder:
                self._rows.pop((row.post, row.seq))
                self._dequeue(row)

    def end_row(self, post: str, holder: str, gone_at: float) -> None:
        """Set a holder's row, if there is one, to a lease that has ended."""
        for row in self.rows(post):
            if row.holder == holder:
                self.put_row(row._replace(lease_until=None, gone_at=gone_at))

    def entry(self, request_id: str, now: float) -> Entry | None:
        """Return the request id's entry, None if there is none or it has expired."""
        return self._kept_entries.get(request_id) or self._entries.get(request_id, now)

    def put_entry(self, request_id: str, entry: Entry, expires_at: float) -> None:
        """Write the request id's entry."""
        if entry.unsettled:
            self._unsettled.setdefault(entry.post, {})[request_id] = None
        else:
            _remove(self._unsettled, entry.post, request_id)
        if expires_at == math.inf:
            self._kept_entries[request_id] = entry
            self._entries.pop(request_id)
        else:
            self._kept_entries.pop(request_id, None)
            self._entries.put(request_id, entry, expires_at)

    def claim(self, post: str, attachment_id: str, expires_at: float) -> None:
        """Record the id of an attachment that a delivery has created."""
        self._claimed.setdefault(post, {})[attachment_id] = expires_at
        self._claims.put((post, attachment_id), (post, attachment_id), expires_at)

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """Return the post's claimed ids: see Store."""
        found = self._claimed.get(post, {})
        if post in self._unsettled:
            return frozenset(found)
        return frozenset(each for each, expires_at in found.items() if now < expires_at)

    def _dequeue(self, row: Row) -> None:
        _remove(self._queues, row.post, row.seq)


def _remove(groups: dict[str, dict[Any, Any]], group: str, key: object) -> None:
    """Remove a member from a group, and the group if it is empty then."""
    members = groups.get(group, {})
    members.pop(key, None)
    if not members:
        groups.pop(group, None)
