"""The rules of a ledger, on the rows and entries of any Store.

A row is a lease in a post's queue; an entry is what is known of a request id. The caller of a rule
has to keep others from reading or writing meanwhile. Times are seconds on the ledger's clock.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from attachment_gateway.ledger import (
    LEASE_S,
    NOT_FREE,
    Acquired,
    Created,
    End,
    EndedAbsent,
    EndedCreated,
    EndedUnchanged,
    EndedUnknown,
    InProgress,
    Lease,
    Look,
    Queued,
    Reused,
    Sending,
    SentAttempt,
    Standing,
)

# An entry keeps this many attempts. If there are more, the second is merged into the first, which
# keeps its moment and its baseline and settles when both have settled.
MAX_ATTEMPTS = 4

# NamedTuples, since a call makes several of them and a dataclass takes far longer to make.


class Row(NamedTuple):
    """A lease in a post's queue.

    `seq` orders the post's rows. `lease_until` is None after the lease was released. `sent`: the
    holder has recorded a sending. From `gone_at` on the row is passed over; until another lease is
    the head, a holder that wasn't released may still renew it.
    """

    post: str
    seq: int
    holder: str
    lease_until: float | None
    sent: bool
    gone_at: float


class Attempt(NamedTuple):
    """An attempt that an entry keeps; `began_at` and `settled_at` are on the ledger's clock.

    The other fields are as in SentAttempt.
    """

    began_at: float
    settled_at: float
    wall_s: float | None
    created: bool
    absent: bool
    baseline: bytes | None
    seen: bytes = b""


class Entry(NamedTuple):
    """What is known of a request id.

    `holder` is "" if no lease holds it. `attempts`: the earliest first; only the last can be
    unsettled. `attachment_id` is "" until the attachment is created, at `created_at`.
    """

    post: str
    fingerprint: bytes
    holder: str
    attempts: tuple[Attempt, ...]
    attachment_id: str
    created_at: float

    def is_of(self, lease: Lease) -> bool:
        """Tell whether the entry and the lease are of the same request."""
        return (self.post, self.fingerprint) == (lease.post, lease.fingerprint)

    @property
    def unsettled(self) -> Attempt | None:
        """The attempt whose outcome is not settled, if there is one."""
        return self.attempts[-1] if self.attempts and not self.attempts[-1].absent else None

    @property
    def is_kept(self) -> bool:
        """Whether it must not expire: a lease holds it, or its last attempt is unsettled."""
        return bool(self.holder) or self.unsettled is not None


class Store(Protocol):
    """A store of rows, entries and claimed ids."""

    def purge(self, now: float, gone_by: float) -> None:
        """Remove entries and ids expired by `now`, and rows whose `gone_at` is up to `gone_by`.

        It may leave some of them for a later call: the rules ignore them anyway.
        """

    def rows(self, post: str) -> Sequence[Row]:
        """Return the post's rows, in order."""

    def put_row(self, row: Row) -> None:
        """Write a row; it replaces the row with the same post and `seq`."""

    def drop_row(self, post: str, holder: str) -> None:
        """Remove a holder's row, if there is one."""

    def end_row(self, post: str, holder: str, gone_at: float) -> None:
        """Set a holder's row, if there is one, to a lease that has ended, gone from a time on."""

    def entry(self, request_id: str, now: float) -> Entry | None:
        """Return the request id's entry, None if there is none or it has expired."""

    def put_entry(self, request_id: str, entry: Entry, expires_at: float) -> None:
        """Write the request id's entry."""

    def claim(self, post: str, attachment_id: str, expires_at: float) -> None:
        """Record the id of an attachment that a delivery has created."""

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """Return the post's claimed ids.

        An id is kept until it expires, and as long as the post has an unsettled entry.
        """


