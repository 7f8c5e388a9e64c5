"""What each setting of `baseline` costs, with a Graph that takes its time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks import usage
from benchmarks.children import Server, caller, server
from benchmarks.contestants import GATEWAY, command_of
from benchmarks.jobs import Job
from benchmarks.plan import AT_ONCE, CHUNK_BYTES, KB, LARGE_BYTES, Plan

Tell = Callable[[str], None]

SETTINGS = ("never", "auto", "always")
SIZES_BYTES = (10 * KB, LARGE_BYTES)

# Graph's time for a list as for a POST.
DELAY_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """CPU of the gateway and latency for each upload with a request_id, by setting.

    `cpu_s` has one value for each round, of uploads at once; `latencies_s` are of uploads alone.
    """

    setting: str
    kind: str
    size_bytes: int
    cpu_s: Sequence[float]
    latencies_s: Sequence[float]

    @property
    def median_latency_s(self) -> float:
        """The median of all latencies."""
        return median(self.latencies_s)


def cells() -> Iterator[tuple[str, bool, int]]:
    """Yield each setting, whether it is an item, and its size."""
    for size_bytes in SIZES_BYTES:
        for is_item in (False, True):
            for setting in SETTINGS:
                yield setting, is_item, size_bytes


def steps(plan: Plan) -> int:
    """Return how often `prices` calls `tell`."""
    return plan.amounts.rounds + 1 if GATEWAY in plan.contestants else 0


async def prices(plan: Plan, place: Path, tell: Tell) -> list[Price]:
    """Measure every cell in each round, with one gateway for each setting."""
    if GATEWAY not in plan.contestants:
        return []
    samples: dict[tuple[str, bool, int], list[tuple[float, Sequence[float]]]] = {
        cell: [] for cell in cells()
    }
    async with AsyncExitStack() as stack:
        graph = await stack.enter_async_context(
            server("-m", "benchmarks.sink", f"--delay-s={DELAY_S}")
        )
        load = await stack.enter_async_context(caller("benchmarks.load"))
        gateways: dict[str, Server] = {}
        for setting in SETTINGS:
            folder = place / setting
            folder.mkdir()
            command = (*command_of(GATEWAY, graph.address, folder), f"--baseline={setting}")
            gateways[setting] = await stack.enter_async_context(server(*command))
        for number in range(plan.amounts.rounds + 1):
            tell(f"baseline {number}")
            for cell in cells():
                setting, is_item, size_bytes = cell
                uploads = max(plan.amounts.most_uploads // 10, 2)
                job = Job(
                    target=gateways[setting].address,
                    uploads=uploads,
                    size_bytes=size_bytes,
                    chunk_bytes=CHUNK_BYTES,
                    concurrency=AT_ONCE,
                    with_request_id=True,
                    is_item=is_item,
                )
                before_s = usage.cpu_s(gateways[setting].pid)
                await load.run(job)
                cpu_s = (usage.cpu_s(gateways[setting].pid) - before_s) / uploads
                alone = await load.run(replace(job, uploads=3, concurrency=1))
                if number:  # the first round warms up
                    samples[cell].append((cpu_s, alone.latencies_s))
    return [
        Price(
            setting=setting,
            kind="item" if is_item else "file",
            size_bytes=size_bytes,
            cpu_s=[cpu_s for cpu_s, _ in of_cell],
            latencies_s=[each for _, latencies_s in of_cell for each in latencies_s],
        )
        for (setting, is_item, size_bytes), of_cell in samples.items()
    ]
