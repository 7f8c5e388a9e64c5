"""A connection to a ledger's file, for one thread, and its transactions."""

import sqlite3
from collections.abc import Callable, Sequence
from typing import TypeVar

from attachment_gateway.ledger import LedgerUnavailable
from attachment_gateway.ledger.rules import Rules
from attachment_gateway.ledger.sqlite_file import WRITE_VERSION

_T = TypeVar("_T")

# What is done within a transaction, by the rules and at a time.
Work = Callable[[Rules, float], _T]

# One that begins by reading and goes on to write can fail at once, so none does.
BEGIN_TO_WRITE = "BEGIN IMMEDIATE"
BEGIN_TO_READ = "BEGIN"
COMMIT = "COMMIT"  # not the connection's own, which SQLite has to understand anew each time


class Access:
    """One connection. Raises LedgerUnavailable, and then has changed nothing."""

    def __init__(
        self, connection: sqlite3.Connection, rules: Rules, clock: Callable[[], float]
    ) -> None:
        self._connection = connection
        self._execute = connection.cursor().execute
        self._rules = rules
        self._clock = clock

    def read(self, work: Work[_T]) -> _T:
        """Return what the work does, which writes nothing."""
        [answer] = self._transaction(BEGIN_TO_READ, [work])
        return answer

    def write(self, work: Work[_T]) -> _T:
        """Return what the work does, all of it or nothing."""
        [answer] = self._transaction(BEGIN_TO_WRITE, [work])
        return answer

    def answers(self, works: Sequence[Work[object]]) -> Sequence[object]:
        """Do all in one transaction; return each one's answer, or for each the error of all."""
        try:
            return self._transaction(BEGIN_TO_WRITE, works)
        except Exception as error:  # noqa: BLE001 each is told what it is
            return [error] * len(works)

    def answers_at_once(self, works: Sequence[Work[object]]) -> Sequence[object] | None:
        """Do the same; None if another connection has the file, for this one doesn't wait."""
        answers = self.answers(works)
        is_busy = isinstance(answers[0], LedgerUnavailable) and _is_busy(answers[0].__cause__)
        return None if is_busy else answers

    def write_version(self) -> None:
        """Write the schema's version again, which changes nothing."""
        self.write(lambda *_: self._connection.execute(WRITE_VERSION))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _transaction(self, begin: str, works: Sequence[Work[_T]]) -> Sequence[_T]:
        try:
            try:
                self._execute(begin)
                # Once it is its turn, so that time doesn't go back from one to the next.
                now = self._clock()
                answers = [work(self._rules, now) for work in works]
                self._execute(COMMIT)
            except BaseException:
                self._connection.rollback()
                raise
        except sqlite3.Error as error:
            raise LedgerUnavailable(f"SQLite: {error}") from error
        return answers


def _is_busy(error: BaseException | None) -> bool:
    """Tell whether another connection has the file; the lower byte is the primary code."""
    code: int = getattr(error, "sqlite_errorcode", 0)  # not all of the module's errors are SQLite's
    return code & 0xFF == sqlite3.SQLITE_BUSY
