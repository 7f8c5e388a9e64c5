"""Whether a ledger's file is still the one that is open."""

import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import structlog

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")

# Errors after which nothing in the file can be trusted. A short read is that of a truncated file.
# Any other error may pass, as that of a full disk does, and fails only its transaction.
RUINED = frozenset(
    {
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_IOERR_SHORT_READ,
        sqlite3.SQLITE_IOERR_CORRUPTFS,
        sqlite3.SQLITE_READONLY_DBMOVED,
    }
)
PRIMARY_CODE = 0xFF

# A file system's times have steps of up to 10 ms. After a change of a directory, another one in the
# same step can't be seen by its time, so the files are looked at for twice as long.
CLOCK_STEP_S = 0.02


class FileWatch:
    """Checks the file of one ledger, which it finds gone once and for all.

    The process that had the file open doesn't go on with another one under the same path: it can't
    tell whether that one knows what was sent.
    """

    def __init__(self, path: str) -> None:
        # Absolute, since the process may change its working directory.
        self._path = str(Path(path).absolute())
        self._files = {self._path: _identity(self._path)}
        self._size_bytes = Path(path).stat().st_size
        self._directories: dict[str, tuple[int, int]] = {}
        self._doubt_until = 0.0
        self._on_gone: Callable[[], object] = lambda: None
        self.why_gone: str | None = None

    def begin(self) -> None:
        """Watch the log and its index as well, which are there as long as the file is open."""
        # Beside the target, if the path is a symbolic link.
        real = Path(self._path).resolve()
        self._files |= {each: _identity(each) for each in (f"{real}-wal", f"{real}-shm")}
        self._directories = dict.fromkeys((str(Path(self._path).parent), str(real.parent)), (0, 0))

    def when_gone(self, call: Callable[[], object]) -> None:
        """Call a function once, from any thread, when the file is found gone."""
        self._on_gone = call

    def check(self) -> str | None:
        """Return why the file can't be used, None if it can. It costs some microseconds.

        A file that is deleted, moved or replaced changes its directory, so the three files are only
        looked at if that has changed, and after any doubt.
        """
        if self.why_gone:
            return self.why_gone
        try:
            found = {path: _changed(path) for path in self._directories}
            size_bytes = os.stat(self._path).st_size  # noqa: PTH116 - Path.stat takes twice as long
        except OSError:
            return self._check_files()
        now = time.monotonic()
        if found != self._directories:
            why = self._check_files()
            if why is None:
                self._directories, self._doubt_until = found, now + CLOCK_STEP_S
            return why
        if now < self._doubt_until or size_bytes < self._size_bytes:
            return self._check_files()
        self._size_bytes = size_bytes
        return None

    def _check_files(self) -> str | None:
        """Look at each file.

        The ledger's own never shrinks: SQLite puts free pages to use again, and the log is another.
        """
        for path, identity in self._files.items():
            try:
                found = Path(path).stat()
            except (FileNotFoundError, NotADirectoryError):
                return self.gone(f"{path!r} was deleted or moved")
            except OSError as error:
                return f"{path!r} can't be looked at: {error}"
            if (found.st_dev, found.st_ino) != identity:
                return self.gone(f"{path!r} was replaced")
            if path is self._path and found.st_size < self._size_bytes:
                return self.gone(f"{path!r} was truncated")
        return None

    def notice(self, error: sqlite3.Error) -> None:
        """Find the file gone if an error of SQLite's tells that it is ruined."""
        code: int = getattr(error, "sqlite_errorcode", 0)
        # What happened to the file tells more than what SQLite has found in it.
        if {code, code & PRIMARY_CODE} & RUINED and not self.check():
            self.gone(f"{self._path!r} was damaged ({error})")

    def gone(self, what: str) -> str:
        """Find the file gone for good, and return why."""
        self.why_gone = f"{what} while it was in use; restart the gateway when it is right again"
        log.error("ledger_gone", why=self.why_gone)
        self._on_gone()
        return self.why_gone


def _identity(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino


def _changed(directory: str) -> tuple[int, int]:
    """Return what changes when a directory, or an entry of it, becomes another one."""
    found = os.stat(directory)  # noqa: PTH116 - Path.stat takes twice as long
    return found.st_ino, found.st_mtime_ns
