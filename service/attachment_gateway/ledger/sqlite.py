"""The ledger of all processes of one machine, in a SQLite file that outlives them."""

import asyncio
import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, Self, TypeVar

import structlog

from attachment_gateway.ledger import (
    LEASE_S,
    Acquired,
    Created,
    End,
    InProgress,
    Lease,
    LedgerUnavailable,
    Look,
    Queued,
    Reused,
    Sending,
    Standing,
)
from attachment_gateway.ledger.boot_clock import BootClock, boot_clock
from attachment_gateway.ledger.rules import Rules
from attachment_gateway.ledger.sqlite_access import Access, Work
from attachment_gateway.ledger.sqlite_boot import Spans
from attachment_gateway.ledger.sqlite_file import opened, opened_again
from attachment_gateway.ledger.sqlite_store import PURGE_ROWS, SqliteStore
from attachment_gateway.ledger.sqlite_watch import FileWatch

_T = TypeVar("_T")

_Job = tuple[Work[Any], asyncio.Future[Any]]

# Group commit: a transaction costs several times as much as the writes in it, so a write waits
# LINGER_S for others to join it. It waits only while another lease is held, or was held in the last
# SHARED_FOR_S.
LINGER_S = 0.002
SHARED_FOR_S = 0.01

# A transaction takes some 50 us, and handing it to a thread takes longer. After a transaction that
# took more than SLOW_S the file may be slow: the thread does all of them for SLOW_FOR_S.
SLOW_S = 0.05
SLOW_FOR_S = 10.0

