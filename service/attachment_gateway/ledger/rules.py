"""What the ledgers do, over rows and entries, wherever those are kept; Redis has it in Lua.

A row is a lease in a post's queue, an entry is what is known of a request id. Whoever calls a rule
sees to it that nothing else reads or writes meanwhile. Times are seconds on the ledger's clock.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from attachment_gateway.ledger import (
    LEASE_S,
    Acquired,
    Created,
    End,
    EndedAbsent,
    EndedCreated,
    EndedUnchanged,
    EndedUnknown,
    InProgress,
    Lease,
    Queued,
    Reused,
    Standing,
    Unsettled,
)

# NamedTuples: they are made and changed several times a call, and a dataclass takes far longer.


class Row(NamedTuple):
    """A lease in a post's queue.

    `seq` orders the post's rows. `lease_until` is None once the lease was left while its outcome is
    unknown. `sent`: its holder has announced a request. From `gone_at` on it is passed over.
    """

    post: str
    seq: int
    holder: str
    lease_until: float | None
    sent: bool
    gone_at: float


class Entry(NamedTuple):
    """What is known of a request id.

    `holder` is "" when nobody has it. What was sent, and isn't settled, began at `began_at` (None:
    there is none) and is settled at `settled_at`; `told` says that Graph has told of a success.
    `attachment_id` is "" until `created_at`.
    """

    post: str
    fingerprint: bytes
    holder: str
    began_at: float | None
    settled_at: float
    told: bool
    attachment_id: str
    created_at: float

    def is_of(self, lease: Lease) -> bool:
        """Tell whether it is about the same request."""
        return (self.post, self.fingerprint) == (lease.post, lease.fingerprint)


class Store(Protocol):
    """Where rows, entries and claimed ids are."""

    def purge(self, now: float, gone_by: float) -> None:
        """Forget entries and ids that have expired by now, and rows that were gone by then.

        Some of them, as often as it likes: the rules don't see them anyway.
        """

    def rows(self, post: str) -> Sequence[Row]:
        """Return the post's rows, in order."""

    def put_row(self, row: Row) -> None:
        """Write a row instead of the one with its post and `seq`."""

    def drop_row(self, post: str, holder: str) -> None:
        """Remove a holder's row, if there is one."""

    def entry(self, request_id: str, now: float) -> Entry | None:
        """Return the entry that hasn't expired."""

    def put_entry(self, request_id: str, entry: Entry, expires_at: float) -> None:
        """Write an entry instead of the request id's."""

    def claim(self, post: str, attachment_id: str, expires_at: float) -> None:
        """Remember an attachment."""

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """Return the post's attachments that haven't expired."""


