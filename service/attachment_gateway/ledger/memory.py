"""The ledger of one process, in its memory: it knows nothing of before its start."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from attachment_gateway.ledger import LEASE_S, Created, End, InProgress, Lease, Reused, Standing
from attachment_gateway.ledger.expiring import Expiring
from attachment_gateway.ledger.rules import Entry, Row, Rules


class MemoryLedger:
    """A Ledger. It is never away."""

    def __init__(
        self,
        *,
        settle_s: float,
        retention_s: float,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rules = Rules(
            MemoryStore(), settle_s=settle_s, retention_s=retention_s, lease_s=lease_s
        )
        self._clock = clock

    async def acquire(self, lease: Lease, *, settles_in_s: float | None = None) -> Standing:
        """As Ledger has it, like all below."""
        now = self._clock()
        self._rules.purge(now)
        return self._rules.acquire(lease, now, settles_in_s)

    async def find(self, lease: Lease) -> Created | Reused | InProgress | None:
        """Look the request id up."""
        return self._rules.find(lease, self._clock())

    async def renew(self, lease: Lease) -> bool:
        """Renew the lease."""
        return self._rules.renew(lease, self._clock())

    async def record_sending(
        self, lease: Lease, *, settles_in_s: float, is_new_attempt: bool
    ) -> bool:
        """Write ahead."""
        return self._rules.record_sending(
            lease, self._clock(), settles_in_s=settles_in_s, is_new_attempt=is_new_attempt
        )

    async def release(self, lease: Lease, end: End) -> None:
        """Leave the queue, with what became of it."""
        now = self._clock()
        self._rules.purge(now)
        self._rules.release(lease, end, now)

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids that calls have answered with."""
        return self._rules.claimed(post, self._clock())

    async def close(self) -> None:
        """Let go of nothing."""


class MemoryStore:
    """A Store of dictionaries; an idle post is in none of them."""

    def __init__(self) -> None:
        self._rows = Expiring[tuple[str, int], Row]()
        self._queues: dict[str, dict[int, Row]] = {}
        self._entries = Expiring[str, Entry]()
        self._claims = Expiring[tuple[str, str], tuple[str, str]]()
        self._claimed: dict[str, dict[str, float]] = {}

    def __len__(self) -> int:
        each = (self._rows, self._queues, self._entries, self._claims, self._claimed)
        return sum(len(things) for things in each)

    def purge(self, now: float, gone_by: float) -> None:
        """Forget what may go; each thing once, so that a call pays for what it adds."""
        for row in self._rows.expired(gone_by):
            self._dequeue(row)
        for _ in self._entries.expired(now):
            pass
        for post, attachment_id in self._claims.expired(now):
            _remove(self._claimed, post, attachment_id)

    def rows(self, post: str) -> Sequence[Row]:
        """Return the post's rows; a dictionary keeps its order, and a row rewritten its lease."""
        return list(self._queues.get(post, {}).values())

    def put_row(self, row: Row) -> None:
        """Write a row instead of the one with its post and `seq`."""
        self._queues.setdefault(row.post, {})[row.seq] = row
        self._rows.put((row.post, row.seq), row, row.gone_at)

    def drop_row(self, post: str, holder: str) -> None:
        """Remove a row."""
        for row in self.rows(post):
            if row.holder == holder:
                self._rows.pop((row.post, row.seq))
                self._dequeue(row)

    def entry(self, request_id: str, now: float) -> Entry | None:
        """Return the entry that hasn't expired."""
        return self._entries.get(request_id, now)

    def put_entry(self, request_id: str, entry: Entry, expires_at: float) -> None:
        """Write an entry instead of the request id's."""
        self._entries.put(request_id, entry, expires_at)

    def claim(self, post: str, attachment_id: str, expires_at: float) -> None:
        """Remember an attachment."""
        self._claimed.setdefault(post, {})[attachment_id] = expires_at
        self._claims.put((post, attachment_id), (post, attachment_id), expires_at)

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """Return the post's attachments that haven't expired."""
        found = self._claimed.get(post, {})
        return frozenset(each for each, expires_at in found.items() if now < expires_at)

    def _dequeue(self, row: Row) -> None:
        _remove(self._queues, row.post, row.seq)


def _remove(groups: dict[str, dict[Any, Any]], group: str, key: object) -> None:
    """Remove a member, and the group with its last one."""
    members = groups.get(group, {})
    members.pop(key, None)
    if not members:
        groups.pop(group, None)
