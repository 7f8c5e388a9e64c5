"""What the ledgers do, over rows and entries, wherever those are kept; Redis has it in Lua.

A row is a place in a post's queue, an entry is what is known of a request id. Whoever calls a rule
sees to it that nothing else reads or writes meanwhile. Times are seconds on the ledger's clock.
"""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from attachment_gateway.ledger import (
    LEASE_S,
    EndedCreated,
    EndedUnchanged,
    EndedAbsent,
    EndedUnknown,
    Created,
    End,
    Acquired,
    InProgress,
    Place,
    Reused,
    Standing,
    Unsettled,
    Queued,
)

# NamedTuples: they are made and changed several times a call, and a dataclass takes far longer.


class Row(NamedTuple):
    """A place in a post's queue.

    `seq` orders the post's rows. `lease_until` is None once the place was left while its outcome is
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

    def is_of(self, place: Place) -> bool:
        """Tell whether it is about the same request."""
        return (self.post, self.fingerprint) == (place.post, place.fingerprint)


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

    def enter(self, place: Place, now: float, settled_in_s: float | None = None) -> Standing:
        """As Ledger.enter."""
        entry = self._entry(place, now)
        rows = self._rows(place.post, now, forget=True)
        if standing := _refusal(place, entry, rows, now):
            self._withdraw(_row_of(place.holder, rows))
            return standing
        row = _taken(place, entry, rows)
        head = self._head(rows, now, but=row)
        if row is None:
            row = _new_last(place, rows, now)
        is_first = head is None or row.seq <= head.seq
        if place.request_id:
            entry = entry._replace(holder=place.holder) if entry else _fresh(place)
        unsettled = _unsettled(entry, now)
        # Written ahead at once, as by `sending`.
        sent = row.sent
        if is_first and unsettled is None and settled_in_s is not None:
            sent = True
            entry = entry and _with_sending(entry, now, settled_in_s, anew=True)
        self._store.put_row(self._renewed(row, now, sent=sent))
        if entry:
            self._put(place, entry, now)
        return Acquired(unsettled=unsettled) if is_first else Queued()

    def find(self, place: Place, now: float) -> Created | Reused | InProgress | None:
        """As Ledger.find."""
        return _refusal(place, self._entry(place, now), self._rows(place.post, now), now)

    def renew(self, place: Place, now: float) -> bool:
        """As Ledger.renew."""
        held = self._held(place, now)
        if held is None:
            return False
        row, entry = held
        self._store.put_row(self._renewed(row, now, sent=row.sent))
        if entry:
            self._put(place, entry, now)
        return True

    def sending(self, place: Place, now: float, *, settled_in_s: float, anew: bool) -> bool:
        """As Ledger.sending."""
        held = self._held(place, now)
        if held is None:
            return False
        row, entry = held
        self._store.put_row(self._renewed(row, now, sent=True))
        if entry:
            self._put(place, _with_sending(entry, now, settled_in_s, anew=anew), now)
        return True

    def leave(self, place: Place, end: End, now: float) -> None:
        """As Ledger.leave."""
        if isinstance(end, EndedCreated):
            self._created(place, end.attachment_id, now)
            self._store.drop_row(place.post, place.holder)
            return
        row = _row_of(place.holder, self._rows(place.post, now))
        # One that has left already, or was passed over, knows nothing that counts.
        if row is None or row.lease_until is None:
            return
        entry = self._own_entry(place, now)
        if isinstance(end, EndedUnchanged):
            end = _as_found(entry, now)
        if isinstance(end, EndedAbsent):
            self._store.drop_row(place.post, place.holder)
            ended = entry and entry._replace(holder="", began_at=None, told=False)
        else:
            settled_at = now + end.settled_in_s
            self._store.put_row(row._replace(lease_until=None, gone_at=settled_at))
            ended = entry and _unknown(entry, now, settled_at, told=end.created)
        if ended:
            self._put(place, ended, now)

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

    def _held(self, place: Place, now: float) -> tuple[Row, Entry | None] | None:
        row = _row_of(place.holder, self._rows(place.post, now))
        if row is None or row.lease_until is None:
            return None
        entry = self._own_entry(place, now)
        if place.request_id and entry is None:
            return None
        return row, entry

    def _withdraw(self, row: Row | None) -> None:
        """Take a place out of its queue whose request id came to an end without it."""
        if row and row.lease_until is not None and not row.sent:
            self._store.drop_row(row.post, row.holder)

    # Entries.

    def _entry(self, place: Place, now: float) -> Entry | None:
        return self._store.entry(place.request_id, now) if place.request_id else None

    def _own_entry(self, place: Place, now: float) -> Entry | None:
        entry = self._entry(place, now)
        return entry if entry and entry.holder == place.holder else None

    def _created(self, place: Place, attachment_id: str, now: float) -> None:
        """Record an attachment, from one whose place was taken over too: it is there."""
        self._store.claim(place.post, attachment_id, now + self._kept_s)
        if not place.request_id:
            return
        entry = self._entry(place, now) or _fresh(place)
        # Whoever holds it now sees that it lost it, and finds the attachment.
        if entry.is_of(place) and not entry.attachment_id:
            created = entry._replace(
                holder="",
                began_at=None,
                told=False,
                attachment_id=attachment_id,
                created_at=now,
            )
            self._put(place, created, now)

    def _put(self, place: Place, entry: Entry, now: float) -> None:
        expires_at = now + self._kept_s
        if entry.began_at is not None:
            expires_at = max(expires_at, entry.settled_at)
        self._store.put_entry(place.request_id, entry, expires_at)


def _row_of(holder: str, rows: Sequence[Row]) -> Row | None:
    return next((row for row in rows if row.holder == holder), None)


def _refusal(
    place: Place, entry: Entry | None, rows: Sequence[Row], now: float
) -> Created | Reused | InProgress | None:
    if entry is None:
        return None
    if not entry.is_of(place):
        return Reused()
    if entry.attachment_id:
        return Created(attachment_id=entry.attachment_id, ago_s=now - entry.created_at)
    if entry.holder in {"", place.holder}:
        return None
    row = _row_of(entry.holder, rows)
    if row is None or row.lease_until is None or row.lease_until <= now:
        return None
    return InProgress(lease_left_s=row.lease_until - now)


def _taken(place: Place, entry: Entry | None, rows: Sequence[Row]) -> Row | None:
    """Return the row that a place has, or takes over with its request id; None if it's new."""
    if row := _row_of(place.holder, rows):
        return row
    dead = _row_of(entry.holder, rows) if entry and entry.holder else None
    # `gone_at` stays: what the dead one sent has to settle, whoever has its place.
    return dead._replace(holder=place.holder, sent=False) if dead else None


