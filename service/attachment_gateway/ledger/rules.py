"""What the ledgers do, over rows and entries, wherever those are kept; Redis has it in Lua.

A row is a place in a post's queue, an entry is what is known of a request id. Whoever calls a rule
sees to it that nothing else reads or writes meanwhile. Times are seconds on the ledger's clock.
"""

from dataclasses import dataclass, replace
from typing import Protocol

from attachment_gateway.ledger import (
    LEASE_S,
    AsCreated,
    AsFound,
    AsNothing,
    AsUnknown,
    Created,
    End,
    First,
    InProgress,
    Place,
    Reused,
    Standing,
    Unsettled,
    Waiting,
)


@dataclass(frozen=True, slots=True)
class Row:
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


@dataclass(frozen=True, slots=True)
class Entry:
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

    def row(self, holder: str) -> Row | None:
        """Return a holder's row."""

    def head(self, post: str) -> Row | None:
        """Return the row with the post's lowest `seq`."""

    def next_seq(self, post: str) -> int:
        """Return a `seq` behind all of the post's rows."""

    def put_row(self, row: Row) -> None:
        """Write a row instead of the holder's, and instead of the one with its post and `seq`."""

    def drop_row(self, row: Row) -> None:
        """Remove a row."""

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

    def enter(self, place: Place, now: float, settled_in_s: float | None = None) -> Standing:
        """As Ledger.enter."""
        self._store.purge(now, now - self._kept_s)
        entry = self._entry(place, now)
        if standing := self._refusal(place, entry, now):
            self._withdraw(place, now)
            return standing
        self._join(place, entry, now)
        unsettled = self._take(place, entry, now) if place.request_id else None
        head = self._head(place.post, now)
        if head is None or head.holder != place.holder:
            return Waiting()
        if unsettled is None and settled_in_s is not None:
            self.sending(place, now, settled_in_s=settled_in_s, anew=True)
        return First(unsettled=unsettled)

    def find(self, place: Place, now: float) -> Created | Reused | InProgress | None:
        """As Ledger.find."""
        return self._refusal(place, self._entry(place, now), now)

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
        self._store.purge(now, now - self._kept_s)
        row = self._row(place.holder, now)
        if isinstance(end, AsCreated):
            self._created(place, end.attachment_id, now)
            if row:
                self._store.drop_row(row)
            return
        # One that has left already, or was passed over, knows nothing that counts.
        if row is None or row.lease_until is None:
            return
        entry = self._own_entry(place, now)
        if isinstance(end, AsFound):
            end = _as_found(entry, now)
        if isinstance(end, AsNothing):
            self._store.drop_row(row)
            ended = entry and replace(entry, holder="", began_at=None, told=False)
        else:
            settled_at = now + end.settled_in_s
            self._store.put_row(replace(row, lease_until=None, gone_at=settled_at))
            ended = entry and _unknown(entry, now, settled_at, told=end.created)
        if ended:
            self._put(place, ended, now)

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """As Ledger.claimed."""
        return self._store.claimed(post, now)

    # Rows.

    def _row(self, holder: str, now: float) -> Row | None:
        row = self._store.row(holder)
        return row if row and now < row.gone_at + self._kept_s else None

    def _join(self, place: Place, entry: Entry | None, now: float) -> None:
        if row := self._row(place.holder, now):
            row = self._renewed(row, now, sent=row.sent)
        elif dead := entry and entry.holder and self._row(entry.holder, now):
            # `gone_at` stays: what the dead one sent has to settle, whoever has its place.
            row = self._renewed(replace(dead, holder=place.holder), now, sent=False)
        else:
            row = self._last(place, now)
        self._store.put_row(row)

    def _last(self, place: Place, now: float) -> Row:
        lease_until = now + self._lease_s
        return Row(
            post=place.post,
            seq=self._store.next_seq(place.post),
            holder=place.holder,
            lease_until=lease_until,
            sent=False,
            gone_at=lease_until,
        )

    def _renewed(self, row: Row, now: float, *, sent: bool) -> Row:
        lease_until = now + self._lease_s
        gone_at = max(row.gone_at, lease_until + self._settle_s if sent else lease_until)
        return replace(row, lease_until=lease_until, sent=sent, gone_at=gone_at)

    def _head(self, post: str, now: float) -> Row | None:
        """Return the head; the dead are dropped when they come there, and may come back before."""
        while (head := self._store.head(post)) and head.gone_at <= now:
            self._store.drop_row(head)
        return head

    def _held(self, place: Place, now: float) -> tuple[Row, Entry | None] | None:
        row = self._row(place.holder, now)
        if row is None or row.lease_until is None:
            return None
        entry = self._own_entry(place, now)
        if place.request_id and entry is None:
            return None
        return row, entry

    def _withdraw(self, place: Place, now: float) -> None:
        """Take a place out of its queue whose request id came to an end without it."""
        row = self._row(place.holder, now)
        if row and row.lease_until is not None and not row.sent:
            self._store.drop_row(row)

    # Entries.

    def _entry(self, place: Place, now: float) -> Entry | None:
        return self._store.entry(place.request_id, now) if place.request_id else None

    def _own_entry(self, place: Place, now: float) -> Entry | None:
        entry = self._entry(place, now)
        return entry if entry and entry.holder == place.holder else None

    def _refusal(
        self, place: Place, entry: Entry | None, now: float
    ) -> Created | Reused | InProgress | None:
        if entry is None:
            return None
        if not entry.is_of(place):
            return Reused()
        if entry.attachment_id:
            return Created(attachment_id=entry.attachment_id, ago_s=now - entry.created_at)
        if entry.holder in {"", place.holder}:
            return None
        row = self._row(entry.holder, now)
        if row is None or row.lease_until is None or row.lease_until <= now:
            return None
        return InProgress(lease_left_s=row.lease_until - now)

    def _take(self, place: Place, entry: Entry | None, now: float) -> Unsettled | None:
        entry = replace(entry, holder=place.holder) if entry else _fresh(place)
        self._put(place, entry, now)
        if entry.began_at is None:
            return None
        return Unsettled(
            began_ago_s=now - entry.began_at,
            settled_in_s=entry.settled_at - now,
            created=entry.told,
        )

    def _created(self, place: Place, attachment_id: str, now: float) -> None:
        """Record an attachment, from one whose place was taken over too: it is there."""
        self._store.claim(place.post, attachment_id, now + self._kept_s)
        if not place.request_id:
            return
        entry = self._entry(place, now) or _fresh(place)
        # Whoever holds it now sees that it lost it, and finds the attachment.
        if entry.is_of(place) and not entry.attachment_id:
            created = replace(
                entry,
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


def _with_sending(entry: Entry, now: float, settled_in_s: float, *, anew: bool) -> Entry:
    settled_at = now + settled_in_s
    if anew or entry.began_at is None:
        return replace(entry, began_at=now, settled_at=settled_at, told=False)
    return replace(entry, settled_at=max(entry.settled_at, settled_at))


def _as_found(entry: Entry | None, now: float) -> AsNothing | AsUnknown:
    if entry is None or entry.began_at is None:
        return AsNothing()
    return AsUnknown(settled_in_s=entry.settled_at - now)


def _unknown(entry: Entry, now: float, settled_at: float, *, told: bool) -> Entry:
    began_at = now if entry.began_at is None else entry.began_at
    return replace(entry, began_at=began_at, settled_at=settled_at, told=told or entry.told)
