"""The opening of a ledger's SQLite file."""

import sqlite3
from functools import lru_cache
from hashlib import blake2b

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.sqlite_boot import Spans, move_to_boot
from attachment_gateway.ledger.sqlite_making import WRITE_VERSION, check_schema, make_or_check
from attachment_gateway.ledger.sqlite_watch import FileWatch

# How long a transaction waits for other processes, whose transactions take well under 1 ms. It may
# first have to wait behind another transaction of its own process; twice BUSY_S is less than a
# lease, so a renewal that had to wait is still in time.
BUSY_S = 2.5

# SQLite copies its log into the file after this many pages. It is 16 MB, four times the default,
# since the same few pages are written again and again and each copy writes a page only once.
CHECKPOINT_PAGES = 16_000

# A killed process loses nothing; a power failure loses the last transactions.
SYNCHRONOUS = "PRAGMA synchronous = NORMAL"

# Copies the log into the file without waiting for other processes.
CHECKPOINT = "PRAGMA wal_checkpoint(PASSIVE)"

# 128 bits, so that two posts practically never have the same digest.
POST_DIGEST_BYTES = 16


@lru_cache(maxsize=1024)
def post_digest(post: str) -> bytes:
    """Return a post's digest for the keys; the post's name is several times as long."""
    return blake2b(post.encode(), digest_size=POST_DIGEST_BYTES).digest()


def opened(path: str, clock: BootClock, spans: Spans) -> tuple[sqlite3.Connection, FileWatch]:
    """Open the file for the calling thread only; make it and its directory if they don't exist.

    Times of an earlier boot are moved to the present one. Raises SettingError.
    """
    try:
        make_or_check(path, clock)
        watch = FileWatch(path)
        connection = connected(path)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    try:
        _prepare(connection, path, clock, spans)
        watch.begin()
    except (OSError, sqlite3.Error) as error:
        connection.close()
        raise _unusable(path, error) from error
    except SettingError:
        connection.close()
        raise
    return connection, watch


def connected(path: str) -> sqlite3.Connection:
    """Return a connection that waits for other processes' locks, without looking at the file."""
    return sqlite3.connect(path, timeout=BUSY_S, isolation_level=None)


def opened_again(path: str) -> sqlite3.Connection:
    """Open a second connection to the file, which neither waits for locks nor copies the log.

    Raises SettingError.
    """
    try:
        connection = sqlite3.connect(path, timeout=0, isolation_level=None)
        connection.execute(SYNCHRONOUS)
        connection.execute("PRAGMA wal_autocheckpoint = 0")
    except sqlite3.Error as error:
        raise _unusable(path, error) from error
    return connection


def _prepare(connection: sqlite3.Connection, path: str, clock: BootClock, spans: Spans) -> None:
    check_schema(connection, path)
    connection.execute(SYNCHRONOUS)
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        # At each opening, so that a file that can't be written is reported before the first call.
        connection.execute(WRITE_VERSION)
        move_to_boot(connection, clock, spans)
    # The mark that the file is open has to be in the file itself, not only in its log.
    connection.execute(CHECKPOINT).fetchall()


def _unusable(path: str, error: Exception) -> SettingError:
    return SettingError(
        f"ledger is {path!r}, which can't be used as an SQLite file ({error}); name one that can "
        f"be written, in a directory that can"
    )
