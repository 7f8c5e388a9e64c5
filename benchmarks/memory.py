"""The memory that uploads take, at once and one after the other."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import usage
from benchmarks.children import Caller, Server, caller, server
from benchmarks.contestants import AGAINST, FLOOR, GATEWAY, PLAIN, SDK, command_of, knows
from benchmarks.jobs import Job
from benchmarks.plan import AT_ONCE, CHUNK_BYTES, KB, LARGE_BYTES, MIB, Plan
from benchmarks.sink_counts import counts
from benchmarks.traffic import ROOT

Tell = Callable[[str], None]

FILLED = (GATEWAY, AGAINST, FLOOR, PLAIN, SDK)
ENDURING = (GATEWAY, AGAINST)

# How long to wait without uploads before memory is read.
_QUIET_S = 0.5

UPLOAD_MEMORY_FLAG = "--upload-memory-bytes"
UPLOAD_MEMORY_BYTES = 64 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Memory of `uploads` uploads of `size_bytes`.

    `waited_at_once`: how many of them waited for Graph's response at once.
    """

    contestant: str
    uploads: int
    failed: int
    size_bytes: int
    idle_bytes: int
    peak_bytes: int
    waited_at_once: int
    wall_s: float
    limited: bool = False

    @property
    def above_idle_bytes(self) -> int:
        """The memory that the uploads added."""
        return self.peak_bytes - self.idle_bytes

    @property
    def per_file(self) -> float:
        """The memory that each upload added, as a multiple of its file."""
        return self.above_idle_bytes / self.uploads / self.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Endurance:
    """Resident memory after the first uploads, and after all."""

    contestant: str
    first_uploads: int
    uploads: int
    first_bytes: int
    last_bytes: int


async def memory(plan: Plan, place: Path, tell: Tell) -> list[Memory]:
    """Measure `in_flight` uploads of the largest size at once, with each contestant."""
    found = []
    for name in (each for each in FILLED if each in plan.contestants):
        tell(f"memory: {name}")
        found.append(await _peak(plan, name, plan.amounts.in_flight, place))
    return found


async def burst(plan: Plan, place: Path, tell: Tell) -> list[Memory]:
    """Measure more uploads at once than the upload memory holds."""
    if GATEWAY not in plan.contestants:
        return []
    tell("burst: gateway")
    limit = [f"{UPLOAD_MEMORY_FLAG}={UPLOAD_MEMORY_BYTES}"] if knows(UPLOAD_MEMORY_FLAG) else []
    return [await _peak(plan, GATEWAY, plan.amounts.burst, place, limit)]


async def _peak(
    plan: Plan, name: str, uploads: int, place: Path, flags: Sequence[str] = ()
) -> Memory:
    """Measure in a new process, after small uploads that open all connections uncounted."""
    delay = f"--delay-s={plan.amounts.delay_s}"
    async with AsyncExitStack() as stack:
        graph = await stack.enter_async_context(server("-m", "benchmarks.sink", delay))
        by, process, target = await _ready(plan, name, graph, place, flags, stack)
        await by.run(_job(target, uploads, KB, uploads))
        await asyncio.sleep(_QUIET_S)
        counts(graph.address)
        idle_bytes = usage.resident_bytes(process)
        usage.reset_peak(process)
        done = await by.try_to(_job(target, uploads, LARGE_BYTES, uploads))
        return Memory(
            contestant=name,
            uploads=uploads,
            failed=done.failed,
            size_bytes=LARGE_BYTES,
            idle_bytes=idle_bytes,
            peak_bytes=usage.peak_resident_bytes(process),
            waited_at_once=counts(graph.address).waited_at_once,
            wall_s=done.wall_s,
            limited=bool(flags),
        )


async def _ready(
    plan: Plan,
    name: str,
    graph: Server,
    place: Path,
    flags: Sequence[str],
    stack: AsyncExitStack,
) -> tuple[Caller, int, str]:
    """Return the caller, the process id whose memory is measured, and the caller's target."""
    if name == SDK:
        sdk = await stack.enter_async_context(caller("benchmarks.sdk"))
        target = f"http://{graph.address}{ROOT}"
        await sdk.run(_job(target, 1, LARGE_BYTES))  # the caller holds the file in any case
        return sdk, sdk.pid, target
    load = await stack.enter_async_context(caller("benchmarks.load"))
    command = (*command_of(name, graph.address, place), *flags)
    tree = plan.against if name == AGAINST else None
    started = await stack.enter_async_context(server(*command, tree=tree))
    return load, started.pid, started.address


async def endurance(plan: Plan, place: Path, tell: Tell) -> list[Endurance]:
    """Measure memory after the first of many uploads, and after all."""
    names = (each for each in ENDURING if each in plan.contestants)
    return [await _endurance(plan, name, place, tell) for name in names]


async def _endurance(plan: Plan, name: str, place: Path, tell: Tell) -> Endurance:
    amounts = plan.amounts
    async with _gateway_and_load(plan, name, place) as (gateway, load):

        async def after(uploads: int) -> int:
            tell(f"endurance: {name}")
            await load.run(_job(gateway.address, uploads, 100 * KB, AT_ONCE))
            await asyncio.sleep(_QUIET_S)
            return usage.resident_bytes(gateway.pid)

        first_bytes = await after(amounts.endured_first)
        last_bytes = await after(amounts.endured - amounts.endured_first)
    return Endurance(
        contestant=name,
        first_uploads=amounts.endured_first,
        uploads=amounts.endured,
        first_bytes=first_bytes,
        last_bytes=last_bytes,
    )


@asynccontextmanager
async def _gateway_and_load(
    plan: Plan, name: str, place: Path
) -> AsyncIterator[tuple[Server, Caller]]:
    tree = plan.against if name == AGAINST else None
    async with (
        server("-m", "benchmarks.sink") as graph,
        server(*command_of(name, graph.address, place), tree=tree) as gateway,
        caller("benchmarks.load") as load,
    ):
        yield gateway, load


def _job(target: str, uploads: int, size_bytes: int, at_once: int = 1) -> Job:
    return Job(
        target=target,
        uploads=uploads,
        size_bytes=size_bytes,
        chunk_bytes=CHUNK_BYTES,
        concurrency=at_once,
    )
