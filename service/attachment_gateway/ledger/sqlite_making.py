"""The making of a ledger's SQLite file, and what is checked of one that is there."""

import os
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger.boot_clock import BootClock

# "agwl" in ASCII: it tells this program, and the `file` command, that the file is a ledger.
APPLICATION_ID = 0x6167776C

# The page size of a new file. A page is written as a whole, and holds some 12 rows.
PAGE_BYTES = 1024

SCHEMA_VERSION = 4

WRITE_VERSION = f"PRAGMA user_version = {SCHEMA_VERSION}"

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
CREATE TABLE claimed (
  post BLOB NOT NULL,
  attachment_id TEXT NOT NULL,
  expires_at REAL NOT NULL,
  PRIMARY KEY (post, attachment_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE anchor (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  boot_id TEXT NOT NULL,
  boot_s REAL NOT NULL,
  wall_s REAL NOT NULL,
  is_open INTEGER NOT NULL
) STRICT;
PRAGMA application_id = {APPLICATION_ID};
{WRITE_VERSION};
"""
TABLES = "SELECT count(*) FROM sqlite_schema WHERE name IN ('queue','entries','claimed','anchor')"
TABLE_COUNT = 4

IS_MARKED_OPEN = "SELECT 1 FROM anchor WHERE is_open AND boot_id = ?"

# A log that another process deletes as it closes the file is no loss; its mark is then gone, too.
# Only what LOOKS looks find, LOOK_EVERY_S apart, is sure.
LOOKS = 3
LOOK_EVERY_S = 0.05


def log_path(path: str) -> str:
    """Return the path of SQLite's write-ahead log, which is beside a symbolic link's target."""
    return f"{Path(path).resolve()}-wal"


def make_or_check(path: str, clock: BootClock) -> None:
    """Make the file if there is none, and its directory. Raises SettingError, OSError.

    A file that has lost what was in it is refused: to go on with less than was known would allow a
    second attachment.
    """
    log = Path(log_path(path))
    has_log = log.exists() and log.stat().st_size > 0
    if not Path(path).exists():
        if has_log:
            raise SettingError(
                f"ledger is {path!r}, which is gone, but its log {log_path(path)!r} is there; put "
                f"the file back, or delete the log to begin with an empty ledger"
            )
        _make(Path(path))
    elif Path(path).stat().st_size == 0:
        raise SettingError(
            f"ledger is {path!r}, which is empty, so what was in it is lost; put the file back, or "
            f"delete it to begin with an empty ledger"
        )
    elif _has_lost_its_log(path, clock):
        raise SettingError(
            f"ledger is {path!r}, which was in use, and its log {log_path(path)!r} is gone with "
            f"what was written last; put the log back, or delete the file to begin with an empty "
            f"ledger"
        )


def check_schema(connection: sqlite3.Connection, path: str) -> None:
    """Raise SettingError if the file isn't a ledger of this program's version."""
    [application_id] = connection.execute("PRAGMA application_id").fetchone()
    [version] = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise SettingError(f"ledger is {path!r}, another program's database; name another file")
    if version != SCHEMA_VERSION:
        raise SettingError(
            f"ledger is {path!r}, which another version of this program wrote (its schema is "
            f"{version}, {SCHEMA_VERSION} is known here); run that version, or name another file"
        )
    if connection.execute(TABLES).fetchone() != (TABLE_COUNT,):
        raise SettingError(
            f"ledger is {path!r}, which lacks tables of a ledger, so what was in it is lost; put "
            f"the file back, or delete it to begin with an empty ledger"
        )


def _make(path: Path) -> None:
    """Make the file in one step, complete and readable by its owner only.

    SQLite's further files get its mode. If another process makes the file first, its file counts.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{token_hex(8)}")
    try:
        new.touch(mode=0o600, exist_ok=False)
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(SCHEMA)
        with suppress(FileExistsError):
            os.link(new, path)
    finally:
        for end in ("", "-wal", "-shm"):
            Path(f"{new}{end}").unlink(missing_ok=True)


def _has_lost_its_log(path: str, clock: BootClock) -> bool:
    """Tell whether a process of this boot had the file open when its log was deleted.

    The mark is in the file itself as long as its log exists: it is copied there after the log was
    made, and removed before SQLite deletes the log, which the last process does that closes the
    file. A power failure may take the log; the boot's id then differs.
    """
    for look in range(LOOKS):
        if look:
            time.sleep(LOOK_EVERY_S)
        if Path(log_path(path)).exists() or not _is_marked_open(path, clock):
            return False
    return True


def _is_marked_open(path: str, clock: BootClock) -> bool:
    """Read the mark in the file without its log, which any other way of reading would make."""
    url = f"file:{quote(str(Path(path).resolve()))}?immutable=1"
    with suppress(sqlite3.Error), closing(sqlite3.connect(url, uri=True)) as connection:
        return connection.execute(IS_MARKED_OPEN, (clock.boot_id,)).fetchone() is not None
    return False  # it is no ledger: `check_schema` tells
