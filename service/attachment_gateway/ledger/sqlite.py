"""The ledger of all processes of one machine, in a SQLite file; it outlives them."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any, Self, TypeVar

import structlog

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
from attachment_gateway.ledger.sqlite_file import (
    BUSY_S,
    CHECKPOINT_PAGES,
    KEY_BYTES,
    SCHEMA_VERSION,
    key,
    opened,
)

_T = TypeVar("_T")

_Work = Callable[[Rules, float], _T]

_Key = tuple[str | bytes, ...]

_Waiting = tuple[_Work[Any], asyncio.Future[Any]]

# How long what a call ends with waits for others to be written with it, and its answer with it: a
# transaction costs several times what is written in it, and Graph takes a hundred times as long.
LINGER_S = 0.002

# A transaction takes some 50 us, handing one to a thread more than that. After one that took so
# long they are the thread's business for a while: the file may be slow.
SLOW_S = 0.05
SLOW_FOR_S = 10.0

# So many writes add as many rows to a table at most. Four times as many are looked through, round
# and round: so a table has at most a third more rows than it needs.
UPKEEP_EVERY = 500
PURGE_ROWS = 4 * UPKEEP_EVERY

# One that begins by reading and goes on to write can fail at once, so none does.
BEGIN_TO_WRITE = "BEGIN IMMEDIATE"
BEGIN_TO_READ = "BEGIN"

ROWS = """SELECT seq, holder, lease_until, sent, gone_at FROM queue
  WHERE post = ? ORDER BY seq"""
PUT_ROW = "REPLACE INTO queue VALUES (?, ?, ?, ?, ?, ?)"
DROP_ROW = "DELETE FROM queue WHERE post = ? AND holder = ?"
PURGE_QUEUE = "DELETE FROM queue WHERE gone_at <= ?"

ENTRY = """SELECT post, fingerprint, holder, began_at, settled_at, told, attachment_id, created_at
  FROM entries WHERE request_id = ? AND ? < expires_at"""
PUT_ENTRY = "REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"

CLAIM = "REPLACE INTO claimed VALUES (?, ?, ?)"
CLAIMED = "SELECT attachment_id FROM claimed WHERE post = ? AND ? < expires_at"

# For each table: the key at which a portion ends that begins behind another, and its deletion; the
# keys before all and behind all.
PURGES: tuple[tuple[str, str, _Key, _Key], ...] = (
    (
        "SELECT request_id FROM entries WHERE request_id > ? ORDER BY 1 LIMIT 1 OFFSET ?",
        "DELETE FROM entries WHERE request_id > ? AND request_id <= ? AND expires_at <= ?",
        ("",),
        ("\U0010ffff",),
    ),
    (
        """SELECT post, attachment_id FROM claimed WHERE (post, attachment_id) > (?, ?)
          ORDER BY 1, 2 LIMIT 1 OFFSET ?""",
        """DELETE FROM claimed WHERE (post, attachment_id) > (?, ?)
          AND (post, attachment_id) <= (?, ?) AND expires_at <= ?""",
        (b"", ""),
        (b"\xff" * (KEY_BYTES + 1), ""),
    ),
)

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class SqliteLedger:
    """A Ledger. It may not be used across a fork.

    A transaction is carried out at once, if the file lets it. What has to wait for other processes,
    and what may be slow, is the business of a thread, so that it doesn't hold up the event loop:
    purging, and copying from SQLite's log into the file, with its waits for the disk.
    """

    def __init__(self, thread: ThreadPoolExecutor, here: "Hand", there: "Hand") -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = thread
        self._here = here
        self._there = there
        self._waiting: list[_Waiting] = []
        self._lingering: asyncio.TimerHandle | None = None
        self._busy = False
        self._slow_until = 0.0
        self._writes_to_upkeep = UPKEEP_EVERY

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

        def hand(*, busy_s: float, checkpoint_pages: int) -> Hand:
            connection = opened(path, busy_s=busy_s, checkpoint_pages=checkpoint_pages)
            store = SqliteStore(connection)
            rules = Rules(store, settle_s=settle_s, retention_s=retention_s, lease_s=lease_s)
            return Hand(connection, rules, clock, waits=busy_s > 0)

        thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        loop = asyncio.get_running_loop()
        try:
            there = await loop.run_in_executor(
                thread, lambda: hand(busy_s=BUSY_S, checkpoint_pages=CHECKPOINT_PAGES)
            )
        except BaseException:
            thread.shutdown(wait=False)
            raise
        return cls(thread, hand(busy_s=0, checkpoint_pages=0), there)

    async def enter(self, place: Place, *, settled_in_s: float | None = None) -> Standing:
        """As Ledger has it, like all below."""
        return await self._write(lambda rules, now: rules.enter(place, now, settled_in_s))

    async def find(self, place: Place) -> Created | Reused | InProgress | None:
        """Look the request id up."""
        return await self._read(lambda rules, now: rules.find(place, now))

    async def renew(self, place: Place) -> bool:
        """Renew the lease."""
        return await self._write(lambda rules, now: rules.renew(place, now))

    async def sending(self, place: Place, *, settled_in_s: float, anew: bool) -> bool:
        """Write ahead."""
        return await self._write(
            lambda rules, now: rules.sending(place, now, settled_in_s=settled_in_s, anew=anew)
        )

    async def leave(self, place: Place, end: End) -> None:
        """Leave the queue, with what became of it."""
        await self._write(lambda rules, now: rules.leave(place, end, now), linger=True)

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids that calls have answered with."""
        return await self._read(lambda rules, now: rules.claimed(post, now))

    async def close(self) -> None:
        """Finish what is under way, and let go of the file and the thread."""
        if self._waiting and not self._busy:
            self._carry_out()
        self._here.close()
        with suppress(RuntimeError):  # it is closed already
            await self._loop.run_in_executor(self._thread, self._there.close)
        self._thread.shutdown(wait=False)

    async def _read(self, work: _Work[_T]) -> _T:
        try:
            return self._here.transaction(BEGIN_TO_READ, work)
        except LedgerUnavailable:  # others may be at work on the log
            transaction = partial(self._there.transaction, BEGIN_TO_READ, work)
            return await self._loop.run_in_executor(self._thread, transaction)

    async def _write(self, work: _Work[_T], *, linger: bool = False) -> _T:
        """Write at once, with all that lingers; or linger, to be written with what comes."""
        done = self._loop.create_future()
        self._waiting.append((work, done))
        if self._busy:
            pass
        elif not linger:
            self._carry_out()
        elif self._lingering is None:
            self._lingering = self._loop.call_later(LINGER_S, self._carry_out)
        written: _T = await done
        return written

    def _carry_out(self) -> None:
        """Write what waits: here, or by the thread."""
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        began_at = self._loop.time()
        if began_at < self._slow_until or self._writes_to_upkeep <= 0:
            self._hand_over()
            return
        answers = self._here.answers(self._waiting)
        if answers is None:
            self._hand_over()
            return
        waiting, self._waiting = self._waiting, []
        self._writes_to_upkeep -= len(waiting)
        if self._loop.time() - began_at > SLOW_S:
            self._slow_until = began_at + SLOW_FOR_S
        _tell(waiting, answers)

    def _hand_over(self) -> None:
        """Let the thread write all that waits, in one transaction, and do the upkeep if need be."""
        waiting, self._waiting = self._waiting, []
        self._writes_to_upkeep -= len(waiting)
        upkeep = self._writes_to_upkeep <= 0
        if upkeep:
            self._writes_to_upkeep = UPKEEP_EVERY
        self._busy = True

        def work() -> None:
            self._loop.call_soon_threadsafe(_tell, waiting, self._there.answers(waiting) or [])
            if upkeep:
                self._keep_up()
            self._loop.call_soon_threadsafe(self._go_on)

        try:
            self._thread.submit(work)
        except RuntimeError as error:  # the thread was let go
            _tell(waiting, [LedgerUnavailable(f"SQLite: {error}")] * len(waiting))
            self._go_on()

    def _keep_up(self) -> None:
        """Purge.

        Once in a while SQLite's log is copied with that, and then the next to write waits for the
        disk: that isn't left to a call.
        """
        try:
            self._there.transaction(BEGIN_TO_WRITE, lambda rules, now: rules.purge(now))
            self._there.write_something()
        except LedgerUnavailable as error:
            log.warning("ledger_not_purged", why=error.why)

    def _go_on(self) -> None:
        """Write what has come while the thread was at work."""
        self._busy = False
        if self._waiting:
            self._carry_out()


