"""Storms of cancels, after which the gateway must have released its sockets and memory."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.faults.gateways import Gateway
from tests.faults.play import Play
from tests.faults.wire_faults import WireFault

CALLS = 120

# The heap's size varies, so the maximum after the first half is compared with the minimum after
# the second.
STORMS = 4
RSS_TOLERANCE_BYTES = 24 * 1024 * 1024

# An idle connection to Graph is closed by the next request after 15 s.
IDLE_S = 16.0
FILES_TOLERANCE = 4


@dataclass(frozen=True, slots=True)
class Usage:
    """The open files and the memory of a process."""

    files: int
    rss_bytes: int


def usage(pid: int) -> Usage:
    """Read the usage of a process, on Linux."""
    process = Path("/proc") / str(pid)
    pages = int((process / "statm").read_text().split()[1])
    files = sum(1 for _ in (process / "fd").iterdir())
    return Usage(files, pages * os.sysconf("SC_PAGE_SIZE"))


def grown(calm: Sequence[Usage], storms: Sequence[Usage]) -> Iterator[str]:
    """Yield a sentence for each usage that grew by more than its tolerance.

    `calm` is before and after all storms, `storms` is after each of them.
    """
    before, after = calm
    if after.files > before.files + FILES_TOLERANCE:
        yield f"{before.files} files became {after.files}"
    half = len(storms) // 2
    early = max(one.rss_bytes for one in storms[:half])
    late = min(one.rss_bytes for one in storms[half:])
    if late > early + RSS_TOLERANCE_BYTES:
        yield f"{early:,} bytes of memory became {late:,}"


async def storm(play: Play) -> None:
    """Run `STORMS` storms, and compare the gateway's usage before, between and after them."""
    async with play.own_gateway(play.stage.new_ledger()) as gateway:
        await play.call(gateway)
        before = usage(gateway.pid)
        storms = [await _after_storm(play, gateway, number) for number in range(STORMS)]
        await asyncio.sleep(IDLE_S)
        await play.until_definite(gateway)
        play.found.extend(grown((before, usage(gateway.pid)), storms))
    await play.rest()
    await play.check()


async def _after_storm(play: Play, gateway: Gateway, number: int) -> Usage:
    random = Random(f"{play.case.seed}/{number}")
    cases = (replace(play.case, seed=f"{play.case.seed}/{number}/{call}") for call in range(CALLS))
    plays = [Play(case=case, stage=play.stage, again=play.again) for case in cases]
    await asyncio.gather(*(one.set_up() for one in plays))
    await asyncio.gather(*(_cancelled(one, gateway, random) for one in plays))
    await asyncio.gather(*(one.rest() for one in plays))
    for one in plays:
        await one.check()
        play.found.extend(one.found)
    return usage(gateway.pid)


async def _cancelled(play: Play, gateway: Gateway, random: Random) -> None:
    mishap = random.choice((None, WireFault(side="answer", at="nothing", act="hang")))
    if mishap is not None:
        play.traffic.faults.append(mishap)
    await play.call(gateway, cancel_after_s=random.uniform(0, 0.8))
