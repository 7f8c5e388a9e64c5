"""The SQLite file of a ledger: how it is made and opened."""

import sqlite3
from contextlib import suppress
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from attachment_gateway.errors import SettingError

# "agwl", so that `file` and we tell it from another program's.
APPLICATION_ID = 0x6167776C

# How long one process waits for the others, whose transactions take well under a millisecond. One
# may have to wait behind another of its own process, and both take less than a lease, so that a
# renewal that had to wait still counts.
BUSY_S = 2.5

# How long it waits at its start, when another may be bringing the file up to date.
OPEN_BUSY_S = 300.0

# In a new file. A page is written whole, and holds a dozen rows.
PAGE_BYTES = 1024

# The same few pages are written again and again, and so four times less often than by default, by
# their bytes, from the log into the file.
CHECKPOINT_PAGES = 16_000

# A killed process loses nothing; a machine that loses its power loses the last moments.
SYNCHRONOUS = "PRAGMA synchronous = NORMAL"

SCHEMA_VERSION = 2

WRITE_VERSION = f"PRAGMA user_version = {SCHEMA_VERSION}"

# Two posts have the same digest by no chance that counts.
POST_DIGEST_BYTES = 16

# Each index costs every call some pages, so none is there to find what has expired: the ledger goes
# through the tables, round and round.
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
  began_at REAL,
  settled_at REAL NOT NULL,
  told INTEGER NOT NULL,
  attachment_id TEXT NOT NULL,
  created_at REAL NOT NULL,
  expires_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE claimed (
  post BLOB NOT NULL,
  attachment_id TEXT NOT NULL,
  expires_at REAL NOT NULL,
  PRIMARY KEY (post, attachment_id)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = {APPLICATION_ID};
"""

# Version 1, which was there before the first release, had the same tables, with more indexes and
# with the posts' names for their keys.
RENAME_VERSION_1 = """
ALTER TABLE queue RENAME TO queue_1;
ALTER TABLE entries RENAME TO entries_1;
ALTER TABLE claimed RENAME TO claimed_1;
"""
COPY_VERSION_1 = """
INSERT INTO queue SELECT post_digest(post), seq, holder, lease_until, sent, gone_at FROM queue_1;
INSERT INTO entries SELECT request_id, post, fingerprint, holder, began_at, settled_at, told,
  attachment_id, created_at, expires_at FROM entries_1;
INSERT INTO claimed SELECT post_digest(post), attachment_id, expires_at FROM claimed_1;
DROP TABLE queue_1;
DROP TABLE entries_1;
DROP TABLE claimed_1;
"""


@lru_cache(maxsize=1024)
def post_digest(post: str) -> bytes:
    """Return what stands for a post in keys: its name is several times as long, and is in each."""
    return blake2b(post.encode(), digest_size=POST_DIGEST_BYTES).digest()


def opened(path: str) -> sqlite3.Connection:
    """Open the file, for the calling thread alone, and make it and its directory if need be.

    Raises SettingError.
    """
    try:
        _make(Path(path))
        connection = sqlite3.connect(path, timeout=OPEN_BUSY_S, isolation_level=None)
    except (OSError, sqlite3.Error) as error:
        raise _unusable(path, error) from error
    try:
        _prepare(connection, path)
        connection.execute(f"PRAGMA busy_timeout = {round(BUSY_S * 1000)}")
    except sqlite3.Error as error:
        connection.close()
        raise _unusable(path, error) from error
    except SettingError:
        connection.close()
        raise
    return connection


def opened_again(path: str) -> sqlite3.Connection:
    """Open a file that is open, by a connection that neither waits for others nor copies the log.

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
    """Make an empty file that others can't read; SQLite gives its other files the same mode."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        path.touch(mode=0o600, exist_ok=False)


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(SYNCHRONOUS)
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        _migrate(connection, path)
        # Each time: if the file can't be written, that is told now, and not at the first call.
        connection.execute(WRITE_VERSION)


def _migrate(connection: sqlite3.Connection, path: str) -> None:
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if not tables:
        _execute_all(connection, SCHEMA)
    elif application_id != APPLICATION_ID:
        raise SettingError(f"ledger is {path!r}, another program's database; name another file")
    elif version > SCHEMA_VERSION:
        raise SettingError(
            f"ledger is {path!r}, which a later version of this program wrote (its schema is "
            f"{version}, {SCHEMA_VERSION} is known here); run that version, or name another file"
        )
    elif version == 1:
        connection.create_function("post_digest", 1, post_digest, deterministic=True)
        _execute_all(connection, RENAME_VERSION_1 + SCHEMA + COPY_VERSION_1)


def _execute_all(connection: sqlite3.Connection, statements: str) -> None:
    """Execute statements in the transaction that there is, which `executescript` would end."""
    for statement in statements.split(";"):
        connection.execute(statement)


def _unusable(path: str, error: Exception) -> SettingError:
    return SettingError(
        f"ledger is {path!r}, which can't be used as an SQLite file ({error}); name one that can "
        f"be written, in a directory that can"
    )