def _tell(waiting: Sequence[_Waiting], answers: Sequence[object]) -> None:
    for (_, done), answer in zip(waiting, answers, strict=True):
        if done.done():  # who asked has gone
            continue
        if isinstance(answer, Exception):
            done.set_exception(answer)
        else:
            done.set_result(answer)


class Hand:
    """A connection, for one thread, and what is done by it; it `waits` for others, or doesn't."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        rules: Rules,
        clock: Callable[[], float],
        *,
        waits: bool,
    ) -> None:
        self._connection = connection
        self._rules = rules
        self._clock = clock
        self._waits = waits

    def transaction(self, begin: str, work: _Work[_T]) -> _T:
        """Do it all or nothing; raises LedgerUnavailable."""
        try:
            with self._connection:
                self._connection.execute(begin)
                # Once it is its turn, so that time doesn't go back from one to the next.
                return work(self._rules, self._clock())
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"SQLite: {error}") from error

    def answers(self, waiting: Sequence[_Waiting]) -> Sequence[object] | None:
        """Do all that waits, and return the answers; None if others write, and it doesn't wait."""
        try:
            return self.transaction(
                BEGIN_TO_WRITE, lambda rules, now: [work(rules, now) for work, _ in waiting]
            )
        except Exception as error:  # noqa: BLE001 told to all, for nothing was written of any
            if not self._waits and _is_busy(error.__cause__):
                return None
            return [error] * len(waiting)

    def write_something(self) -> None:
        """Write what is there already."""
        self.transaction(
            BEGIN_TO_WRITE,
            lambda *_: self._connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}"),
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _is_busy(error: BaseException | None) -> bool:
    """Tell whether another connection has the file; the lower byte is the primary code."""
    code = error.sqlite_errorcode if isinstance(error, sqlite3.OperationalError) else 0
    return code & 0xFF == sqlite3.SQLITE_BUSY