def _new_last(place: Place, rows: Sequence[Row], now: float) -> Row:
    """Return a row behind all others; its lease is still to be renewed."""
    seq = rows[-1].seq + 1 if rows else 1
    return Row(place.post, seq, place.holder, lease_until=now, sent=False, gone_at=now)


def _fresh(place: Place) -> Entry:
    return Entry(
        post=place.post,
        fingerprint=place.fingerprint,
        holder=place.holder,
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
        settled_in_s=entry.settled_at - now,
        created=entry.told,
    )


def _with_sending(entry: Entry, now: float, settled_in_s: float, *, anew: bool) -> Entry:
    settled_at = now + settled_in_s
    if anew or entry.began_at is None:
        return entry._replace(began_at=now, settled_at=settled_at, told=False)
    return entry._replace(settled_at=max(entry.settled_at, settled_at))


def _as_found(entry: Entry | None, now: float) -> EndedAbsent | EndedUnknown:
    if entry is None or entry.began_at is None:
        return EndedAbsent()
    return EndedUnknown(settled_in_s=entry.settled_at - now)


def _unknown(entry: Entry, now: float, settled_at: float, *, told: bool) -> Entry:
    began_at = now if entry.began_at is None else entry.began_at
    return entry._replace(began_at=began_at, settled_at=settled_at, told=told or entry.told)