class Rules:
    """What a ledger does. `now` is its clock's time; spans are as `Ledger` has them."""

    def __init__(
        self, store: Store, *, settle_s: float, retention_s: float, lease_s: float = LEASE_S
    ) -> None:
        self._store = store
        self._lease_s = lease_s
        self._settle_s = settle_s
        # How long what isn't touched is kept: what may still be going on isn't forgotten.
        self._kept_s = max(retention_s, lease_s + settle_s)

    def purge(self, now: float) -> None:
        """Forget what nothing sees any more, some of it, as often as one likes."""
        self._store.purge(now, now - self._kept_s)

    def acquire(self, lease: Lease, now: float, settles_in_s: float | None = None) -> Standing:
        """As Ledger.acquire."""
        entry = self._entry(lease, now)
        rows = self._rows(lease.post, now, forget=True)
        if standing := _refusal(lease, entry, rows, now):
            self._withdraw(_row_of(lease.holder, rows))
            return standing
        row = _taken(lease, entry, rows)
        head = self._head(rows, now, but=row)
        if row is None:
            row = _new_last(lease, rows, now)
        is_first = head is None or row.seq <= head.seq
        if lease.request_id:
            entry = entry._replace(holder=lease.holder) if entry else _fresh(lease)
        unsettled = _unsettled(entry, now)
        # Written ahead at once, as by `record_sending`.
        sent = row.sent
        if is_first and unsettled is None and settles_in_s is not None:
            sent = True
            entry = entry and _with_sending(entry, now, settles_in_s, is_new_attempt=True)
        self._store.put_row(self._renewed(row, now, sent=sent))
        if entry:
            self._put(lease, entry, now)
        return Acquired(unsettled=unsettled) if is_first else Queued()

    def find(self, lease: Lease, now: float) -> Created | Reused | InProgress | None:
        """As Ledger.find."""
        return _refusal(lease, self._entry(lease, now), self._rows(lease.post, now), now)

    def renew(self, lease: Lease, now: float) -> bool:
        """As Ledger.renew."""
        held = self._held(lease, now)
        if held is None:
            return False
        row, entry = held
        self._store.put_row(self._renewed(row, now, sent=row.sent))
        if entry:
            self._put(lease, entry, now)
        return True

    def record_sending(
        self, lease: Lease, now: float, *, settles_in_s: float, is_new_attempt: bool
    ) -> bool:
        """As Ledger.record_sending."""
        held = self._held(lease, now)
        if held is None:
            return False
        row, entry = held
        self._store.put_row(self._renewed(row, now, sent=True))
        if entry:
            self._put(
                lease, _with_sending(entry, now, settles_in_s, is_new_attempt=is_new_attempt), now
            )
        return True

    def release(self, lease: Lease, end: End, now: float) -> None:
        """As Ledger.release."""
        if isinstance(end, EndedCreated):
            self._created(lease, end.attachment_id, now)
            self._store.drop_row(lease.post, lease.holder)
            return
        row = _row_of(lease.holder, self._rows(lease.post, now))
        # One that has left already, or was passed over, knows nothing that counts.
        if row is None or row.lease_until is None:
            return
        entry = self._own_entry(lease, now)
        if isinstance(end, EndedUnchanged):
            end = _unchanged(entry, now)
        if isinstance(end, EndedAbsent):
            self._store.drop_row(lease.post, lease.holder)
            ended = entry and entry._replace(holder="", began_at=None, told=False)
        else:
            settled_at = now + end.settles_in_s
            self._store.put_row(row._replace(lease_until=None, gone_at=settled_at))
            ended = entry and _unknown(entry, now, settled_at, told=end.created)
        if ended:
            self._put(lease, ended, now)

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """As Ledger.claimed."""
        return self._store.claimed(post, now)

    # Rows.

    def _rows(self, post: str, now: float, *, forget: bool = False) -> Sequence[Row]:
        """Return the post's rows, but for those gone for longer than anything is kept.

        `forget` drops those, too, which a reader may not.
        """
        kept = []
        for row in self._store.rows(post):
            if now < row.gone_at + self._kept_s:
                kept.append(row)
            elif forget:
                self._store.drop_row(row.post, row.holder)
        return kept

    def _renewed(self, row: Row, now: float, *, sent: bool) -> Row:
        lease_until = now + self._lease_s
        gone_at = max(row.gone_at, lease_until + self._settle_s if sent else lease_until)
        return Row(row.post, row.seq, row.holder, lease_until, sent, gone_at)

    def _head(self, rows: Sequence[Row], now: float, *, but: Row | None) -> Row | None:
        """Return the head; the dead are dropped when they come there, `but` one that comes back."""
        for row in rows:
            if row.gone_at > now or (but and row.seq == but.seq):
                return row
            self._store.drop_row(row.post, row.holder)
        return None

    def _held(self, lease: Lease, now: float) -> tuple[Row, Entry | None] | None:
        row = _row_of(lease.holder, self._rows(lease.post, now))
        if row is None or row.lease_until is None:
            return None
        entry = self._own_entry(lease, now)
        if lease.request_id and entry is None:
            return None
        return row, entry

    def _withdraw(self, row: Row | None) -> None:
        """Take a lease out of its queue whose request id came to an end without it."""
        if row and row.lease_until is not None and not row.sent:
            self._store.drop_row(row.post, row.holder)

    # Entries.

    def _entry(self, lease: Lease, now: float) -> Entry | None:
        return self._store.entry(lease.request_id, now) if lease.request_id else None

    def _own_entry(self, lease: Lease, now: float) -> Entry | None:
        entry = self._entry(lease, now)
        return entry if entry and entry.holder == lease.holder else None

    def _created(self, lease: Lease, attachment_id: str, now: float) -> None:
        """Record an attachment, from one whose lease was taken over too: it is there."""
        self._store.claim(lease.post, attachment_id, now + self._kept_s)
        if not lease.request_id:
            return
        entry = self._entry(lease, now) or _fresh(lease)
        # Whoever holds it now sees that it lost it, and finds the attachment.
        if entry.is_of(lease) and not entry.attachment_id:
            created = entry._replace(
                holder="",
                began_at=None,
                told=False,
                attachment_id=attachment_id,
                created_at=now,
            )
            self._put(lease, created, now)

    def _put(self, lease: Lease, entry: Entry, now: float) -> None:
        expires_at = now + self._kept_s
        if entry.began_at is not None:
            expires_at = max(expires_at, entry.settled_at)
        self._store.put_entry(lease.request_id, entry, expires_at)