class Rules:
    """The methods of a Ledger. `now` is the time on its clock; spans are as in `Ledger`."""

    def __init__(
        self, store: Store, *, settle_s: float, retention_s: float, lease_s: float = LEASE_S
    ) -> None:
        self._store = store
        self._lease_s = lease_s
        self._settle_s = settle_s
        # How long data is kept after its last change, at least for a lease and its settling time.
        self._kept_s = max(retention_s, lease_s + settle_s)

    def purge(self, now: float) -> None:
        """Remove some of the data that no rule uses any more."""
        self._store.purge(now, now - self._kept_s)

    def acquire(self, lease: Lease, now: float, sending: Sending | None = None) -> Standing:
        """Implement Ledger.acquire."""
        entry = self._entry(lease, now)
        rows = self._rows(lease.post, now, forget=True)
        if standing := _refusal(lease, entry, rows, now):
            self._withdraw(_row_of(lease.holder, rows), now)
            return standing
        row = _taken(lease, entry, rows, now)
        head = self._head(rows, now, but=row)
        if row is None:
            if _row_of(lease.holder, rows):  # it was released, and is gone
                self._store.drop_row(lease.post, lease.holder)
            row = _new_last(lease, rows, now)
        is_first = head is None or row.seq <= head.seq
        if lease.request_id:
            entry = entry._replace(holder=lease.holder) if entry else _fresh(lease)
        attempts = entry.attempts if entry else ()
        # Recorded in the same step, as by `record_sending`.
        is_sending = is_first and not attempts and sending is not None and _counts(sending, row)
        if entry and sending and is_sending:
            entry = _with_sending(entry, sending, now)
        self._store.put_row(self._renewed(row, now, sent=row.sent or is_sending))
        if entry:
            self._put(lease, entry, now)
        if not is_first:
            return Queued()
        return Acquired(attempts=_shown(attempts, now), is_sending=is_sending)

    def find(self, lease: Lease, now: float) -> Created | Reused | InProgress | None:
        """Implement Ledger.find."""
        return _refusal(lease, self._entry(lease, now), self._rows(lease.post, now), now)

    def look(self, lease: Lease, now: float) -> Look:
        """Implement Ledger.look."""
        rows = self._rows(lease.post, now)
        # A row that wasn't released may be renewed or taken over, and then it keeps its `seq`.
        is_free = all(row.gone_at <= now and row.lease_until is None for row in rows)
        turn = (rows[-1].seq if rows else 0) if is_free else NOT_FREE
        return Look(is_known=self._entry(lease, now) is not None, turn=turn)

    def renew(self, lease: Lease, now: float, settles_in_s: float | None = None) -> bool:
        """Implement Ledger.renew."""
        held = self._held(lease, now)
        if held is None:
            return False
        row, entry = held
        # `sent` stays: what is unsettled may be an earlier holder's attempt.
        is_acting = row.sent or settles_in_s is not None
        self._store.put_row(self._renewed(row, now, sent=is_acting)._replace(sent=row.sent))
        if entry:
            self._put(lease, _prolonged(entry, now, settles_in_s), now)
        return True

    def record_sending(self, lease: Lease, sending: Sending, now: float) -> bool:
        """Implement Ledger.record_sending."""
        held = self._held(lease, now)
        if held is None:
            return False
        row, entry = held
        self._store.put_row(self._renewed(row, now, sent=True))
        if not _counts(sending, row):
            sending = replace(sending, baseline=None)
        if entry:
            self._put(lease, _with_sending(entry, sending, now), now)
        return True

    def record_absent(self, lease: Lease, now: float) -> bool:
        """Implement Ledger.record_absent."""
        held = self._held(lease, now)
        if held is None:
            return False
        row, entry = held
        self._store.put_row(self._renewed(row, now, sent=row.sent))
        if entry:
            self._put(lease, _with_absent(entry), now)
        return True

    def release(self, lease: Lease, end: End, now: float) -> None:
        """Implement Ledger.release."""
        if isinstance(end, EndedCreated):
            self._created(lease, end.attachment_id, now)
            self._end_row(lease.post, lease.holder, now)
            return
        row = _row_of(lease.holder, self._rows(lease.post, now))
        # A lease that was released already, or passed over, has nothing to record.
        if row is None or row.lease_until is None:
            return
        entry = self._own_entry(lease, now)
        if isinstance(end, EndedUnchanged):
            end = _unchanged(row, entry, now)
        if isinstance(end, EndedAbsent):
            self._end_row(lease.post, lease.holder, now)
            ended = entry and entry._replace(holder="", attempts=_absent(entry.attempts))
        else:
            settled_at = now + end.settles_in_s
            gone_at = max(settled_at, self._ended_at(now))
            self._store.put_row(row._replace(lease_until=None, gone_at=gone_at))
            ended = entry and _unknown(entry, now, end)
        if ended:
            self._put(lease, ended, now)

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """Implement Ledger.claimed."""
        return self._store.claimed(post, now)

    # Rows.

    def _rows(self, post: str, now: float, *, forget: bool = False) -> Sequence[Row]:
        """Return the post's rows, except those that have been gone for longer than data is kept.

        `forget` also removes the excepted rows; only a writer may set it.
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
        """Return the first row that isn't gone, and drop the gone ones before it, except `but`."""
        for row in rows:
            if row.gone_at > now or (but and row.seq == but.seq):
                return row
            self._store.drop_row(row.post, row.holder)
        return None

    def _end_row(self, post: str, holder: str, now: float) -> None:
        """Let a row be passed over from now on, and removed after `settle_s`.

        Until then its `seq` shows that a lease was there, to whoever has read a baseline before.
        """
        self._store.end_row(post, holder, self._ended_at(now))

    def _ended_at(self, now: float) -> float:
        """Return the `gone_at` of a row that is passed over now and removed after `settle_s`."""
        return now + self._settle_s - self._kept_s

    def _held(self, lease: Lease, now: float) -> tuple[Row, Entry | None] | None:
        row = _row_of(lease.holder, self._rows(lease.post, now))
        if row is None or row.lease_until is None:
            return None
        entry = self._own_entry(lease, now)
        if lease.request_id and entry is None:
            return None
        return row, entry

    def _withdraw(self, row: Row | None, now: float) -> None:
        """End the row of a refused lease, if it is held and has recorded no sending."""
        if row and row.lease_until is not None and not row.sent:
            self._end_row(row.post, row.holder, now)

    # Entries.

    def _entry(self, lease: Lease, now: float) -> Entry | None:
        return self._store.entry(lease.request_id, now) if lease.request_id else None

    def _own_entry(self, lease: Lease, now: float) -> Entry | None:
        entry = self._entry(lease, now)
        return entry if entry and entry.holder == lease.holder else None

    def _created(self, lease: Lease, attachment_id: str, now: float) -> None:
        """Record an attachment, also if the lease was taken over: the attachment exists."""
        self._store.claim(lease.post, attachment_id, now + self._kept_s)
        if not lease.request_id:
            return
        entry = self._entry(lease, now) or _fresh(lease)
        # Another holder of the request id finds its lease lost, and then finds the attachment.
        if entry.is_of(lease) and not entry.attachment_id:
            created = entry._replace(
                holder="",
                attempts=(),
                attachment_id=attachment_id,
                created_at=now,
            )
            self._put(lease, created, now)

    def _put(self, lease: Lease, entry: Entry, now: float) -> None:
        expires_at = math.inf if entry.is_kept else now + self._kept_s
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


