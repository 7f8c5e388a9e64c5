"""The making and opening of a ledger's SQLite file."""

import sqlite3
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.sqlite_boot import Spans, move_to_boot

# "agwl" in ASCII: it tells this program, and the `file` command, that the file is a ledger.
APPLICATION_ID = 0x6167776C

# How long a transaction waits for other processes, whose transactions take well under 1 ms. It may
# first have to wait behind another transaction of its own process; twice BUSY_S is less than a
# lease, so a renewal that had to wait is still in time.
BUSY_S = 2.5

# The page size of a new file. A page is written as a whole, and holds some 12 rows.
PAGE_BYTES = 1024

# SQLite copies its log into the file after this many pages. It is 16 MB, four times the default,
# since the same few pages are written again and again and each copy writes a page only once.
CHECKPOINT_PAGES = 16_000

# A killed process loses nothing; a power failure loses the last transactions.
SYNCHRONOUS = "PRAGMA synchronous = NORMAL"

SCHEMA_VERSION = 4

WRITE_VERSION = f"PRAGMA user_version = {SCHEMA_VERSION}"

# 128 bits, so that two posts practically never have the same digest.
POST_DIGEST_BYTES = 16

# No index finds expired rows, since each index makes every call write more pages. Instead, purges
# scan the tables in portions. The index `unsettled` has only the entries of calls in progress and
# of unknown outcomes; `unsettled_post` is their post's digest, NULL in all others.
SCHEMA = f"""
CREATE TABLE queue (
  post BLOB NOT NULL,
  seq INTEGER NOT NULL,
  holder TEXT NOT NULL,
  lease_until REAL,
  sent INTEGER NOT NULL,
  gone_at REAL NOT NULL,
  PRIMARY KEY (post, seq)
) STRICT, WITHOUT ROWID;
CREATE TABLE entries (
  request_id TEXT PRIMARY KEY NOT NULL,
  post TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  holder TEXT NOT NULL,
  attempts BLOB NOT NULL,
  attachment_id TEXT NOT NULL,
  created_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  unsettled_post BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX unsettled ON entries (unsettled_post) WHERE unsettled_post IS NOT NULL;
CREATE TABLE anchor (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  boot_id TEXT NOT NULL,
  boot_s REAL NOT NULL,
  wall_s REAL NOT NULL
) STRICT;
CREATE TABLE claimed (
  post BLOB NOT NULL,
  attachment_id TEXT NOT NULL,
  expires_at REAL NOT NULL,
  PRIMARY KEY (post, attachment_id)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
"""


@lru_cache(maxsize=1024)
def post_digest(post: str) -> bytes:
    """Return a post's digest for the keys; the post's name is several times as long."""
    return blake2b(post.encode(), digest_size=POST_DIGEST_BYTES).digest()


def opened(path: str, clock: BootClock, spans: Spans) -> sqlite3.Connection:
    """Open the file for the calling thread only; make it and its directory if they don't exist.

    Times of an earlier boot are moved to the present one.

    Raises SettingError.
    """
    try:
        _make(Path(path))
        connection = connected(path)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    try:
        _prepare(connection, path, clock, spans)
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(path, error) from error
    except SettingError:
        connection.close()
        raise
    return connection


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


def _make(path: Path) -> None:
    """Make an empty file that other users can't read; SQLite's further files get its mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)


def _prepare(connection: sqlite3.Connection, path: str, clock: BootClock, spans: Spans) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(SYNCHRONOUS)
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        _make_schema(connection, path)
        # At each opening, so that a file that can't be written is reported before the first call.
        connection.execute(WRITE_VERSION)
        move_to_boot(connection, clock, spans)


def _make_schema(connection: sqlite3.Connection, path: str) -> None:
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        _execute_all(connection, SCHEMA)
    elif application_id != APPLICATION_ID:
        raise SettingError(f"ledger is {path!r}, another program's database; name another file")
    elif version != SCHEMA_VERSION:
        raise SettingError(
            f"ledger is {path!r}, which another version of this program wrote (its schema is "
            f"{version}, {SCHEMA_VERSION} is known here); run that version, or name another file"
        )


def _execute_all(connection: sqlite3.Connection, statements: str) -> None:
    """Execute statements in the present transaction; `executescript` would commit it first."""
    for statement in statements.split(";"):
        connection.execute(statement)


def _unusable(path: str, error: Exception) -> SettingError:
    return SettingError(
        f"ledger is {path!r}, which can't be used as an SQLite file ({error}); name one that can "
        f"be written, in a directory that can"
    )
