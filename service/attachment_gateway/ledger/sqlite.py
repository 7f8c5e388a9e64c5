"""The ledger of all processes of one machine, in a SQLite file; it outlives them."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self, TypeVar

from attachment_gateway.ledger import (
    LEASE_S,
    Created,
    End,
    InProgress,
    LedgerUnavailable,
    Place,
    Reused,
    Standing,
)
from attachment_gateway.ledger.rules import Entry, Row, Rules
from attachment_gateway.ledger.sqlite_file import opened

_T = TypeVar("_T")

_Write = tuple[Callable[[float], Any], asyncio.Future[Any]]

# A call adds a row to each table at most. Four times as many are looked through, round and round:
# so a table has at most a third more rows than it needs.
PURGE_EVERY = 100
PURGE_ROWS = 4 * PURGE_EVERY

ROW = "SELECT post, seq, holder, lease_until, sent, gone_at FROM queue WHERE holder = ?"
HEAD = """SELECT post, seq, holder, lease_until, sent, gone_at FROM queue
  WHERE post = ? ORDER BY seq LIMIT 1"""
LAST_SEQ = "SELECT max(seq) FROM queue WHERE post = ?"
RENEW_ROW = "UPDATE queue SET lease_until = ?, sent = ?, gone_at = ? WHERE holder = ? AND seq = ?"
PUT_ROW = "REPLACE INTO queue VALUES (?, ?, ?, ?, ?, ?)"
DROP_ROW = "DELETE FROM queue WHERE post = ? AND seq = ?"
PURGE_QUEUE = "DELETE FROM queue WHERE gone_at <= ?"

ENTRY = """SELECT post, fingerprint, holder, began_at, settled_at, told, attachment_id, created_at
  FROM entries WHERE request_id = ? AND ? < expires_at"""
PUT_ENTRY = """INSERT INTO entries (post, fingerprint, holder, began_at, settled_at, told,
  attachment_id, created_at, request_id, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
  ON CONFLICT (request_id) DO UPDATE SET post = excluded.post, fingerprint = excluded.fingerprint,
  holder = excluded.holder, began_at = excluded.began_at, settled_at = excluded.settled_at,
  told = excluded.told, attachment_id = excluded.attachment_id, created_at = excluded.created_at,
  expires_at = excluded.expires_at"""

CLAIM = """INSERT INTO claimed (post, attachment_id, expires_at) VALUES (?, ?, ?)
  ON CONFLICT (post, attachment_id) DO UPDATE SET expires_at = excluded.expires_at"""
CLAIMED = "SELECT attachment_id FROM claimed WHERE post = ? AND ? < expires_at"

# For each table: where a portion ends that begins behind a row, and its deletion.
PURGES = (
    (
        "SELECT max(n) FROM (SELECT n FROM entries WHERE n > ? ORDER BY n LIMIT ?)",
        "DELETE FROM entries WHERE n > ? AND n <= ? AND expires_at <= ?",
    ),
    (
        "SELECT max(n) FROM (SELECT n FROM claimed WHERE n > ? ORDER BY n LIMIT ?)",
        "DELETE FROM claimed WHERE n > ? AND n <= ? AND expires_at <= ?",
    ),
)


class SqliteLedger:
    """A Ledger. One thread has the connection, so that no file operation holds up the event loop.

    It may not be used across a fork.
    """

    def __init__(
        self,
        thread: ThreadPoolExecutor,
        connection: sqlite3.Connection,
        rules: Rules,
        clock: Callable[[], float],
    ) -> None:
        self._thread = thread
        self._connection = connection
        self._rules = rules
        self._clock = clock
        self._gathering: list[_Write] = []
        self._writing = False

    @classmethod
    async def open(
        cls,
        path: str,
        *,
        settle_s: float,
        retention_s: float,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open the file, or make it. Its processes share the wall clock. Raises SettingError."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, opened, path)
        except BaseException:
            thread.shutdown(wait=False)
            raise
        store = SqliteStore(connection)
        rules = Rules(store, settle_s=settle_s, retention_s=retention_s, lease_s=lease_s)
        return cls(thread, connection, rules, clock)

    async def enter(self, place: Place, *, settled_in_s: float | None = None) -> Standing:
        """As Ledger has it, like all below."""
        return await self._write(lambda now: self._rules.enter(place, now, settled_in_s))

    async def find(self, place: Place) -> Created | Reused | InProgress | None:
        """Look the request id up."""
        return await self._read(lambda now: self._rules.find(place, now))

    async def renew(self, place: Place) -> bool:
        """Renew the lease."""
        return await self._write(lambda now: self._rules.renew(place, now))

    async def sending(self, place: Place, *, settled_in_s: float, anew: bool) -> bool:
        """Write ahead."""
        return await self._write(
            lambda now: self._rules.sending(place, now, settled_in_s=settled_in_s, anew=anew)
        )

    async def leave(self, place: Place, end: End) -> None:
        """Leave the queue, with what became of it."""
        await self._write(lambda now: self._rules.leave(place, end, now))

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids that calls have answered with."""
        return await self._read(lambda now: self._rules.claimed(post, now))

    async def close(self) -> None:
        """Finish what is under way, and let go of the file and the thread."""
        with suppress(LedgerUnavailable):  # it is closed already
            await self._in_thread(self._connection.close)
        self._thread.shutdown(wait=False)

    async def _read(self, work: Callable[[float], _T]) -> _T:
        return await self._in_thread(lambda: self._transaction("BEGIN", work))

    async def _write(self, work: Callable[[float], _T]) -> _T:
        """Write together with all that wants to be written while the thread is at it."""
        done = asyncio.get_running_loop().create_future()
        self._gathering.append((work, done))
        if not self._writing:
            self._write_what_there_is()
        written: _T = await done
        return written

    def _write_what_there_is(self) -> None:
        writes, self._gathering = self._gathering, []
        self._writing = bool(writes)
        if not writes:
            return
        loop = asyncio.get_running_loop()

        def work_all() -> None:
            # One that begins by reading and goes on to write can fail at once, so none does.
            try:
                answers = self._transaction(
                    "BEGIN IMMEDIATE", lambda now: [work(now) for work, _ in writes]
                )
            except Exception as error:  # noqa: BLE001 told to all, for nothing was written of any
                loop.call_soon_threadsafe(self._tell, writes, [error] * len(writes))
            else:
                loop.call_soon_threadsafe(self._tell, writes, answers)

        try:
            self._thread.submit(work_all)
        except RuntimeError as error:  # the thread was let go
            self._tell(writes, [LedgerUnavailable(f"SQLite: {error}")] * len(writes))

    def _tell(self, writes: "list[_Write]", answers: Sequence[object]) -> None:
        """Give everyone the answer, and write what has gathered meanwhile."""
        for (_, done), answer in zip(writes, answers, strict=True):
            if done.done():  # who asked has gone
                continue
            if isinstance(answer, Exception):
                done.set_exception(answer)
            else:
                done.set_result(answer)
        self._write_what_there_is()

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        try:
            done = asyncio.get_running_loop().run_in_executor(self._thread, work)
        except RuntimeError as error:  # the thread was let go
            raise LedgerUnavailable(f"SQLite: {error}") from error
        return await done

    def _transaction(self, begin: str, work: Callable[[float], _T]) -> _T:
        try:
            with self._connection:
                self._connection.execute(begin)
                # Once it is its turn, so that time doesn't go back from one to the next.
                return work(self._clock())
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"SQLite: {error}") from error


