"""One post's queue and one request id's entry, as they were read from Redis: a Store for `rules`.

Machines share no clock, so a stored row or attempt has spans and a token that is new with each
write. A process counts a span from when it has first seen the token. So a lease is over, and an
attempt settled, only when this process has watched it unrenewed for that long.
"""

import itertools
import math
import secrets
from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import orjson

from attachment_gateway.ledger.rules import Attempt, Entry, Row

# The tokens that a process remembers. It counts the span of a forgotten one from the start again,
# and so waits longer.
MAX_SIGHTINGS = 100_000


class Sightings:
    """When this process has first seen a token, on its own clock."""

    def __init__(self) -> None:
        self._seen = OrderedDict[str, float]()
        self._prefix = secrets.token_hex(8)
        self._numbers = itertools.count()

    def first(self, token: str, now: float) -> float:
        """Return when the token was first seen, which is now if it is unknown."""
        seen = self._seen.setdefault(token, now)
        self._seen.move_to_end(token)
        if len(self._seen) > MAX_SIGHTINGS:
            self._seen.popitem(last=False)
        return seen

    def new(self, now: float) -> str:
        """Return a new token, first seen now."""
        token = f"{self._prefix}{next(self._numbers):x}"
        self.first(token, now)
        return token


class RedisSnapshot:
    """A Store of one post and one request id; `boot_id` and `now` are this process's."""

    def __init__(
        self, queue: bytes, entry: bytes, sightings: Sightings, *, boot_id: str, now: float
    ) -> None:
        self._sightings = sightings
        self._boot_id = boot_id
        self._now = now
        self._post = ""
        self._rows: dict[int, Row] = {}
        self._attempts: dict[Attempt, Any] = {}  # as they are stored
        self._stored_rows: dict[Row, Any] = {}
        self._stored_entry: tuple[Entry, bytes] | None = None
        self._entry: Entry | None = None
        self._expires_at = math.inf
        self.claim_id = ""
        rows, self._unsettled = orjson.loads(queue) if queue else ([], [])
        for stored in rows:
            row = self._read_row(stored)
            self._rows[row.seq] = row
            self._stored_rows[row] = stored
        if entry:
            self._entry = self._read_entry(orjson.loads(entry))
            self._stored_entry = (self._entry, entry)

    # A Store.

    def purge(self, now: float, gone_by: float) -> None:
        """Do nothing: what has ended has a TTL."""

    def rows(self, post: str) -> Sequence[Row]:
        """Return the post's rows, in order."""
        return [row._replace(post=post) for _, row in sorted(self._rows.items())]

    def put_row(self, row: Row) -> None:
        """Write a row; it replaces the row with the same `seq`."""
        self._rows[row.seq] = row._replace(post="")

    def drop_row(self, post: str, holder: str) -> None:  # noqa: ARG002 it has one post only
        """Remove a holder's row, if there is one."""
        self._rows = {seq: row for seq, row in self._rows.items() if row.holder != holder}

    def end_row(self, post: str, holder: str, gone_at: float) -> None:
        """Set a holder's row, if there is one, to a lease that has ended."""
        for row in self.rows(post):
            if row.holder == holder:
                self.put_row(row._replace(lease_until=None, gone_at=gone_at))

    def entry(self, request_id: str, now: float) -> Entry | None:  # noqa: ARG002 it has one entry
        """Return the entry, None if there is none or it has expired."""
        return self._entry if now < self._expires_at else None

    def put_entry(self, request_id: str, entry: Entry, expires_at: float) -> None:
        """Write the entry."""
        self._entry, self._expires_at = entry, expires_at
        self._unsettled = [each for each in self._unsettled if each != request_id]
        if entry.unsettled is not None:
            self._unsettled.append(request_id)

    def claim(self, post: str, attachment_id: str, expires_at: float) -> None:  # noqa: ARG002
        """Record the id of an attachment that a delivery has created."""
        self.claim_id = attachment_id

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """Not part of a snapshot: the claims are read by themselves."""
        raise NotImplementedError

    # As it is written.

    @property
    def keeps_claims(self) -> bool:
        """Whether the post has an unsettled entry, whose look-ups need all claims."""
        return bool(self._unsettled)

    def queue_bytes(self) -> bytes:
        """Return the queue as it is written, empty if there is nothing to remember."""
        rows = [
            self._stored_rows.get(row) or self._written_row(row)
            for _, row in sorted(self._rows.items())
        ]
        return orjson.dumps([rows, self._unsettled]) if rows or self._unsettled else b""

    def queue_ttl_s(self, kept_s: float) -> float | None:
        """Return how long the queue is kept; None without end, while a lease or entry needs it."""
        if self._unsettled or any(row.lease_until is not None for row in self._rows.values()):
            return None
        gone_at = max((row.gone_at for row in self._rows.values()), default=self._now)
        return max(gone_at + kept_s - self._now, 1.0)

    def entry_bytes(self) -> bytes:
        """Return the entry as it is written, empty if there is none."""
        if self._entry is None:
            return b""
        if self._stored_entry is not None and self._stored_entry[0] == self._entry:
            return self._stored_entry[1]
        return orjson.dumps(self._written_entry(self._entry))

    def entry_ttl_s(self) -> float | None:
        """Return how long the entry is kept; None without end."""
        return None if self._expires_at == math.inf else max(self._expires_at - self._now, 1.0)

    # Rows and attempts, with spans in place of times.

    def _read_row(self, stored: Any) -> Row:
        seq, holder, lease_s, sent, gone_s, token = stored
        seen = self._sightings.first(token, self._now)
        lease_until = None if lease_s is None else seen + lease_s
        return Row("", seq, holder, lease_until, sent, seen + gone_s)

    def _written_row(self, row: Row) -> Any:
        lease_s = None if row.lease_until is None else row.lease_until - self._now
        token = self._sightings.new(self._now)
        return (row.seq, row.holder, lease_s, row.sent, row.gone_at - self._now, token)

    def _read_entry(self, stored: Any) -> Entry:
        post, fingerprint, holder, attempts, attachment_id, expires_s, token = stored
        seen = self._sightings.first(token, self._now)
        self._expires_at = math.inf if expires_s is None else seen + expires_s
        return Entry(
            post=post,
            fingerprint=b64decode(fingerprint),
            holder=holder,
            attempts=tuple(map(self._read_attempt, attempts)),
            attachment_id=attachment_id,
            created_at=seen,
        )

    def _written_entry(self, entry: Entry) -> Any:
        return (
            entry.post,
            b64encode(entry.fingerprint).decode(),
            entry.holder,
            [self._attempts.get(each) or self._written_attempt(each) for each in entry.attempts],
            entry.attachment_id,
            None if self._expires_at == math.inf else self._expires_at - self._now,
            self._sightings.new(self._now),
        )

    def _read_attempt(self, stored: Any) -> Attempt:
        boot_id, began_at, settles_s, wall_s, created, absent, baseline, seen_ids, token = stored
        seen = self._sightings.first(token, self._now)
        is_here = boot_id == self._boot_id
        attempt = Attempt(
            began_at=began_at if is_here else seen,
            settled_at=seen + settles_s,
            wall_s=wall_s if is_here else None,
            created=created,
            absent=absent,
            baseline=None if baseline is None else b64decode(baseline),
            seen=b64decode(seen_ids),
        )
        self._attempts[attempt] = stored
        return attempt

    def _written_attempt(self, attempt: Attempt) -> Any:
        baseline = None if attempt.baseline is None else b64encode(attempt.baseline).decode()
        return (
            self._boot_id if attempt.wall_s is not None else "",
            attempt.began_at,
            attempt.settled_at - self._now,
            attempt.wall_s,
            attempt.created,
            attempt.absent,
            baseline,
            b64encode(attempt.seen).decode(),
            self._sightings.new(self._now),
        )
