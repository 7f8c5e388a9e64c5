"""The watch on the event loop of a gateway, and the reading of what it noted."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.abuse.children import child
from tests.support.stalls import NONE, Stall, longest, stalls
from tests.support.watched_gateway import EVERY_S, Clocks, watch


def spin(seconds: float) -> None:
    """Use the processor for that long."""
    until_s = time.thread_time() + seconds
    while time.thread_time() < until_s:
        pass


async def noted_during(file: Path, work: Callable[[], object], *, in_thread: bool) -> Stall:
    """Return the longest stall that is noted while a work runs, on the loop or in a thread."""
    watching = asyncio.create_task(watch(file))
    await asyncio.sleep(0.05)
    if in_thread:
        await asyncio.to_thread(work)
    else:
        work()
    await asyncio.sleep(0.05)
    watching.cancel()
    return longest(file)


@pytest.mark.parametrize(
    ("now", "late_s", "own_s"),
    [
        (Clocks(at_s=10.405, process_s=2.4, waited_s=0.0), 0.4, 0.4),  # it computed
        (
            Clocks(at_s=10.405, process_s=2.4, waited_s=0.4),
            0.4,
            0.0,
        ),  # others ran
        (Clocks(at_s=10.405, process_s=2.1, waited_s=0.3), 0.4, 0.1),  # some of both
        (Clocks(at_s=10.405, process_s=2.0, waited_s=0.0), 0.4, 0.0),  # the machine stood
        (Clocks(at_s=10.405, process_s=2.8, waited_s=0.0), 0.4, 0.4),  # in several threads
        (Clocks(at_s=10.005, process_s=2.005, waited_s=0.0), 0.0, 0.0),  # in time
    ],
)
def test_a_stall_is_the_gateways_own_part(now: Clocks, late_s: float, own_s: float) -> None:
    """A stall has no time in which the thread waited for a processor, and none without CPU time."""
    assert EVERY_S == 0.005
    stall = Clocks(at_s=10.0, process_s=2.0, waited_s=0.0).stall_until(now)
    assert stall.late_s == pytest.approx(late_s)
    assert stall.own_s == pytest.approx(own_s)


async def test_a_computing_loop_stalls(tmp_path: Path) -> None:
    """A callback that computes for 0.2 s is a stall of about that."""
    stall = await noted_during(tmp_path / "s", lambda: spin(0.2), in_thread=False)
    assert 0.15 < stall.own_s <= stall.late_s


async def test_a_computing_thread_stalls_the_loop(tmp_path: Path) -> None:
    """A thread that holds the interpreter's lock for long is a stall, too."""
    number = int("9" * 4000)
    stall = await noted_during(tmp_path / "s", lambda: number**600, in_thread=True)
    assert 0.03 < stall.own_s <= stall.late_s


async def test_a_paused_process_does_not_stall(tmp_path: Path) -> None:
    """A loop that stands while its process uses no processor is late, but has no stall."""
    stall = await noted_during(tmp_path / "s", lambda: time.sleep(0.2), in_thread=False)
    assert stall.own_s < 0.1
    assert max(each.late_s for each in stalls(tmp_path / "s")) > 0.15


def test_a_phase_begins_at_a_time(tmp_path: Path) -> None:
    """Stalls before a time are left out, and a file that isn't there has none."""
    file = tmp_path / "s"
    file.write_text("1.000000 0.300000 0.300000\n2.000000 0.200000 0.100000\n")
    assert longest(file) == Stall(at_s=1, late_s=0.3, own_s=0.3)
    assert longest(file, since_s=1.5) == Stall(at_s=2, late_s=0.2, own_s=0.1)
    assert longest(file, since_s=3) == NONE
    assert longest(tmp_path / "none") == NONE


async def test_a_watched_gateway_is_a_gateway(tmp_path: Path) -> None:
    """The watched gateway says where it listens, as `serve` does."""
    command = (str(tmp_path / "s"), "attachment_gateway", "serve", "--listen=127.0.0.1:0")
    async with child("tests.support.watched_gateway", *command, log=tmp_path / "log") as gateway:
        await gateway.ready()
        assert gateway.address.startswith("127.0.0.1:")
