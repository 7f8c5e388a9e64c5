"""The ledger of all processes of one machine, in a SQLite file; it outlives them."""

import asyncio
import time
from collections.abc import Callable, Sequence
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
    Queued,
    Reused,
    Standing,
)
from attachment_gateway.ledger.rules import Rules
from attachment_gateway.ledger.sqlite_access import Access, Work
from attachment_gateway.ledger.sqlite_file import opened, opened_again
from attachment_gateway.ledger.sqlite_store import PURGE_ROWS, SqliteStore

_T = TypeVar("_T")

_Job = tuple[Work[Any], asyncio.Future[Any]]

# Group commit: a write waits LINGER_S for others to join its transaction, which costs several times
# what is written in it; but only while another lease is held, or was in the last SHARED_FOR_S.
LINGER_S = 0.002
SHARED_FOR_S = 0.01

# A transaction takes some 50 us, handing one to a thread more than that. After one that took so
# long they are the thread's business for a while: the file may be slow.
SLOW_S = 0.05
SLOW_FOR_S = 10.0

# So many writes add half as many rows to a table at most, for a call writes twice. Four times as
# many as those are looked through: so a table has at most a third more rows than it needs.
UPKEEP_EVERY = PURGE_ROWS // 2

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class SqliteLedger:
    """A Ledger. It may not be used across a fork.

    A transaction is carried out at once, on the event loop, if the file lets it. What has to wait
    for other processes, and what may be slow, is the business of a thread with a connection of its
    own: purging, and copying from SQLite's log into the file, with its waits for the disk.
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
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Open the file, or make it. Its processes share the wall clock. Raises SettingError."""

        def access(connect: Callable[[str], Any]) -> Access:
            connection = connect(path)
            store = SqliteStore(connection)
            rules = Rules(store, settle_s=settle_s, retention_s=retention_s, lease_s=lease_s)
            return Access(connection, rules, clock)

        thread = ThreadPoolExecutor(1, thread_name_prefix="ledger")
        loop = asyncio.get_running_loop()
        try:
            in_thread = await loop.run_in_executor(thread, access, opened)
            return cls(thread, in_thread, access(opened_again))
        except BaseException:
            thread.shutdown(wait=False)
            raise

    async def acquire(self, lease: Lease, *, settles_in_s: float | None = None) -> Standing:
        """As Ledger has it, like all below."""
        self._holders.add(lease.holder)
        standing = await self._write(
            lambda rules, now: rules.acquire(lease, now, settles_in_s),
            lingers=self._is_shared(beside=lease),
        )
        if not isinstance(standing, Acquired | Queued):
            self._holders.discard(lease.holder)
        return standing

    async def find(self, lease: Lease) -> Created | Reused | InProgress | None:
        """Look the request id up."""
        return await self._read(lambda rules, now: rules.find(lease, now))

    async def renew(self, lease: Lease) -> bool:
        """Renew the lease."""
        return await self._write(lambda rules, now: rules.renew(lease, now))

    async def record_sending(
        self, lease: Lease, *, settles_in_s: float, is_new_attempt: bool
    ) -> bool:
        """Write ahead."""
        return await self._write(
            lambda rules, now: rules.record_sending(
                lease, now, settles_in_s=settles_in_s, is_new_attempt=is_new_attempt
            )
        )

    async def release(self, lease: Lease, end: End) -> None:
        """Leave the queue, with what became of it."""
        self._holders.discard(lease.holder)
        await self._write(
            lambda rules, now: rules.release(lease, end, now),
            lingers=self._is_shared(beside=lease),
        )

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids that calls have answered with."""
        return await self._read(lambda rules, now: rules.claimed(post, now))

    async def close(self) -> None:
        """Finish what is under way, and let go of the file and the thread."""
        while self._jobs or self._busy:
            if not self._busy:
                self._carry_out()
            if self._busy:
                await self._loop.run_in_executor(self._thread, int)  # comes behind what it does
        self._on_loop.close()
        with suppress(RuntimeError):  # it is closed already
            await self._loop.run_in_executor(self._thread, self._in_thread.close)
        self._thread.shutdown(wait=False)

    async def _read(self, work: Work[_T]) -> _T:
        """Read on the loop, which waits for no writer; or else in the thread."""
        try:
            return self._on_loop.read(work)
        except LedgerUnavailable:
            try:
                return await self._loop.run_in_executor(self._thread, self._in_thread.read, work)
            except RuntimeError as error:  # the thread was let go
                raise LedgerUnavailable(f"SQLite: {error}") from error

    # Writing: what there is to write is written at once, with all that lingers.

    def _is_shared(self, *, beside: Lease) -> bool:
        """Tell whether another lease is held, or was a moment ago: its writes could join."""
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
        """Do all jobs: here, or by the thread, whose end sees those that come while it works."""
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
        """Let the thread do all jobs, and the upkeep if need be."""
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
        except RuntimeError as error:  # the thread was let go
            _tell(jobs, [LedgerUnavailable(f"SQLite: {error}")] * len(jobs))
            self._go_on()

    def _taken_jobs(self) -> Sequence[_Job]:
        jobs, self._jobs = self._jobs, []
        self._writes_to_upkeep -= len(jobs)
        return jobs

    def _keep_up(self) -> None:
        """Purge, and write once more.

        At times purging copies SQLite's log into the file, and whoever writes next waits for the
        disk. That shouldn't be a call.
        """
        try:
            self._in_thread.write(lambda rules, now: rules.purge(now))
            self._in_thread.write_version()
        except LedgerUnavailable as error:
            log.warning("ledger_not_purged", why=error.why)

    def _go_on(self) -> None:
        """Do what has come while the thread was at work."""
        self._busy = False
        self._carry_out()


def _tell(jobs: Sequence[_Job], answers: Sequence[object]) -> None:
    """Give everyone the answer, but who has gone."""
    for (_, done), answer in zip(jobs, answers, strict=True):
        if done.done():
            continue
        if isinstance(answer, Exception):
            done.set_exception(answer)
        else:
            done.set_result(answer)