class SqliteStore:
    """A Store of tables."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._writes = 0
        self._purged_to = [0 for _ in PURGES]

    def purge(self, now: float, gone_by: float) -> None:
        """Delete some of what may go, once in a while."""
        if self._writes % PURGE_EVERY == 0:
            self._execute(PURGE_QUEUE, (gone_by,))
            for index, (portion, delete) in enumerate(PURGES):
                begin = self._purged_to[index]
                [end] = self._execute(portion, (begin, PURGE_ROWS)).fetchone()
                self._execute(delete, (begin, end, now))
                self._purged_to[index] = end or 0
        self._writes += 1

    def row(self, holder: str) -> Row | None:
        """Return a holder's row."""
        return _row(self._execute(ROW, (holder,)).fetchone())

    def head(self, post: str) -> Row | None:
        """Return the row with the post's lowest `seq`."""
        return _row(self._execute(HEAD, (post,)).fetchone())

    def next_seq(self, post: str) -> int:
        """Return a `seq` behind all of the post's rows."""
        [last] = self._execute(LAST_SEQ, (post,)).fetchone()
        return 1 if last is None else last + 1

    def put_row(self, row: Row) -> None:
        """Write a row instead of the holder's, and instead of the one with its post and `seq`."""
        changes = (row.lease_until, row.sent, row.gone_at)
        # Mostly it is there, and no index changes.
        if not self._execute(RENEW_ROW, (*changes, row.holder, row.seq)).rowcount:
            self._execute(PUT_ROW, (row.post, row.seq, row.holder, *changes))

    def drop_row(self, row: Row) -> None:
        """Remove a row."""
        self._execute(DROP_ROW, (row.post, row.seq))

    def entry(self, request_id: str, now: float) -> Entry | None:
        """Return the entry that hasn't expired."""
        found = self._execute(ENTRY, (request_id, now)).fetchone()
        if found is None:
            return None
        post, fingerprint, holder, began_at, settled_at, told, *rest = found
        return Entry(post, fingerprint, holder, began_at, settled_at, bool(told), *rest)

    def put_entry(self, request_id: str, entry: Entry, expires_at: float) -> None:
        """Write an entry instead of the request id's."""
        self._execute(
            PUT_ENTRY,
            (
                entry.post,
                entry.fingerprint,
                entry.holder,
                entry.began_at,
                entry.settled_at,
                entry.told,
                entry.attachment_id,
                entry.created_at,
                request_id,
                expires_at,
            ),
        )

    def claim(self, post: str, attachment_id: str, expires_at: float) -> None:
        """Remember an attachment."""
        self._execute(CLAIM, (post, attachment_id, expires_at))

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """Return the post's attachments that haven't expired."""
        return frozenset(each for [each] in self._execute(CLAIMED, (post, now)))


def _row(found: tuple[Any, ...] | None) -> Row | None:
    if found is None:
        return None
    post, seq, holder, lease_until, sent, gone_at = found
    return Row(post, seq, holder, lease_until, bool(sent), gone_at)