class SqliteStore:
    """A Store of tables."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._purged_to = [first for _, _, first, _ in PURGES]

    def purge(self, now: float, gone_by: float) -> None:
        """Delete some of what may go."""
        self._execute(PURGE_QUEUE, (gone_by,))
        for index, (portion, delete, first, last) in enumerate(PURGES):
            begin = self._purged_to[index]
            end = self._execute(portion, (*begin, PURGE_ROWS - 1)).fetchone()
            self._execute(delete, (*begin, *(end or last), now))
            self._purged_to[index] = end or first

    def rows(self, post: str) -> Sequence[Row]:
        """Return the post's rows, in order."""
        return [
            Row(post, seq, holder, lease_until, bool(sent), gone_at)
            for seq, holder, lease_until, sent, gone_at in self._execute(ROWS, (key(post),))
        ]

    def put_row(self, row: Row) -> None:
        """Write a row instead of the one with its post and `seq`."""
        changes = (row.lease_until, row.sent, row.gone_at)
        self._execute(PUT_ROW, (key(row.post), row.seq, row.holder, *changes))

    def drop_row(self, post: str, holder: str) -> None:
        """Remove a row."""
        self._execute(DROP_ROW, (key(post), holder))

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
                request_id,
                entry.post,
                entry.fingerprint,
                entry.holder,
                entry.began_at,
                entry.settled_at,
                entry.told,
                entry.attachment_id,
                entry.created_at,
                expires_at,
            ),
        )

    def claim(self, post: str, attachment_id: str, expires_at: float) -> None:
        """Remember an attachment."""
        self._execute(CLAIM, (key(post), attachment_id, expires_at))

    def claimed(self, post: str, now: float) -> frozenset[str]:
        """Return the post's attachments that haven't expired."""
        return frozenset(each for [each] in self._execute(CLAIMED, (key(post), now)))
