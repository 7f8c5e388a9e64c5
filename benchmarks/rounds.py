"""Rounds that measure all contestants in turn, so that a disturbance affects all of them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import usage
from benchmarks.children import Caller, Server, caller, server
from benchmarks.contestants import AGAINST, CONTESTANTS, GATEWAY_ID, GATEWAY_MEMORY, SDK, command_of
from benchmarks.jobs import Job
from benchmarks.plan import AT_ONCE, CHUNK_BYTES, MB, Plan, chunks_of
from benchmarks.sink_counts import counts
from benchmarks.traffic import ROOT

# Larger files get fewer uploads: files of this size get half as many.
_HALF_AS_MANY_BYTES = MB // 2

# The SDK takes several times as long as the others.
_SDK_SHARE = 0.3


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One measurement of each round; `at_once` is the number of uploads in flight."""

    size_bytes: int
    chunk_bytes: int
    at_once: int
    contestant: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One cell in one round; `server_cpu_s` is None for a caller without a server."""

    uploads: int
    wall_s: float
    server_cpu_s: float | None
    caller_cpu_s: float
    latencies_s: Sequence[float] = field(repr=False)


Samples = Mapping[Cell, Sequence[Sample]]


def cells_of(plan: Plan) -> list[Cell]:
    """Return the cells of a round; cells that are compared are next to each other."""
    return list(_cells(plan))


def _cells(plan: Plan) -> Iterator[Cell]:
    for size_bytes in plan.sizes:
        for chunk_bytes in chunks_of(size_bytes):
            for at_once in (AT_ONCE, 1):
                for contestant in plan.contestants:
                    cell = Cell(size_bytes, chunk_bytes, at_once, contestant)
                    if _is_of_use(cell):
                        yield cell


def _is_of_use(cell: Cell) -> bool:
    """Tell whether a cell is measured; some cells add nothing to others."""
    if cell.chunk_bytes == CHUNK_BYTES:
        return cell.at_once != 1 or cell.contestant != GATEWAY_MEMORY
    return cell.at_once != 1 and cell.contestant not in {SDK, GATEWAY_ID, GATEWAY_MEMORY}


class Field:
    """All contestants, running at the same time."""

    def __init__(self, graph: Server, callers: Mapping[str, Caller], plan: Plan) -> None:
        self._graph = graph
        self._callers = callers
        self._most_uploads = plan.amounts.most_uploads
        self._servers: dict[str, Server] = {}

    @classmethod
    async def of(cls, plan: Plan, stack: AsyncExitStack, place: Path) -> "Field":
        """Start all processes that a plan needs."""
        echo = ["--echo"] if plan.echo else []
        graph = await stack.enter_async_context(server("-m", "benchmarks.sink", *echo))
        load = await stack.enter_async_context(caller("benchmarks.load"))
        callers = dict.fromkeys(plan.contestants, load)
        if SDK in callers:
            callers[SDK] = await stack.enter_async_context(caller("benchmarks.sdk"))
        made = cls(graph, callers, plan)
        for name in dict.fromkeys(CONTESTANTS[each].server for each in plan.contestants):
            if name is not None:
                tree = plan.against if name == AGAINST else None
                command = command_of(name, graph.address, place)
                made._servers[name] = await stack.enter_async_context(server(*command, tree=tree))
        return made

    async def measure(self, cell: Cell) -> Sample:
        """Do one cell's uploads of a round. Raises RuntimeError unless all of them reach Graph."""
        contestant = CONTESTANTS[cell.contestant]
        by = None if contestant.server is None else self._servers[contestant.server]
        job = Job(
            target=f"http://{self._graph.address}{ROOT}" if by is None else by.address,
            uploads=self._uploads(cell),
            size_bytes=cell.size_bytes,
            chunk_bytes=cell.chunk_bytes,
            concurrency=cell.at_once,
            with_request_id=contestant.with_request_id,
        )
        counts(self._graph.address)
        before_s = 0.0 if by is None else usage.cpu_s(by.pid)
        done = await self._callers[cell.contestant].run(job)
        after_s = None if by is None else usage.cpu_s(by.pid)
        arrived = counts(self._graph.address)
        if arrived.created != job.uploads or arrived.body_bytes < job.uploads * job.size_bytes:
            raise RuntimeError(f"{cell}: {job.uploads} uploads, {arrived} came to Graph")
        return Sample(
            uploads=job.uploads,
            wall_s=done.wall_s,
            server_cpu_s=None if after_s is None else after_s - before_s,
            caller_cpu_s=done.cpu_s,
            latencies_s=done.latencies_s,
        )

    def _uploads(self, cell: Cell) -> int:
        share = 1 / (1 + cell.size_bytes / _HALF_AS_MANY_BYTES)
        share *= _SDK_SHARE if cell.contestant == SDK else 1
        share *= 1 if cell.at_once > 1 else 1 / 2
        least = AT_ONCE if cell.at_once > 1 else 4
        return max(round(self._most_uploads * share / least), 1) * least


async def run(plan: Plan, place: Path, tell: Callable[[str], None]) -> Samples:
    """Run a warm-up round and all rounds; `tell` is called before each cell."""
    cells = cells_of(plan)
    samples: dict[Cell, list[Sample]] = {cell: [] for cell in cells}
    async with AsyncExitStack() as stack:
        field_ = await Field.of(plan, stack, place)
        for number in range(plan.amounts.rounds + 1):
            # The order alternates, so that no contestant always follows the same one.
            for cell in cells if number % 2 else reversed(cells):
                tell(f"{'warm-up' if number == 0 else f'round {number}'}: {cell.contestant}")
                sample = await field_.measure(cell)
                if number:
                    samples[cell].append(sample)
    return samples
