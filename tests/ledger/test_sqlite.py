"""ledger.sqlite: the file, what can be wrong with it, and its transactions."""

import asyncio
import math
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger import (
    Acquired,
    Created,
    EndedAbsent,
    EndedCreated,
    EndedUnknown,
    Lease,
    LedgerUnavailable,
    sqlite_access,
    sqlite_file,
)
from attachment_gateway.ledger import sqlite as sqlite_ledger
from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.sqlite import UPKEEP_EVERY, SqliteLedger

A = Lease(holder="a", post="g/p", request_id="r1", fingerprint=b"f")
B = Lease(holder="b", post="g/p")
C = Lease(holder="c", post="g/p")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the file; neither it nor its directory exists."""
    return tmp_path / "state" / "gateway" / "ledger.sqlite3"


async def opened(path: Path, **clock: Any) -> SqliteLedger:
    return await SqliteLedger.open(str(path), settle_s=15, retention_s=1000, **clock)


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqliteLedger]:
    """A ledger on the real clock."""
    ledger = await opened(path)
    yield ledger
    await ledger.close()


def read(path: Path, query: str) -> Any:
    with closing(sqlite3.connect(path)) as connection:
        [row] = connection.execute(query).fetchall()
        return row[0]


# The file.


async def test_only_the_owner_can_read_the_files(ledger: SqliteLedger, path: Path) -> None:
    """The directory that the ledger makes, and every file in it, is its owner's alone."""
    await ledger.acquire(A)
    modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
    names = {"ledger.sqlite3", "ledger.sqlite3-wal", "ledger.sqlite3-shm"}
    assert modes == dict.fromkeys(names, 0o600)
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_the_mode_of_an_existing_directory_is_kept(path: Path) -> None:
    """The mode of a directory that exists is kept."""
    path.parent.mkdir(parents=True, mode=0o755)
    await (await opened(path)).close()
    assert path.parent.stat().st_mode & 0o777 == 0o755


async def test_the_file_names_its_program_and_schema(ledger: SqliteLedger, path: Path) -> None:
    """The file has the program's application id, the schema's version and a write-ahead log."""
    assert read(path, "PRAGMA application_id") == 0x6167776C
    assert read(path, "PRAGMA user_version") == 4
    assert read(path, "PRAGMA journal_mode") == "wal"


async def test_entries_are_kept_after_closing(path: Path) -> None:
    """What was written before closing is there after opening the file again."""
    ledger = await opened(path)
    await ledger.acquire(A)
    await ledger.release(A, EndedCreated("x"))
    await ledger.close()
    ledger = await opened(path)
    assert isinstance(await ledger.acquire(A), Created)
    assert await ledger.claimed("g/p") == {"x"}
    await ledger.close()


async def test_a_relative_path_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path is relative to the process's working directory."""
    monkeypatch.chdir(tmp_path)
    await (await opened(Path("here.sqlite3"))).close()
    assert (tmp_path / "here.sqlite3").exists()


# What can be wrong with it.


async def fault(path: Path) -> str:
    with pytest.raises(SettingError) as caught:
        await opened(path)
    return str(caught.value)


async def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    """A file that is no database is refused and left unchanged."""
    path = tmp_path / "notes.txt"
    path.write_text("Dear diary, " * 100)
    assert await fault(path) == (
        f"ledger is '{path}', which can't be used as an SQLite file (file is not a database); name "
        f"one that can be written, in a directory that can"
    )
    assert path.read_text().startswith("Dear diary")


async def test_another_programs_database_is_refused(tmp_path: Path) -> None:
    """A database of another program is refused."""
    path = tmp_path / "accounts.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE accounts (name)")
    assert await fault(path) == (
        f"ledger is '{path}', another program's database; name another file"
    )


