"""A ledger's rows and entries, in SQLite's tables."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from attachment_gateway.ledger.packing import packed, unpacked
from attachment_gateway.ledger.rules import Entry, Row
from attachment_gateway.ledger.sqlite_file import POST_DIGEST_BYTES, post_digest

_Key = tuple[str | bytes, ...]

# The number of rows of a table that one purge checks; the next purge continues after them.
PURGE_ROWS = 2000

ROWS = """SELECT seq, holder, lease_until, sent, gone_at FROM queue
  WHERE post = ? ORDER BY seq"""
PUT_ROW = "REPLACE INTO queue VALUES (?, ?, ?, ?, ?, ?)"
END_ROW = "UPDATE queue SET lease_until = NULL, gone_at = ? WHERE post = ? AND holder = ?"
DROP_ROW = "DELETE FROM queue WHERE post = ? AND holder = ?"

# Scanned as a whole: the table has one row for each call in progress, and few that are gone.
PURGE_QUEUE = "DELETE FROM queue WHERE gone_at <= ?"

ENTRY = """SELECT post, fingerprint, holder, attempts, attachment_id, created_at
  FROM entries WHERE request_id = ? AND ? < expires_at"""
PUT_ENTRY = "REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"

CLAIM = "REPLACE INTO claimed VALUES (?, ?, ?)"
CLAIMED = """SELECT attachment_id FROM claimed WHERE post = ?1
  AND (?2 < expires_at OR EXISTS (SELECT 1 FROM entries WHERE unsettled_post = ?1))"""


class _Purge(NamedTuple):
    """The statements that purge a table in portions.

    `portion_end` selects the last key of the portion that follows a given key; `delete` deletes the
    expired rows of the portion. `before_all` and `behind_all` are keys before and after all others.
    """

    portion_end: str
    delete: str
    before_all: _Key
    behind_all: _Key


PURGES = (
    _Purge(
        "SELECT request_id FROM entries WHERE request_id > ? ORDER BY 1 LIMIT 1 OFFSET ?",
        "DELETE FROM entries WHERE request_id > ? AND request_id <= ? AND expires_at <= ?",
        ("",),
        ("\U0010ffff",),
    ),
    _Purge(
        """SELECT post, attachment_id FROM claimed WHERE (post, attachment_id) > (?, ?)
          ORDER BY 1, 2 LIMIT 1 OFFSET ?""",
        """DELETE FROM claimed WHERE (post, attachment_id) > (?, ?)
          AND (post, attachment_id) <= (?, ?) AND expires_at <= ?
          AND NOT EXISTS (SELECT 1 FROM entries WHERE unsettled_post = claimed.post)""",
        (b"", ""),
        (b"\xff" * (POST_DIGEST_BYTES + 1), ""),
    ),
)


class SqliteStore:
    """A Store in SQLite tables."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.cursor().execute  # making a cursor costs as much as a row
        self._purged_to = [each.before_all for each in PURGES]

    def purge(self, now: float, gone_by: float) -> None:
        """Delete the gone rows, and the expired rows of one portion of each other table."""
        self._execute(PURGE_QUEUE, (gone_by,))
        for index, each in enumerate(PURGES):
            begin = self._purged_to[index]
            end = self._execute(each.portion_end, (*begin, PURGE_ROWS - 1)).fetchone()
            self._execute(each.delete, (*begin, *(end or each.behind_all), now))
            self._purged_to[index] = end or each.before_all

    def rows(self, post: str) -> Sequence[Row]:
        """Return the post's rows, in order."""
        return [
            Row(post, seq, holder, lease_until, bool(sent), gone_at)
            for seq, holder, lease_until, sent, gone_at in self._execute(ROWS, (post_digest(post),))
        ]

    def put_row(self, row: Row) -> None:
        """Write a row; it replaces the row with the same post and `seq`."""
        changes = (row.lease_until, row.sent, row.gone_at)
        self._execute(PUT_ROW, (post_digest(row.post), row.seq, row.holder, *changes))

    def drop_row(self, post: str, holder: str) -> None:
        """Remove the holder's row, if there is one."""
        self._execute(DROP_ROW, (post_digest(post), holder))

    def end_row(self, post: str, holder: str, gone_at: float) -> None:
        """Set a holder's row, if there is one, to a lease that has ended."""
        self._execute(END_ROW, (gone_at, post_digest(post), holder))

    def entry(self, request_id: str, now: float) -> Entry | None:
        """Return the request id's entry, None if there is none or it has expired."""
        found = self._execute(ENTRY, (request_id, now)).fetchone()
        if found is None:
            return None
        post, fingerprint, holder, attempts, *rest = found
        return Entry(post, fingerprint, holder, unpacked(attempts), *rest)

    def put_entry(self, request_id: str, entry: Entry, expires_at: float) -> None:
        """Write the request id's entry."""
        self._execute(
            PUT_ENTRY,
            (
                request_id,
                entry.post,
                entry.fingerprint,
                entry.holder,
                packed(entry.attempts),
                entry.attachment_id,
                entry.created_at,
                expires_at,
                post_digest(entry.post) if entry.unsettled else None,
            ),
        )

    def claim(self, post: str, attachment_id: str, expires_at: float) -> None:
        """Record the id of an attachment that a delivery has created."""
        self._execute(CLAIM, (post_digest(post), attachment_id, expires_at))

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """Return the post's claimed ids: see Store."""
        return frozenset(each for [each] in self._execute(CLAIMED, (post_digest(post), now)))
