"""Samples -> medians and ratios, as pure functions."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles

from benchmarks.contestants import AGAINST, FLOOR, GATEWAY, GATEWAY_ID, GATEWAY_MEMORY, PLAIN, SDK
from benchmarks.memory import Endurance, Memory
from benchmarks.plan import AT_ONCE, CHUNK_BYTES, KB, MB, MIB, size_name
from benchmarks.rounds import Cell, Sample, Samples
from benchmarks.run import Run

TEN_KB, LARGE = 10 * KB, 3 * MB

Cost = Callable[[Sample], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median and the extremes of the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def over(cls, values: Sequence[float]) -> "Spread":
        """Return the median of some values, and their extremes."""
        return cls(median=median(values), low=min(values), high=max(values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """A target: `at_most` or `at_least` a value."""

    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float) -> bool:
        """Tell whether a value meets the target."""
        return (self.at_most is None or value <= self.at_most) and (
            self.at_least is None or value >= self.at_least
        )

    def __str__(self) -> str:
        return f"<= {self.at_most:g}" if self.at_most is not None else f">= {self.at_least:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ratio:
    """A ratio, taken in each round; `want` is None if it has no target."""

    what: str
    at: str
    spread: Spread
    want: Want | None = None

    @property
    def met(self) -> bool | None:
        """Whether the median meets the target; None without a target."""
        return None if self.want is None else self.want.met(self.spread.median)


def server_cpu_s(sample: Sample) -> float:
    """Return the server's CPU time per upload."""
    return (sample.server_cpu_s or 0.0) / sample.uploads


def caller_cpu_s(sample: Sample) -> float:
    """Return the caller's CPU time per upload."""
    return sample.caller_cpu_s / sample.uploads


def total_cpu_s(sample: Sample) -> float:
    """Return the CPU time per upload of caller and server together."""
    return server_cpu_s(sample) + caller_cpu_s(sample)


def rate(sample: Sample) -> float:
    """Return the uploads per second."""
    return sample.uploads / sample.wall_s


def percentiles_s(samples: Sequence[Sample]) -> tuple[float, float]:
    """Return p50 and p99 of the latencies of all rounds."""
    latencies_s = [latency_s for sample in samples for latency_s in sample.latencies_s]
    if len(latencies_s) == 1:
        return latencies_s[0], latencies_s[0]
    cut = quantiles(latencies_s, n=100, method="inclusive")
    return cut[49], cut[98]


def busy(size_bytes: int, contestant: str, chunk_bytes: int = CHUNK_BYTES) -> Cell:
    """Return the cell with AT_ONCE uploads at once, from which CPU times are taken."""
    return Cell(size_bytes, chunk_bytes, AT_ONCE, contestant)


# What is compared; the numerator and the denominator, each with its cost; the targets by size.
_COMPARED: Sequence[tuple[str, tuple[str, Cost], tuple[str, Cost], dict[int, Want]]] = (
    (
        "gateway's CPU / floor's",
        (GATEWAY, server_cpu_s),
        (FLOOR, server_cpu_s),
        {TEN_KB: Want(at_most=2.2), LARGE: Want(at_most=1.5)},
    ),
    (
        "plain's CPU / gateway's",
        (PLAIN, server_cpu_s),
        (GATEWAY, server_cpu_s),
        {TEN_KB: Want(at_least=1.7), LARGE: Want(at_least=3.0)},
    ),
    (
        "msgraph-sdk's CPU in the caller / gateway's and its gRPC caller's",
        (SDK, total_cpu_s),
        (GATEWAY, total_cpu_s),
        {TEN_KB: Want(at_least=3.0), LARGE: Want(at_least=2.5)},
    ),
    (
        "msgraph-sdk's CPU in the caller / the gRPC caller's",
        (SDK, caller_cpu_s),
        (GATEWAY, caller_cpu_s),
        {},
    ),
    (
        "gateway's CPU with request_id / without",
        (GATEWAY_ID, server_cpu_s),
        (GATEWAY, server_cpu_s),
        {},
    ),
    (
        "gateway's CPU, ledger in SQLite / in memory",
        (GATEWAY, server_cpu_s),
        (GATEWAY_MEMORY, server_cpu_s),
        {},
    ),
    (
        "other tree's gateway's CPU / floor's",
        (AGAINST, server_cpu_s),
        (FLOOR, server_cpu_s),
        {TEN_KB: Want(at_most=2.2), LARGE: Want(at_most=1.5)},
    ),
    (
        "other tree's gateway's CPU / gateway's",
        (AGAINST, server_cpu_s),
        (GATEWAY, server_cpu_s),
        {},
    ),
)