@pytest.mark.parametrize("version", [3, 5])
async def test_another_versions_database_is_refused(path: Path, version: int) -> None:
    """A database of an older or newer schema is refused and left unchanged."""
    await (await opened(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version = {version}")
    assert await fault(path) == (
        f"ledger is '{path}', which another version of this program wrote (its schema is "
        f"{version}, 4 is known here); run that version, or name another file"
    )
    assert read(path, "PRAGMA user_version") == version


async def test_a_directory_as_the_file_is_refused(tmp_path: Path) -> None:
    """A path that is a directory is refused."""
    assert "(unable to open database file)" in await fault(tmp_path)


async def test_a_file_as_the_directory_is_refused(tmp_path: Path) -> None:
    """A path whose directory is a file is refused."""
    (tmp_path / "state").write_text("")
    assert "can't be used as an SQLite file ([Errno" in await fault(tmp_path / "state" / "l.db")


async def test_a_database_that_cannot_be_written_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that can't be written is refused when it is opened, before any call."""
    await (await opened(path)).close()

    def read_only(path: str) -> sqlite3.Connection:
        return sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    monkeypatch.setattr(sqlite_file, "connected", read_only)
    assert "(attempt to write a readonly database)" in await fault(path)


# At run time.


async def test_the_event_loop_goes_on_while_the_file_is_locked(
    ledger: SqliteLedger, path: Path
) -> None:
    """The event loop runs while a call waits for a locked file."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        entering = asyncio.create_task(ledger.acquire(A))
        for _ in range(10):
            await asyncio.sleep(0.001)
        assert not entering.done()
        connection.execute("COMMIT")
    assert await entering == Acquired()


async def test_a_file_that_stays_locked_is_unavailable(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call raises LedgerUnavailable after waiting `BUSY_S`, and works once the lock is gone."""
    monkeypatch.setattr(sqlite_file, "BUSY_S", 0.01)
    ledger = await opened(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(LedgerUnavailable) as caught:
            await ledger.acquire(A)
        assert caught.value.why == "SQLite: database is locked"
        assert await ledger.find(B) is None
        connection.execute("COMMIT")
    assert await ledger.acquire(A) == Acquired()
    await ledger.close()


async def test_transactions_run_in_a_thread_after_a_slow_one(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a transaction longer than `SLOW_S`, the next ones run in a thread for a while."""

    def thread_of_next() -> Awaitable[int]:
        return ledger._write(lambda *_: threading.get_ident())

    here = threading.get_ident()
    assert await thread_of_next() == here
    monkeypatch.setattr(sqlite_ledger, "SLOW_S", 0.0)
    assert await thread_of_next() == here
    monkeypatch.setattr(sqlite_ledger, "SLOW_S", 9.0)
    assert await thread_of_next() != here
    assert await thread_of_next() != here
    ledger._slow_until = 0.0
    assert await thread_of_next() == here


async def test_a_lingering_write_shares_the_next_transaction(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lingering write waits for the next write and shares its transaction."""
    times = []

    def note(_: object, now: float) -> None:
        times.append(now)

    monkeypatch.setattr(sqlite_ledger, "LINGER_S", 60)
    leaving = asyncio.create_task(ledger._write(note, lingers=True))
    await asyncio.sleep(0)
    assert not times
    await ledger._write(note)
    await leaving
    assert times[0] == times[1]


async def test_a_write_waits_only_while_another_lease_is_held(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes linger only while two leases are held."""
    monkeypatch.setattr(sqlite_ledger, "LINGER_S", 60)
    monkeypatch.setattr(sqlite_ledger, "SHARED_FOR_S", 0)
    async with asyncio.timeout(5):
        for each in (A, B, A):
            await ledger.acquire(each)
            await ledger.acquire(each)
            await ledger.release(each, EndedAbsent())
        await ledger.acquire(A)
    acquiring = asyncio.create_task(ledger.acquire(B))
    releasing = asyncio.create_task(ledger.release(A, EndedAbsent()))
    await asyncio.sleep(0.05)
    assert (acquiring.done(), releasing.done()) == (False, False)
    async with asyncio.timeout(5):
        await ledger.release(B, EndedAbsent())
        await asyncio.gather(acquiring, releasing)
    assert not ledger._holders


async def test_a_write_lingers_for_a_while_after_two_leases(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writes still linger for `SHARED_FOR_S` after two leases were held."""
    monkeypatch.setattr(sqlite_ledger, "LINGER_S", 0.05)
    monkeypatch.setattr(sqlite_ledger, "SHARED_FOR_S", 60)
    for each in (A, B):
        await ledger.acquire(each)
    for each in (A, B):
        await ledger.release(each, EndedAbsent())
    acquiring = asyncio.create_task(ledger.acquire(A))
    await asyncio.sleep(0)
    assert not acquiring.done()
    assert await acquiring == Acquired()


async def test_a_refused_lease_is_not_counted_as_held(ledger: SqliteLedger) -> None:
    """A lease that isn't acquired doesn't count as held."""
    await ledger.acquire(A)
    await ledger.release(A, EndedCreated("x"))
    assert isinstance(await ledger.acquire(A), Created)
    assert not ledger._holders


async def test_a_release_is_committed_before_it_returns(ledger: SqliteLedger, path: Path) -> None:
    """A release is in the file, with and without a request id, when it returns."""
    for each in (A, B):
        await ledger.acquire(each)
        await ledger.release(each, EndedCreated(each.holder))
    other = await opened(path)
    assert await other.claimed("g/p") == {"a", "b"}
    assert await other.acquire(C) == Acquired()
    await other.close()


async def test_a_failed_commit_writes_nothing(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed commit raises LedgerUnavailable and writes nothing, and the next one works."""
    monkeypatch.setattr(sqlite_access, "COMMIT", "COMMIT to nothing")
    with pytest.raises(LedgerUnavailable, match="ledger is unavailable"):
        await ledger.acquire(A)
    monkeypatch.undo()
    assert await ledger.acquire(B) == Acquired()


async def test_an_open_transaction_fails_the_next_and_is_ended(ledger: SqliteLedger) -> None:
    """A transaction left open fails the next call, which ends it."""
    ledger._on_loop._connection.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable):
        await ledger.acquire(A)
    assert await ledger.acquire(A) == Acquired()


async def test_an_error_without_an_sqlite_code_is_unavailable(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An OperationalError without an SQLite error code raises LedgerUnavailable too."""

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("Could not decode to UTF-8 column")

    monkeypatch.setattr("attachment_gateway.ledger.sqlite_store.SqliteStore.rows", fail)
    with pytest.raises(LedgerUnavailable) as caught:
        await ledger.acquire(A)
    assert caught.value.why == "SQLite: Could not decode to UTF-8 column"


async def test_a_failed_transaction_changes_nothing(
    ledger: SqliteLedger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction that fails at the request id's entry leaves the queue unchanged as well."""
    monkeypatch.setattr("attachment_gateway.ledger.sqlite_store.PUT_ENTRY", "INSERT INTO nowhere")
    with pytest.raises(LedgerUnavailable):
        await ledger.acquire(A)
    monkeypatch.undo()
    assert await ledger.acquire(B) == Acquired()
    assert not await ledger.renew(A)


async def test_an_error_of_our_own_is_raised_unchanged(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An exception that isn't SQLite's is raised unchanged, and nothing is written."""
    monkeypatch.setattr("attachment_gateway.ledger.sqlite_store.SqliteStore.put_entry", None)
    with pytest.raises(TypeError):
        await ledger.acquire(A)
    monkeypatch.undo()
    assert await ledger.acquire(B) == Acquired()


async def test_a_release_after_a_cancelled_acquire_frees_the_post(
    ledger: SqliteLedger, path: Path
) -> None:
    """A release after a cancelled `acquire` frees the post, whether or not it acquired."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        entering = asyncio.create_task(ledger.acquire(A))
        await asyncio.sleep(0)
        entering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await entering
        connection.execute("COMMIT")
    await ledger.release(A, EndedUnknown(settles_in_s=0))
    assert await ledger.acquire(B) == Acquired()


async def test_closing_finishes_pending_calls(path: Path) -> None:
    """`close` finishes pending calls, fails later ones, and ends every thread."""
    ledger = await opened(path)
    entering = asyncio.create_task(ledger.acquire(A))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(ledger.release(A, EndedUnknown(settles_in_s=9)))
    await asyncio.sleep(0)
    await ledger.close()
    assert await entering == Acquired()
    await leaving
    with pytest.raises(LedgerUnavailable):
        await ledger.find(A)
    with pytest.raises(LedgerUnavailable):
        await ledger.acquire(B)
    await ledger.close()
    await asyncio.to_thread(*(each.join for each in ledger._thread._threads))


async def test_closing_finishes_calls_queued_for_the_thread(path: Path) -> None:
    """`close` also writes what was called while the thread runs a transaction."""
    ledger = await opened(path)
    ledger._slow_until = math.inf
    entering = asyncio.create_task(ledger.acquire(A))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(ledger.release(A, EndedCreated("x")))
    await asyncio.sleep(0)
    await ledger.close()
    assert await entering == Acquired()
    await leaving
    assert read(path, "SELECT attachment_id FROM entries") == "x"


async def test_a_failed_upkeep_fails_no_call(
    ledger: SqliteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failed upkeep is logged at most, and the calls work."""
    monkeypatch.setattr("attachment_gateway.ledger.sqlite_store.PURGE_QUEUE", "DELETE FROM nowhere")
    ledger._writes_to_upkeep = 0
    with capture_logs() as log:
        assert await ledger.acquire(B) == Acquired()
        assert await ledger.acquire(B) == Acquired()
    assert [(each["event"], each["why"]) for each in log] == [
        ("ledger_not_purged", "SQLite: no such table: nowhere")
    ]
    monkeypatch.setattr(ledger, "_keep_up", None)  # an upkeep that raises TypeError
    ledger._writes_to_upkeep = 0
    assert await ledger.acquire(B) == Acquired()
    assert await ledger.acquire(B) == Acquired()


async def test_the_file_does_not_grow_without_bound(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Upkeep removes what has expired, a part each time, other processes' entries included."""
    monkeypatch.setattr(sqlite_ledger, "LINGER_S", 0)
    now = 0.0
    ledger = await opened(path, clock=BootClock(boot_id="boot", now_s=lambda: now))
    for number in range(3 * UPKEEP_EVERY):
        now += 100
        lease = Lease(holder=f"h{number}", post=f"g/{number}", request_id=f"r{number}")
        await ledger.acquire(lease)
        await ledger.release(lease, EndedCreated("x") if number % 3 else EndedAbsent())
    for table in ("entries", "claimed", "queue"):
        # 10 last for the retention, UPKEEP_EVERY may have come since the last purge.
        assert read(path, f"SELECT count(*) FROM {table}") < UPKEEP_EVERY + 20
    await ledger.close()


async def test_purging_leaves_what_must_be_kept(path: Path) -> None:
    """Purging leaves held and unsettled entries, and the claims of an unsettled entry's post."""
    now = 0.0
    ledger = await opened(path, clock=BootClock(boot_id="boot", now_s=lambda: now))
    held = Lease(holder="h", post="g/q", request_id="r2")
    for each in (A, held):
        await ledger.acquire(each)
    await ledger.release(A, EndedUnknown(settles_in_s=15))
    for each in (B, Lease(holder="d", post="g/q")):
        await ledger.release(each, EndedCreated("x"))
    now = 100_000.0
    for _ in range(3 * UPKEEP_EVERY):
        await ledger.acquire(C)
    await ledger.close()
    assert read(path, "SELECT group_concat(request_id) FROM entries") == "r1,r2"
    assert read(path, "SELECT count(*) FROM claimed") == 1
    ledger = await opened(path, clock=BootClock(boot_id="boot", now_s=lambda: now))
    assert await ledger.claimed("g/p") == {"x"}
    await ledger.close()


async def test_purging_reaches_every_row(path: Path) -> None:
    """Purging reaches expired rows behind more unexpired ones than one purge looks at."""
    now = 0.0
    ledger = await opened(path, clock=BootClock(boot_id="boot", now_s=lambda: now))
    kept = 10 * UPKEEP_EVERY
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO claimed (post, attachment_id, expires_at) VALUES (x'67', ?, ?)",
            [(f"{n:04}", 1e9 if n < kept else 1.0) for n in range(kept + 50)],
        )
    now = 2.0
    for _ in range(4 * UPKEEP_EVERY):
        await ledger.acquire(B)
    await ledger.close()
    assert read(path, "SELECT count(*) FROM claimed") == kept
