"""The time from the start of a process to its first response."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.children import Server, caller, server
from benchmarks.contestants import AGAINST, FLOOR, GATEWAY, PLAIN, SDK, command_of
from benchmarks.jobs import Job
from benchmarks.plan import CHUNK_BYTES, KB, Plan
from benchmarks.traffic import ROOT

Tell = Callable[[str], None]

STARTED = (GATEWAY, AGAINST, FLOOR, PLAIN, SDK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Times since the start of the process; the SDK "listens" when its modules are imported."""

    contestant: str
    listening_s: Sequence[float]
    answered_s: Sequence[float]


async def starts(plan: Plan, place: Path, tell: Tell) -> list[Start]:
    """Start every contestant's process several times, one after the other."""
    names = [each for each in STARTED if each in plan.contestants]
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    async with server("-m", "benchmarks.sink") as graph:
        for number in range(plan.amounts.starts):
            for name in names:
                tell(f"start {number + 1}: {name}")
                took[name].append(await _start(plan, name, graph, place))
    return [
        Start(
            contestant=name,
            listening_s=[listening_s for listening_s, _ in pairs],
            answered_s=[answered_s for _, answered_s in pairs],
        )
        for name, pairs in took.items()
    ]


async def _start(plan: Plan, name: str, graph: Server, place: Path) -> tuple[float, float]:
    if name == SDK:
        began = time.perf_counter()
        async with caller("benchmarks.sdk") as sdk:
            listening_s = time.perf_counter() - began
            await sdk.run(_job(f"http://{graph.address}{ROOT}"))
            return listening_s, time.perf_counter() - began
    tree = plan.against if name == AGAINST else None
    async with caller("benchmarks.load") as load:
        began = time.perf_counter()
        async with server(*command_of(name, graph.address, place), tree=tree) as started:
            listening_s = time.perf_counter() - began
            await load.run(_job(started.address))
            return listening_s, time.perf_counter() - began


def _job(target: str) -> Job:
    return Job(target=target, uploads=1, size_bytes=KB, chunk_bytes=CHUNK_BYTES, concurrency=1)
