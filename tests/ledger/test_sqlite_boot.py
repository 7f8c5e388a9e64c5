"""ledger.sqlite_boot: a ledger's file across boots of the machine and steps of its wall clock."""

import sys
from contextlib import closing
from pathlib import Path

import pytest

from attachment_gateway.ledger import (
    Acquired,
    Created,
    EndedCreated,
    EndedUnknown,
    InProgress,
    Lease,
    Queued,
    Sending,
    SentAttempt,
)
from attachment_gateway.ledger.boot_clock import BootClock, boot_clock
from attachment_gateway.ledger.sqlite import SqliteLedger
from attachment_gateway.ledger.sqlite_boot import ANCHOR
from attachment_gateway.ledger.sqlite_file import connected
from tests.support.processes import ended, program

BOOTED = str(Path(__file__).with_name("booted.py"))

WALL_S = 1_795_000_000.0

A1, B1, C = (
    Lease(holder="a", post="g/p", request_id="r1", fingerprint=b"f"),
    Lease(holder="b", post="g/p", request_id="r1", fingerprint=b"f"),
    Lease(holder="c", post="g/p"),
)
SENDING = Sending(settles_in_s=60.0, wall_s=WALL_S, baseline=b"ids")


class Machine:
    """A machine's clocks, which the test sets."""

    def __init__(self, boot_id: str, now_s: float, wall_s: float = WALL_S) -> None:
        self.now_s = now_s
        self.wall_s = wall_s
        self.clock = BootClock(
            boot_id=boot_id, now_s=lambda: self.now_s, wall_s=lambda: self.wall_s
        )

    async def open(self, path: Path) -> SqliteLedger:
        return await SqliteLedger.open(str(path), settle_s=15, retention_s=1000, clock=self.clock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the file, which doesn't exist."""
    return tmp_path / "ledger.sqlite3"


def said_on(path: Path, boot_id: str, now_s: float, wall_s: float, *steps: str) -> list[str]:
    """Return what another process prints that runs the steps on its clocks."""
    run = program(sys.executable, BOOTED, str(path), boot_id, str(now_s), str(wall_s), *steps)
    with run as process:
        code, said, errors = ended(process)
    assert (code, errors) == (0, "")
    return said.splitlines()


@pytest.mark.parametrize("step_s", [-120.0, 120.0, 1e9])
async def test_a_step_of_the_wall_clock_between_two_processes_changes_nothing(
    path: Path, step_s: float
) -> None:
    """Leases, settling and retention are on the boot's clock, which both processes share."""
    here = Machine("boot", 5000)
    ledger = await here.open(path)
    await ledger.acquire(A1, sending=SENDING)
    assert said_on(path, "boot", 5009, WALL_S + step_s, "acquire,b,r1", "acquire,c,") == [
        "InProgress(lease_left_s=1.0)",
        "Queued()",
    ]
    here.now_s, here.wall_s = 5010, WALL_S - step_s
    [attempt] = (await acquired(ledger, B1)).attempts
    assert (attempt.began_ago_s, attempt.settles_in_s, attempt.wall_s) == (10, 50, WALL_S)
    await ledger.release(B1, EndedCreated("x"))
    assert said_on(path, "boot", 6009, WALL_S + step_s, "acquire,d,r1", "claimed,,") == [
        "Created(attachment_id='x', ago_s=999.0)",
        "['x']",
    ]
    await ledger.close()


async def acquired(ledger: SqliteLedger, lease: Lease) -> Acquired:
    standing = await ledger.acquire(lease)
    assert isinstance(standing, Acquired)
    return standing


async def test_a_file_that_is_opened_again_in_the_same_boot_goes_on(path: Path) -> None:
    """Closing and opening the file moves no time."""
    said_on(path, "boot", 5000, WALL_S, "send,a,r1")
    here = Machine("boot", 5004, WALL_S - 3600)
    ledger = await here.open(path)
    assert await ledger.acquire(B1) == InProgress(lease_left_s=6)
    here.now_s = 5010
    [attempt] = (await acquired(ledger, B1)).attempts
    assert (attempt.began_ago_s, attempt.settles_in_s, attempt.wall_s) == (10, 50, WALL_S)
    await ledger.close()


@pytest.mark.parametrize("now_s", [3.0, 90_000.0], ids=["earlier reading", "later reading"])
async def test_what_an_earlier_boot_has_sent_is_settled_anew(path: Path, now_s: float) -> None:
    """After a reboot an attempt settles as long as at first, and its lease and post are held.

    Its age is the least that is known: the machine's clock when the file was closed.
    """
    said_on(path, "boot", 5000, WALL_S, "send,a,r1")
    here = Machine("next boot", now_s, WALL_S + 86_400)
    ledger = await here.open(path)
    assert await ledger.acquire(C) == Queued()
    assert await ledger.acquire(B1) == InProgress(lease_left_s=10)
    here.now_s += 10
    assert await ledger.acquire(B1) == Acquired(
        attempts=(SentAttempt(began_ago_s=10, settles_in_s=50, wall_s=None, baseline=b"ids"),)
    )
    await ledger.close()


@pytest.mark.parametrize("steps", [("send,a,r1",), ("acquire,a,r1", "unknown,a,r1")])
async def test_a_post_of_an_earlier_boot_is_held_for_a_lease_and_the_settling(
    path: Path, steps: tuple[str, ...]
) -> None:
    """A lease that wasn't released, or ended as unknown, holds its post for 25 s after a reboot."""
    said_on(path, "boot", 5000, WALL_S, *steps)
    here = Machine("next boot", 100)
    ledger = await here.open(path)
    here.now_s = 124.5
    assert await ledger.acquire(C) == Queued()
    here.now_s = 125
    assert await ledger.acquire(C) == Acquired()
    await ledger.close()


async def test_an_unknown_end_of_an_earlier_boot_is_settled_anew(path: Path) -> None:
    """An unknown end, settled or not, is unsettled for 25 s after a reboot; a repeat finds it."""
    said_on(path, "boot", 5000, WALL_S, "acquire,a,r1", "unknown,a,r1")
    said_on(path, "boot", 5100, WALL_S, "acquire,c,", "created,c,")
    ledger = await Machine("next boot", 100).open(path)
    [attempt] = (await acquired(ledger, B1)).attempts
    assert (attempt.began_ago_s, attempt.settles_in_s, attempt.wall_s) == (100, 25, None)
    await ledger.close()


async def test_a_free_post_of_an_earlier_boot_is_free(path: Path) -> None:
    """A lease that was released before the reboot holds nobody up."""
    said_on(path, "boot", 5000, WALL_S, "acquire,a,r1", "created,a,r1")
    ledger = await Machine("next boot", 100).open(path)
    assert await ledger.acquire(C) == Acquired()
    await ledger.close()


@pytest.mark.parametrize(
    ("off_s", "left"), [(-1e9, 1000), (0, 1000), (600, 400), (1e9, 0)], ids=str
)
async def test_what_has_ended_ages_by_the_wall_clock_across_boots(
    path: Path, off_s: float, left: float
) -> None:
    """An ended entry and its claim expire by how far the wall clock went on, if it did.

    `ago_s` is the least that is known, since who has just created something must not call it gone.
    """
    said_on(path, "boot", 5000, WALL_S, "acquire,a,r1", "created,a,r1")
    here = Machine("next boot", 100, WALL_S + off_s)
    ledger = await here.open(path)
    if left:
        here.now_s = 100 + left - 0.5
        assert await ledger.find(B1) == Created(attachment_id="x", ago_s=left - 0.5)
        assert await ledger.claimed("g/p") == {"x"}
        here.now_s = 100 + left
    assert await ledger.find(B1) is None
    assert await ledger.claimed("g/p") == frozenset()
    await ledger.close()


async def test_an_unsettled_attempt_never_expires_by_the_wall_clock(path: Path) -> None:
    """Held and unsettled entries survive a wall clock that went on by 30 years over a reboot."""
    said_on(path, "boot", 5000, WALL_S, "send,a,r1")
    ledger = await Machine("next boot", 100, WALL_S + 1e9).open(path)
    assert await ledger.acquire(B1) == InProgress(lease_left_s=10)
    await ledger.close()


async def test_a_machine_without_boot_ids_knows_a_boot_by_its_clock(path: Path) -> None:
    """Without a boot id a clock that reads less than before is another boot's."""
    said_on(path, "", 5000, WALL_S, "send,a,r1")
    here = Machine("", 100)
    ledger = await here.open(path)
    here.now_s = 110
    [attempt] = (await acquired(ledger, B1)).attempts
    assert (attempt.settles_in_s, attempt.wall_s) == (50, None)
    await ledger.close()


async def test_a_file_is_moved_to_a_boot_once(path: Path) -> None:
    """The second process that opens the file after a reboot finds it moved already."""
    said_on(path, "boot", 5000, WALL_S, "send,a,r1")
    here = Machine("next boot", 100)
    first = await here.open(path)
    here.now_s = 109
    second = await here.open(path)
    assert await second.acquire(B1) == InProgress(lease_left_s=1)
    await first.close()
    await second.close()


async def test_the_anchor_is_written_at_opening_closing_and_upkeep(path: Path) -> None:
    """The anchor tells what the clocks read at the last opening, upkeep or closing."""
    here = Machine("boot", 100)

    def anchor() -> tuple[str, float, float]:
        with closing(connected(str(path))) as connection:
            row: tuple[str, float, float] = connection.execute(ANCHOR).fetchone()
            return row

    ledger = await here.open(path)
    assert anchor() == ("boot", 100, WALL_S)
    here.now_s, here.wall_s = 200, WALL_S - 7
    await ledger.acquire(C)
    assert anchor() == ("boot", 100, WALL_S)
    ledger._writes_to_upkeep = 0
    for _ in range(2):  # the second write waits for the upkeep that follows the first
        await ledger.release(C, EndedUnknown(settles_in_s=0))
    assert anchor() == ("boot", 200, WALL_S - 7)
    here.now_s = 300
    await ledger.close()
    assert anchor() == ("boot", 300, WALL_S - 7)


async def test_the_default_clocks_are_the_machines(path: Path) -> None:
    """Without a clock of the test's, the anchor has the machine's boot id and clocks."""
    before = boot_clock().now_s()
    ledger = await SqliteLedger.open(str(path), settle_s=15, retention_s=1000)
    await ledger.close()
    with closing(connected(str(path))) as connection:
        boot_id, boot_s, _ = connection.execute(ANCHOR).fetchone()
    assert boot_id == boot_clock().boot_id
    assert before <= boot_s <= boot_clock().now_s()
