"""Bursts of cancels, after which the gateway must have released its sockets and memory."""

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from tests.faults.case_run import CaseRun
from tests.faults.gateways import Gateway
from tests.faults.wire_faults import WireFault

CALLS = 120

# The heap's size varies, so the maximum after the first half is compared with the minimum after
# the second.
BURSTS = 4
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


def grown(calm: Sequence[Usage], bursts: Sequence[Usage]) -> Iterator[str]:
    """Yield a sentence for each usage that grew by more than its tolerance.

    `calm` is before and after all bursts, `bursts` is after each of them.
    """
    before, after = calm
    if after.files > before.files + FILES_TOLERANCE:
        yield f"{before.files} files became {after.files}"
    half = len(bursts) // 2
    early = max(one.rss_bytes for one in bursts[:half])
    late = min(one.rss_bytes for one in bursts[half:])
    if late > early + RSS_TOLERANCE_BYTES:
        yield f"{early:,} bytes of memory became {late:,}"


async def burst(run: CaseRun) -> None:
    """Run `BURSTS` bursts, and compare the gateway's usage before, between and after them."""
    async with run.own_gateway(run.environment.new_ledger()) as gateway:
        await run.call(gateway)
        before = usage(gateway.pid)
        bursts = [await _after_burst(run, gateway, number) for number in range(BURSTS)]
        await asyncio.sleep(IDLE_S)
        await run.until_definite(gateway)
        run.found.extend(grown((before, usage(gateway.pid)), bursts))
    await run.wait_until_quiet()
    await run.check()


async def _after_burst(run: CaseRun, gateway: Gateway, number: int) -> Usage:
    random = Random(f"{run.case.seed}/{number}")
    cases = (replace(run.case, seed=f"{run.case.seed}/{number}/{call}") for call in range(CALLS))
    runs = [CaseRun(case=case, environment=run.environment, again=run.again) for case in cases]
    await asyncio.gather(*(one.set_up() for one in runs))
    await asyncio.gather(*(_cancelled(one, gateway, random) for one in runs))
    await asyncio.gather(*(one.wait_until_quiet() for one in runs))
    for one in runs:
        await one.check()
        run.found.extend(one.found)
    return usage(gateway.pid)


async def _cancelled(run: CaseRun, gateway: Gateway, random: Random) -> None:
    fault = random.choice((None, WireFault(side="answer", at="nothing", act="hang")))
    if fault is not None:
        run.traffic.faults.append(fault)
    await run.call(gateway, cancel_after_s=random.uniform(0, 0.8))
