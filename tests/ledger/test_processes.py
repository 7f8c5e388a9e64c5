"""ledger: processes that share a ledger, on the real clock, and that are killed."""

import asyncio
import os
import signal
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from redis import Redis

from attachment_gateway.ledger import Acquired, InProgress, Lease, Standing
from attachment_gateway.ledger.opening import open_ledger
from tests.support.contenders import contender
from tests.support.processes import WITHIN_S, ended, lines_until


@pytest.fixture(params=["sqlite", "redis"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty ledger that processes can share."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/ledger.sqlite3"
    url: str = request.getfixturevalue("redis_url")
    with Redis.from_url(url) as client:
        client.flushall()
    return url


def test_one_process_at_a_time_holds_the_post(url: str, tmp_path: Path) -> None:
    """Of four processes that acquire a lease 100 times each, one at a time holds the post."""
    with ExitStack() as stack:
        programs = [
            stack.enter_context(contender(url, tmp_path, "contend", f"p{n}", "100"))
            for n in range(4)
        ]
        for process in programs:
            assert ended(process) == (0, "done\n", "")


async def test_the_lease_of_a_killed_process_is_taken_over(url: str, tmp_path: Path) -> None:
    """The lease of a killed process ends, and a repeat finds the sending it recorded."""
    lease = Lease(holder="h", post="g/p", request_id="r1", fingerprint=b"f")
    with contender(url, tmp_path, "send_and_hang", lease_s=0.5) as process:
        lines_until("sending", process)
        os.killpg(process.pid, signal.SIGKILL)
        ledger = await open_ledger(url, settle_s=15, retention_s=1000)
        standing: Standing = InProgress(lease_left_s=1)
        async with asyncio.timeout(WITHIN_S):
            while isinstance(standing, InProgress):
                standing = await ledger.acquire(lease)
        assert isinstance(standing, Acquired)
        assert standing.unsettled is not None
        assert standing.unsettled.began_ago_s >= 0.5
        assert standing.unsettled.settles_in_s <= 59.5
        assert await ledger.renew(lease)
        await ledger.close()


@pytest.mark.parametrize("time", range(5))
async def test_a_kill_at_any_moment_leaves_the_file_whole(tmp_path: Path, time: int) -> None:
    """After a kill at any moment the SQLite file is intact and every post can be acquired."""
    path = tmp_path / "ledger.sqlite3"
    url = f"sqlite:///{path}"
    with contender(url, tmp_path, "write_for_ever", lease_s=0.01) as process:
        lines_until("writing", process)
        await asyncio.sleep(0.003 * time)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(WITHIN_S)
    ledger = await open_ledger(url, settle_s=15, retention_s=1000)
    for post in range(7):
        lease = Lease(holder=f"last-{post}", post=f"g/{post}")
        async with asyncio.timeout(WITHIN_S):
            while await ledger.acquire(lease) != Acquired():
                pass
    await ledger.close()
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_processes_that_create_the_file_at_once_all_succeed(tmp_path: Path) -> None:
    """Eight processes that open a new SQLite file at once all succeed."""
    url = f"sqlite:///{tmp_path}/made/at/once.sqlite3"
    with ExitStack() as stack:
        programs = [
            stack.enter_context(contender(url, tmp_path, "contend", f"p{n}", "1")) for n in range(8)
        ]
        for process in programs:
            assert ended(process) == (0, "done\n", "")
