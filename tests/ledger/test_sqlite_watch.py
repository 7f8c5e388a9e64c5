"""ledger.sqlite_making and ledger.sqlite_watch: a file that has lost what was in it."""

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger import (
    Acquired,
    EndedCreated,
    Lease,
    Ledger,
    LedgerUnavailable,
    Sending,
)
from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.sqlite import SqliteLedger
from tests.support.contenders import contender
from tests.support.processes import WITHIN_S, lines_until

A = Lease(holder="a", post="g/p", request_id="r1", fingerprint=b"f")
B = Lease(holder="b", post="g/r")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the file; neither it nor its directory exists."""
    return tmp_path / "state" / "ledger.sqlite3"


def log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


async def opened(path: Path, clock: BootClock | None = None) -> SqliteLedger:
    return await SqliteLedger.open(str(path), settle_s=15, retention_s=1000, clock=clock)


async def fault(path: Path) -> str:
    with pytest.raises(SettingError) as caught:
        await opened(path)
    return str(caught.value)


async def why_unavailable(ledger: Ledger) -> str:
    with pytest.raises(LedgerUnavailable) as caught:
        await ledger.renew(A)
    return caught.value.why


# While it is open.


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("elsewhere"))


def moved_back(path: Path) -> None:
    path.with_name("elsewhere").rename(path)


def directory_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("elsewhere"))


def replaced_by_a_copy(path: Path) -> None:
    shutil.copy(path, path.with_name("copy"))
    path.with_name("copy").replace(path)


def truncated(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def log_deleted(path: Path) -> None:
    log_of(path).unlink()


def log_replaced(path: Path) -> None:
    path.with_name("empty").touch()
    path.with_name("empty").replace(log_of(path))


def index_deleted(path: Path) -> None:
    path.with_name(f"{path.name}-shm").unlink()


RESTART = "while it was in use; restart the gateway when it is right again"
LOSSES = [
    (deleted, "'{}' was deleted or moved"),
    (moved, "'{}' was deleted or moved"),
    (directory_moved, "'{}' was deleted or moved"),
    (replaced_by_a_copy, "'{}' was replaced"),
    (truncated, "'{}' was truncated"),
    (emptied, "'{}' was truncated"),
    (log_deleted, "'{}-wal' was deleted or moved"),
    (log_replaced, "'{}-wal' was replaced"),
    (index_deleted, "'{}-shm' was deleted or moved"),
]


@pytest.mark.parametrize(("lose", "what"), LOSSES, ids=lambda each: getattr(each, "__name__", ""))
async def test_a_file_that_is_lost_is_unavailable_in_every_process(
    path: Path, tmp_path: Path, lose: Callable[[Path], None], what: str
) -> None:
    """Every method of every process raises LedgerUnavailable from the loss on, and says why."""
    ledger = await opened(path)
    assert await ledger.acquire(A) == Acquired()
    url = f"sqlite:///{path}"
    with contender(url, tmp_path, "renew_on_lines", stdin=subprocess.PIPE) as process:
        lines_until("acquired", process)
        lose(path)
        why = f"SQLite: {what.format(path)} {RESTART}"
        for method in (
            ledger.acquire(A, sending=Sending(settles_in_s=60, wall_s=0)),
            ledger.record_sending(A, Sending(settles_in_s=60, wall_s=0)),
            ledger.renew(A),
            ledger.release(A, EndedCreated("x")),
            ledger.find(A),
            ledger.look(A),
            ledger.claimed("g/p"),
        ):
            with pytest.raises(LedgerUnavailable) as caught:
                await method
            assert caught.value.why == why
        assert process.stdin is not None
        process.stdin.write("renew\nrenew\n")
        process.stdin.close()
        process.stdin = None
        said = process.communicate(timeout=WITHIN_S)[0].splitlines()
        assert [line for line in said if "ledger_gone" not in line] == [why, why]
    await ledger.close()


async def test_a_file_that_comes_back_is_not_used_again(path: Path) -> None:
    """The process goes on refusing, and closes the file; the loss is logged once."""
    ledger = await opened(path)
    await ledger.acquire(A)
    moved(path)
    with capture_logs() as log:
        why = await why_unavailable(ledger)
        moved_back(path)
        assert await why_unavailable(ledger) == why
    assert [(each["event"], f"SQLite: {each['why']}") for each in log] == [("ledger_gone", why)]
    await asyncio.sleep(0)
    with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
        ledger._on_loop._connection.execute("SELECT 1")
    await ledger.close()


async def test_letting_go_leaves_a_ledger_that_has_taken_the_path(path: Path) -> None:
    """Who had the old file open, and closes it, deletes no log of the new file."""
    old = await opened(path)
    await old.acquire(A)
    for each in (path, log_of(path), path.with_name(f"{path.name}-shm")):
        each.rename(each.with_name(f"old-{each.name}"))
    new = await opened(path)
    assert await new.acquire(A) == Acquired()
    await why_unavailable(old)
    await old.close()
    assert log_of(path).exists()
    assert await new.renew(A)
    await new.close()


def damage(path: Path) -> None:
    """Overwrite all but the first 20 pages."""
    with path.open("r+b") as file:
        file.seek(20 * 1024)
        file.write(b"\xff" * (path.stat().st_size - 20 * 1024))


async def test_a_damaged_file_is_let_go_of(path: Path) -> None:
    """Pages that SQLite finds malformed make the ledger unavailable for good."""
    ledger = await opened(path)
    for number in range(3000):
        await ledger.release(Lease(holder="h", post=f"g/{number}"), EndedCreated("x" * 200))
    await ledger.close()
    ledger = await opened(path)
    damage(path)
    why = ""
    for number in range(3000):
        try:
            await ledger.claimed(f"g/{number}")
        except LedgerUnavailable as error:
            why = error.why
    assert why == f"SQLite: '{path}' was damaged (database disk image is malformed) {RESTART}"
    assert await why_unavailable(ledger) == why
    await ledger.close()


async def test_a_file_that_was_opened_on_another_boot_is_let_go_of(path: Path) -> None:
    """Whoever still has it open on another machine, or in a sandbox, notices at the next write."""
    here, there = (BootClock(boot_id=each, now_s=lambda: 1.0) for each in ("here", "there"))
    ledger = await opened(path, here)
    await ledger.acquire(A)
    other = await opened(path, there)
    assert await why_unavailable(ledger) == (
        f"SQLite: the file was opened on another machine, or in a sandbox, {RESTART}"
    )
    assert await other.acquire(B) == Acquired()
    await ledger.close()
    await other.close()


async def test_a_symbolic_link_that_is_changed_is_a_replaced_file(path: Path) -> None:
    """A link to the file works, its log being beside the target, until it names another file."""
    await (await opened(path)).close()
    link = path.with_name("link")
    link.symlink_to(path)
    ledger = await opened(link)
    assert await ledger.acquire(A) == Acquired()
    link.unlink()
    link.symlink_to(path.with_name("ledger.sqlite3-wal"))
    assert await why_unavailable(ledger) == f"SQLite: '{link}' was replaced {RESTART}"
    await ledger.close()


async def test_a_change_of_the_working_directory_is_no_loss(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path names the same file after the process has changed its directory."""
    path.parent.mkdir()
    monkeypatch.chdir(path.parent)
    ledger = await opened(Path(path.name))
    monkeypatch.chdir("/")
    assert await ledger.acquire(A) == Acquired()
    await ledger.close()


