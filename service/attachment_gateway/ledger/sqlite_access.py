"""A connection to a ledger's file, for one thread, and its transactions."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from attachment_gateway.ledger import LedgerUnavailable
from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.rules import Rules
from attachment_gateway.ledger.sqlite_boot import put_anchor

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

    def __init__(self, connection: sqlite3.Connection, rules: Rules, clock: BootClock) -> None:
        self._connection = connection
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

    def write_anchor(self) -> None:
        """Write what the clocks read now."""
        self.write(lambda *_: put_anchor(self._connection, self._clock))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _transaction(self, begin: str, works: Sequence[Work[_T]]) -> Sequence[_T]:
        try:
            try:
                self._execute(begin)
                # Read after BEGIN, so that time doesn't go back from one transaction to the next.
                now = self._now_s()
                answers = [work(self._rules, now) for work in works]
                self._execute(COMMIT)
            except BaseException:
                self._connection.rollback()
                raise
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"SQLite: {error}") from error
        return answers


def _is_busy(error: BaseException | None) -> bool:
    """Tell whether another connection has the file locked, by the code's lower byte."""
    code: int = getattr(error, "sqlite_errorcode", 0)  # not all of the module's errors are SQLite's
    return code & 0xFF == sqlite3.SQLITE_BUSY