# A call writes twice and adds one row to a table, so UPKEEP_EVERY writes add at most half that
# number of rows. A purge then checks PURGE_ROWS rows, four times as many as were added, so a table
# has at most a third more rows than it needs.
UPKEEP_EVERY = PURGE_ROWS // 2

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class SqliteLedger:
    """A Ledger. It may not be used across a fork.

    A transaction runs at once, on the event loop, if no other connection has the file locked. A
    thread with its own connection does what has to wait for other processes and what may be slow:
    purging, and copying SQLite's log into the file, which waits for the disk.
    """

    def __init__(self, thread: ThreadPoolExecutor, in_thread: Access, on_loop: Access) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = thread
        self._in_thread = in_thread
        self._on_loop = on_loop
        self._jobs: list[_Job] = []
        self._holders: set[str] = set()
        self._shared_until = 0.0
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
        clock: BootClock | None = None,
    ) -> Self:
        """Open the file, or make it. Raises SettingError. The default clock is the machine's."""
        clock = clock or boot_clock()
        spans = Spans(lease_s, settle_s)

        def access(connection: sqlite3.Connection, watch: FileWatch) -> Access:
            store = SqliteStore(connection)
            rules = Rules(store, settle_s=settle_s, retention_s=retention_s, lease_s=lease_s)
            return Access(connection, watch, rules, clock)

        thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        loop = asyncio.get_running_loop()
        try:
            connection, watch = await loop.run_in_executor(thread, opened, path, clock, spans)
            in_thread = await loop.run_in_executor(thread, access, connection, watch)
            ledger = cls(thread, in_thread, access(opened_again(path), watch))
        except BaseException:
            thread.shutdown(wait=False)
            raise
        watch.when_gone(ledger._let_go)
        return ledger

    async def acquire(self, lease: Lease, *, sending: Sending | None = None) -> Standing:
        """Implement Ledger.acquire; see Ledger for this method and those below."""
        self._holders.add(lease.holder)
        standing = await self._write(
            lambda rules, now: rules.acquire(lease, now, sending),
            lingers=self._is_shared(beside=lease),
        )
        if not isinstance(standing, Acquired | Queued):
            self._holders.discard(lease.holder)
        return standing

    async def find(self, lease: Lease) -> Created | Reused | InProgress | None:
        """Look the request id up."""
        return await self._read(lambda rules, now: rules.find(lease, now))

    async def look(self, lease: Lease) -> Look:
        """Return what is known of the request id and the post."""
        return await self._read(lambda rules, now: rules.look(lease, now))

    async def renew(self, lease: Lease, *, settles_in_s: float | None = None) -> bool:
        """Renew the lease."""
        return await self._write(lambda rules, now: rules.renew(lease, now, settles_in_s))

    async def record_sending(self, lease: Lease, sending: Sending) -> bool:
        """Record that an attempt is about to be sent."""
        return await self._write(lambda rules, now: rules.record_sending(lease, sending, now))

    async def record_absent(self, lease: Lease) -> bool:
        """Mark the last attempt as absent."""
        return await self._write(lambda rules, now: rules.record_absent(lease, now))

    async def release(self, lease: Lease, end: End) -> None:
        """Leave the queue, and record the result."""
        self._holders.discard(lease.holder)
        await self._write(
            lambda rules, now: rules.release(lease, end, now),
            lingers=self._is_shared(beside=lease),
        )

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids that deliveries have created."""
        return await self._read(lambda rules, now: rules.claimed(post, now))

    async def close(self) -> None:
        """Finish the writes that wait, close the file, and end the thread."""
        while self._jobs or self._busy:
            if not self._busy:
                self._carry_out()
            if self._busy:
                await self._loop.run_in_executor(self._thread, int)  # runs after its present job
        self._on_loop.close()
        with suppress(RuntimeError):  # the thread has ended: the file is closed already
            await self._loop.run_in_executor(self._thread, self._close_in_thread)
        self._thread.shutdown(wait=False)

    def _close_in_thread(self) -> None:
        with suppress(LedgerUnavailable):  # the anchor of the last upkeep stays
            self._in_thread.write_anchor(is_open=False)
        self._in_thread.close()

    def _let_go(self) -> None:
        """Close the file, which is gone; every method raises LedgerUnavailable from now on."""
        self._loop.call_soon_threadsafe(self._on_loop.close)
        with suppress(RuntimeError):  # the thread has ended: the file is closed already
            self._thread.submit(self._in_thread.close)

    async def _read(self, work: Work[_T]) -> _T:
        """Read on the event loop, without waiting for writers; if that fails, in the thread."""
        try:
            return self._on_loop.read(work)
        except LedgerUnavailable:
            try:
                return await self._loop.run_in_executor(self._thread, self._in_thread.read, work)
            except RuntimeError as error:  # the thread has ended
                raise LedgerUnavailable(f"SQLite: {error}") from error

    # Writing: all jobs that wait are done in one transaction.

    def _is_shared(self, *, beside: Lease) -> bool:
        """Tell whether another lease is held, or was held in the last SHARED_FOR_S."""
        now = self._loop.time()
        is_shared = len(self._holders) > (beside.holder in self._holders)
        if is_shared:
            self._shared_until = now + SHARED_FOR_S
        return is_shared or now < self._shared_until

    async def _write(self, work: Work[_T], *, lingers: bool = False) -> _T:
        done = self._loop.create_future()
        self._jobs.append((work, done))
        if not lingers:
            self._carry_out()
        elif self._lingering is None:
            self._lingering = self._loop.call_later(LINGER_S, self._carry_out)
        written: _T = await done
        return written

    def _carry_out(self) -> None:
        """Do all jobs, here or in the thread; while the thread is busy, leave them to `_go_on`."""
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None
        if self._busy or not self._jobs:
            return
        began_at = self._loop.time()
        if began_at < self._slow_until or self._writes_to_upkeep <= 0:
            self._hand_over()
            return
        answers = self._on_loop.answers_at_once([work for work, _ in self._jobs])
        if answers is None:
            self._hand_over()
            return
        if self._loop.time() - began_at > SLOW_S:
            self._slow_until = began_at + SLOW_FOR_S
        _tell(self._taken_jobs(), answers)

    def _hand_over(self) -> None:
        """Let the thread do all jobs, and the upkeep if it is due."""
        jobs = self._taken_jobs()
        upkeep = self._writes_to_upkeep <= 0
        if upkeep:
            self._writes_to_upkeep = UPKEEP_EVERY
        self._busy = True

        def work() -> None:
            try:
                answers = self._in_thread.answers([work for work, _ in jobs])
                self._loop.call_soon_threadsafe(_tell, jobs, answers)
                if upkeep and not isinstance(answers[0], LedgerUnavailable):
                    self._keep_up()
            finally:
                self._loop.call_soon_threadsafe(self._go_on)

        try:
            self._thread.submit(work)
        except RuntimeError as error:  # the thread has ended
            _tell(jobs, [LedgerUnavailable(f"SQLite: {error}")] * len(jobs))
            self._go_on()

    def _taken_jobs(self) -> Sequence[_Job]:
        jobs, self._jobs = self._jobs, []
        self._writes_to_upkeep -= len(jobs)
        return jobs

    def _keep_up(self) -> None:
        """Purge, and then write once more.

        A purge sometimes makes SQLite copy its log into the file, and then the next write waits for
        the disk. The additional write does that waiting, so that no call has to.
        """
        try:
            self._in_thread.write(lambda rules, now: rules.purge(now))
            self._in_thread.write_anchor()
        except LedgerUnavailable as error:
            log.warning("ledger_not_purged", why=error.why)

    def _go_on(self) -> None:
        """Do the jobs that came while the thread was busy."""
        self._busy = False
        self._carry_out()


def _tell(jobs: Sequence[_Job], answers: Sequence[object]) -> None:
    """Give each job its result or error, unless its caller was cancelled."""
    for (_, done), answer in zip(jobs, answers, strict=True):
        if done.done():
            continue
        if isinstance(answer, Exception):
            done.set_exception(answer)
        else:
            done.set_result(answer)