def _taken(lease: Lease, entry: Entry | None, rows: Sequence[Row], now: float) -> Row | None:
    """Return the lease's own row, or the one that it takes over; None if there is neither.

    A released row that is gone isn't taken: `look` has shown its `seq` as that of a free post.
    """
    own = _row_of(lease.holder, rows)
    if own and own.lease_until is not None:
        return own
    others = _row_of(entry.holder, rows) if entry and entry.holder else None
    for left in (own, others):
        if left and (left.lease_until is not None or left.gone_at > now):
            # `gone_at` stays: the other holder's request has to settle, even if this one dies, too.
            return left._replace(holder=lease.holder, sent=False)
    return None


def _new_last(lease: Lease, rows: Sequence[Row], now: float) -> Row:
    """Return a new row behind all others; the caller has to renew its lease."""
    seq = rows[-1].seq + 1 if rows else 1
    return Row(lease.post, seq, lease.holder, lease_until=now, sent=False, gone_at=now)


def _fresh(lease: Lease) -> Entry:
    return Entry(
        post=lease.post,
        fingerprint=lease.fingerprint,
        holder=lease.holder,
        attempts=(),
        attachment_id="",
        created_at=0.0,
    )


def _shown(attempts: tuple[Attempt, ...], now: float) -> tuple[SentAttempt, ...]:
    return tuple(
        SentAttempt(
            began_ago_s=now - each.began_at,
            settles_in_s=each.settled_at - now,
            wall_s=each.wall_s,
            baseline=each.baseline,
            created=each.created,
            absent=each.absent,
            seen=each.seen,
        )
        for each in attempts
    )


def _counts(sending: Sending, row: Row) -> bool:
    """Tell whether no other lease was in the post's queue since the baseline was asked for."""
    return sending.turn in {None, row.seq - 1}


def _with_sending(entry: Entry, sending: Sending, now: float) -> Entry:
    settled_at = now + sending.settles_in_s
    attempt = Attempt(
        now, settled_at, sending.wall_s, created=False, absent=False, baseline=sending.baseline
    )
    return entry._replace(attempts=_bounded((*_absent(entry.attempts), attempt)))


def _absent(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    """Return the attempts that are marked as absent: the other one has created nothing."""
    return tuple(each for each in attempts if each.absent)


def _with_absent(entry: Entry) -> Entry:
    return entry._replace(attempts=tuple(each._replace(absent=True) for each in entry.attempts))


def _bounded(attempts: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
    if len(attempts) <= MAX_ATTEMPTS:
        return attempts
    first, second, *others = attempts
    merged = first._replace(
        settled_at=max(first.settled_at, second.settled_at),
        created=first.created or second.created,
    )
    return (merged, *others)


def _prolonged(entry: Entry, now: float, settles_in_s: float | None) -> Entry:
    """Let the attempt that is being sent settle `settles_in_s` from now at the earliest."""
    last = entry.unsettled
    if last is None or settles_in_s is None:
        return entry
    settled_at = max(last.settled_at, now + settles_in_s)
    return entry._replace(attempts=(*entry.attempts[:-1], last._replace(settled_at=settled_at)))


def _unchanged(row: Row, entry: Entry | None, now: float) -> EndedAbsent | EndedUnknown:
    """Return the end that leaves what an earlier holder left, without this lease's own attempt."""
    last = entry.unsettled if entry and not row.sent else None
    return EndedUnknown(settles_in_s=last.settled_at - now) if last else EndedAbsent()


def _unknown(entry: Entry, now: float, end: EndedUnknown) -> Entry:
    """Return the entry with its last attempt unsettled, also if it was marked as absent."""
    settled_at = now + end.settles_in_s
    *others, last = entry.attempts or (
        Attempt(now, settled_at, None, end.created, absent=False, baseline=None),
    )
    last = last._replace(
        settled_at=settled_at,
        created=end.created or last.created,
        absent=False,
        seen=end.seen or last.seen,
    )
    # The holder stays, so that a repeat finds the row whose position it takes over.
    return entry._replace(attempts=_bounded((*_absent(tuple(others)), last)))
