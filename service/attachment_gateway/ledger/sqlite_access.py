"""A connection to a ledger's file, for one thread, and its transactions."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from attachment_gateway.ledger import LedgerUnavailable
from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.rules import Rules
from attachment_gateway.ledger.sqlite_boot import MARK, put_anchor
from attachment_gateway.ledger.sqlite_watch import FileWatch

_T = TypeVar("_T")

# A function that is called within a transaction, with the rules and the present time.
Work = Callable[[Rules, float], _T]

# A transaction that begins by reading and then writes can fail without waiting for a lock, so a
# transaction that writes begins with IMMEDIATE.
BEGIN_TO_WRITE = "BEGIN IMMEDIATE"
BEGIN_TO_READ = "BEGIN"
COMMIT = "COMMIT"  # not connection.commit(), for which SQLite parses the statement each time


class Access:
    """One connection. A transaction that raises LedgerUnavailable has changed nothing."""

    def __init__(
        self, connection: sqlite3.Connection, watch: FileWatch, rules: Rules, clock: BootClock
    ) -> None:
        self._connection = connection
        self._watch = watch
        self._execute = connection.cursor().execute
        self._rules = rules
        self._clock = clock
        self._now_s = clock.now_s

    def read(self, work: Work[_T]) -> _T:
        """Run a work that only reads, and return its result."""
        [answer] = self._transaction(BEGIN_TO_READ, [work])
        return answer

    def write(self, work: Work[_T]) -> _T:
        """Run a work that writes, and return its result."""
        [answer] = self._transaction(BEGIN_TO_WRITE, [work])
        return answer

    def answers(self, works: Sequence[Work[object]]) -> Sequence[object]:
        """Run all works in one transaction; return their results, or its error for each of them."""
        try:
            return self._transaction(BEGIN_TO_WRITE, works)
        except Exception as error:  # noqa: BLE001 each job gets the error
            return [error] * len(works)

    def answers_at_once(self, works: Sequence[Work[object]]) -> Sequence[object] | None:
        """Run all works as `answers` does; None if another connection has the file locked."""
        answers = self.answers(works)
        is_busy = isinstance(answers[0], LedgerUnavailable) and _is_busy(answers[0].__cause__)
        return None if is_busy else answers

    def write_anchor(self, *, is_open: bool = True) -> None:
        """Write what the clocks read now, and whether the file is still open."""
        self.write(lambda *_: put_anchor(self._connection, self._clock, is_open=is_open))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _transaction(self, begin: str, works: Sequence[Work[_T]]) -> Sequence[_T]:
        try:
            try:
                self._execute(begin)
                if begin is BEGIN_TO_WRITE:
                    self._check_mark()
                # Read after BEGIN, so that time doesn't go back from one transaction to the next.
                now = self._now_s()
                answers = [work(self._rules, now) for work in works]
                self._execute(COMMIT)
            except BaseException:
                self._connection.rollback()
                raise
        except sqlite3.Error as error:
            self._watch.notice(error)
            raise LedgerUnavailable(f"SQLite: {self._watch.why_gone or error}") from error
        # After the commit, so that what was written to a file that is gone isn't relied on.
        if why := self._watch.check():
            raise LedgerUnavailable(f"SQLite: {why}")
        return answers

    def _check_mark(self) -> None:
        """Mark the file as open again if another process has closed it.

        A file whose times another process has moved to another boot is used on two machines.
        """
        boot_id, is_open = self._execute(MARK).fetchone() or (None, False)
        if boot_id != self._clock.boot_id:
            why = self._watch.gone("the file was opened on another machine, or in a sandbox,")
            raise LedgerUnavailable(f"SQLite: {why}")
        if not is_open:
            put_anchor(self._connection, self._clock)


def _is_busy(error: BaseException | None) -> bool:
    """Tell whether another connection has the file locked, by the code's lower byte."""
    code: int = getattr(error, "sqlite_errorcode", 0)  # not all of the module's errors are SQLite's
    return code & 0xFF == sqlite3.SQLITE_BUSY