def _row_of(holder: str, rows: Sequence[Row]) -> Row | None:
    return next((row for row in rows if row.holder == holder), None)


def _refusal(
    lease: Lease, entry: Entry | None, rows: Sequence[Row], now: float
) -> Created | Reused | InProgress | None:
    if entry is None:
        return None
    if not entry.is_of(lease):
        return Reused()
    if entry.attachment_id:
        return Created(attachment_id=entry.attachment_id, ago_s=now - entry.created_at)
    if entry.holder in {"", lease.holder}:
        return None
    row = _row_of(entry.holder, rows)
    if row is None or row.lease_until is None or row.lease_until <= now:
        return None
    return InProgress(lease_left_s=row.lease_until - now)


def _taken(lease: Lease, entry: Entry | None, rows: Sequence[Row]) -> Row | None:
    """Return the row that a lease has, or takes over with its request id; None if it's new."""
    if row := _row_of(lease.holder, rows):
        return row
    dead = _row_of(entry.holder, rows) if entry and entry.holder else None
    # `gone_at` stays: what the dead one sent has to settle, whoever has its lease.
    return dead._replace(holder=lease.holder, sent=False) if dead else None


def _new_last(lease: Lease, rows: Sequence[Row], now: float) -> Row:
    """Return a row behind all others; its lease is still to be renewed."""
    seq = rows[-1].seq + 1 if rows else 1
    return Row(lease.post, seq, lease.holder, lease_until=now, sent=False, gone_at=now)


def _fresh(lease: Lease) -> Entry:
    return Entry(
        post=lease.post,
        fingerprint=lease.fingerprint,
        holder=lease.holder,
        began_at=None,
        settled_at=0.0,
        told=False,
        attachment_id="",
        created_at=0.0,
    )


def _unsettled(entry: Entry | None, now: float) -> Unsettled | None:
    if entry is None or entry.began_at is None:
        return None
    return Unsettled(
        began_ago_s=now - entry.began_at,
        settles_in_s=entry.settled_at - now,
        created=entry.told,
    )


def _with_sending(entry: Entry, now: float, settles_in_s: float, *, is_new_attempt: bool) -> Entry:
    settled_at = now + settles_in_s
    if is_new_attempt or entry.began_at is None:
        return entry._replace(began_at=now, settled_at=settled_at, told=False)
    return entry._replace(settled_at=max(entry.settled_at, settled_at))


def _unchanged(entry: Entry | None, now: float) -> EndedAbsent | EndedUnknown:
    if entry is None or entry.began_at is None:
        return EndedAbsent()
    return EndedUnknown(settles_in_s=entry.settled_at - now)


def _unknown(entry: Entry, now: float, settled_at: float, *, told: bool) -> Entry:
    began_at = now if entry.began_at is None else entry.began_at
    return entry._replace(began_at=began_at, settled_at=settled_at, told=told or entry.told)