def ratios(run: Run) -> list[Ratio]:
    """Return all ratios for which a run has samples."""
    return [
        *_cpu_ratios(run.samples),
        *_per_mb(run.samples),
        *_memory_ratios(run.memories),
        *_burst_ratios(run.bursts),
        *_endurance_ratios(run.endured),
    ]


def _cpu_ratios(samples: Samples) -> Iterator[Ratio]:
    sizes = sorted({cell.size_bytes for cell in samples})
    for what, (name, cost), (other, other_cost), wants in _COMPARED:
        for size_bytes in sizes:
            above, below = samples.get(busy(size_bytes, name)), samples.get(busy(size_bytes, other))
            if above and below:
                pairs = zip(above, below, strict=True)
                values = [cost(one) / other_cost(two) for one, two in pairs]
                yield Ratio(
                    what=what,
                    at=size_name(size_bytes),
                    spread=Spread.over(values),
                    want=wants.get(size_bytes),
                )


def _per_mb(samples: Samples) -> Iterator[Ratio]:
    """Yield the ratios that show whether the cost of a further MB grows with the size."""
    three = [samples.get(busy(size, GATEWAY)) for size in (100 * KB, MB, 3 * MB)]
    if not all(three):
        return
    small, middle, large = ([server_cpu_s(one) for one in each or ()] for each in three)
    values = [
        ((c - b) / 2.0) / ((b - a) / 0.9) for a, b, c in zip(small, middle, large, strict=True)
    ]
    yield Ratio(
        what="gateway's CPU for a further MB, from 1 to 3 MB / from 100 KB to 1 MB",
        at="100 KB to 3 MB",
        spread=Spread.over(values),
        want=Want(at_most=1.25),
    )
    values = [(c / 3.0) / (a / 0.1) for a, c in zip(small, large, strict=True)]
    yield Ratio(
        what="gateway's CPU per MB, of 3 MB / of 100 KB",
        at="100 KB to 3 MB",
        spread=Spread.over(values),
        want=Want(at_most=1.0),
    )


def _memory_ratios(memories: Sequence[Memory]) -> Iterator[Ratio]:
    for memory in memories:
        wanted = Want(at_most=1.7) if memory.contestant in {GATEWAY, AGAINST} else None
        yield Ratio(
            what=f"{memory.contestant}: peak memory above idle for each upload in flight / file",
            at=f"{memory.uploads} x {size_name(memory.size_bytes)}",
            spread=Spread.over([memory.per_file]),
            want=wanted,
        )


def _burst_ratios(bursts: Sequence[Memory]) -> Iterator[Ratio]:
    for burst in bursts:
        at = f"{burst.uploads} x {size_name(burst.size_bytes)}"
        limits = "64 MiB for uploads" if burst.limited else "which has no limit for uploads"
        yield Ratio(
            what=f"gateway, {limits}: peak memory above idle, MiB",
            at=at,
            spread=Spread.over([burst.above_idle_bytes / MIB]),
            want=Want(at_most=110),
        )
        yield Ratio(
            what=f"gateway, {limits}: uploads that failed",
            at=at,
            spread=Spread.over([burst.failed]),
            want=Want(at_most=0),
        )


def _endurance_ratios(endured: Sequence[Endurance]) -> Iterator[Ratio]:
    for each in endured:
        yield Ratio(
            what=f"{each.contestant}: memory after {each.uploads:,} uploads / after"
            f" {each.first_uploads:,}",
            at="100 KB",
            spread=Spread.over([each.last_bytes / each.first_bytes]),
            want=Want(at_most=1.1),
        )