# At the start.


def empty_file_at(path: Path) -> None:
    path.parent.mkdir()
    path.touch()


async def test_an_empty_file_is_refused(path: Path) -> None:
    """A file of no bytes is what a lost ledger leaves, and is refused."""
    empty_file_at(path)
    assert await fault(path) == (
        f"ledger is '{path}', which is empty, so what was in it is lost; put the file back, or "
        f"delete it to begin with an empty ledger"
    )


@pytest.mark.parametrize("table", ["queue", "entries", "claimed", "anchor"])
async def test_a_file_without_its_schema_is_refused(path: Path, table: str) -> None:
    """A ledger's file that lacks a table is refused."""
    await (await opened(path)).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"DROP TABLE {table}")
    assert await fault(path) == (
        f"ledger is '{path}', which lacks tables of a ledger, so what was in it is lost; put the "
        f"file back, or delete it to begin with an empty ledger"
    )


async def kill_while(path: Path, tmp_path: Path, what: str, after_s: float = 0) -> None:
    with contender(f"sqlite:///{path}", tmp_path, what) as process:
        lines_until("writing|sending", process)
        await asyncio.sleep(after_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(WITHIN_S)


async def test_a_log_without_its_file_is_refused(path: Path, tmp_path: Path) -> None:
    """A file that was deleted after a kill is missed, since its log is there."""
    await kill_while(path, tmp_path, "send_and_hang")
    deleted(path)
    assert await fault(path) == (
        f"ledger is '{path}', which is gone, but its log '{path}-wal' is there; put the file back, "
        f"or delete the log to begin with an empty ledger"
    )


async def test_a_file_that_was_in_use_without_its_log_is_refused(
    path: Path, tmp_path: Path
) -> None:
    """After a kill the log holds what was written last, so its loss is refused, each time."""
    await kill_while(path, tmp_path, "send_and_hang")
    log_of(path).rename(path.with_name("log"))
    for _ in range(2):
        assert await fault(path) == (
            f"ledger is '{path}', which was in use, and its log '{path}-wal' is gone with what was "
            f"written last; put the log back, or delete the file to begin with an empty ledger"
        )
    path.with_name("log").rename(log_of(path))
    ledger = await opened(path)
    assert (await ledger.look(A)).is_known
    await ledger.close()


async def test_a_log_that_was_lost_with_an_earlier_boot_is_no_reason(path: Path) -> None:
    """A power failure may take the log with it; the file goes on with what it has."""
    before, now = (BootClock(boot_id=each, now_s=lambda: 1.0) for each in ("before", "now"))
    ledger = await opened(path, before)
    await ledger.acquire(A)
    alone = path.with_name("alone.sqlite3")
    shutil.copy(path, alone)
    with pytest.raises(SettingError, match="which was in use"):
        await opened(alone, before)
    await (await opened(alone, now)).close()
    await ledger.close()


@pytest.mark.parametrize("time", range(6))
@pytest.mark.parametrize("what", ["open_and_close_for_ever", "write_for_ever"])
async def test_a_kill_at_any_moment_is_no_loss(
    path: Path, tmp_path: Path, what: str, time: int
) -> None:
    """A file whose process was killed, also while it opened or closed it, is opened again."""
    await kill_while(path, tmp_path, what, 0.0023 * time)
    ledger = await opened(path)
    assert await ledger.acquire(A) == Acquired()
    await ledger.close()


async def test_a_file_that_another_process_has_closed_is_marked_again(path: Path) -> None:
    """The first write after another process has closed the file marks it as open again."""
    ledger, other = await opened(path), await opened(path)
    await other.close()
    await ledger.acquire(A)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT is_open FROM anchor").fetchone() == (1,)
    await ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT is_open FROM anchor").fetchone() == (0,)


async def test_a_file_that_is_not_made_completely_is_not_there(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A making that fails in its last step leaves nothing behind."""

    def fail(*_: object) -> None:
        raise OSError("no")

    monkeypatch.setattr(os, "link", fail)
    assert "(no)" in await fault(path)
    assert list(path.parent.iterdir()) == []


async def test_the_file_of_the_process_that_makes_it_first_counts(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two processes that make the file at once, the second uses the first one's."""
    link = os.link

    def second(new: Path, to: Path) -> None:
        link(new, to)
        link(new, to)

    monkeypatch.setattr(os, "link", second)
    ledger = await opened(path)
    assert await ledger.acquire(A) == Acquired()
    assert {each.name for each in path.parent.iterdir()} == {
        "ledger.sqlite3",
        "ledger.sqlite3-wal",
        "ledger.sqlite3-shm",
    }
    await ledger.close()
