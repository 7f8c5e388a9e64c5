"""Findings as tables, in Markdown that is also readable as plain text."""

from collections.abc import Callable, Iterator, Sequence

from benchmarks.baselines import DELAY_S, Price
from benchmarks.contestants import CONTESTANTS
from benchmarks.findings import (
    Ratio,
    Spread,
    caller_cpu_s,
    percentiles_s,
    rate,
    ratios,
    server_cpu_s,
    total_cpu_s,
)
from benchmarks.memory import Memory
from benchmarks.plan import AT_ONCE, KIB, MIB, size_name
from benchmarks.rounds import Cell, Sample
from benchmarks.run import Run

_MET = {True: "yes", False: "NO", None: ""}

Row = Sequence[str]


def tables(run: Run) -> str:
    """Return all tables for which there are findings."""
    return "\n\n".join(_sections(run)) + "\n"


def _sections(run: Run) -> Iterator[str]:
    yield _section("Who takes part", _who(run))
    rounds = run.plan.amounts.rounds
    over = f"{AT_ONCE} uploads at once, median of {rounds} rounds (lowest-highest)"
    if run.samples:
        yield _section(f"CPU of the server for each upload, ms; {over}", _by_size(run, _server_ms))
        yield _section(f"CPU of the caller for each upload, ms; {over}", _by_size(run, _caller_ms))
        yield _section(f"CPU of both for each upload, ms; {over}", _by_size(run, _total_ms))
        yield _section(f"Uploads a second; {over}", _by_size(run, _rate))
        yield _section(
            f"Latency, ms, p50 / p99 of all rounds; {AT_ONCE} uploads at once",
            _by_size(run, _latency),
        )
        yield _section("The same, one upload at a time", _by_size(run, _latency, at_once=1))
    if run.starts:
        yield _section(
            f"From the start of a process, ms; median of {run.plan.amounts.starts} starts",
            _starts(run),
        )
    if run.memories or run.bursts:
        yield _section(
            f"Memory, MiB; Graph takes {run.plan.amounts.delay_s:g} s to answer", _memory(run)
        )
    if run.prices:
        yield _section(
            f"What a baseline costs, for each upload with a request_id; Graph takes {DELAY_S:g} s",
            _prices(run.prices),
        )
    if found := ratios(run):
        yield _section("Ratios, taken in each round, and what is wanted of them", _ratios(found))


def _section(title: str, rows: Sequence[Row]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    header, *rest = (
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    rule = "-|-".join("-" * width for width in widths)
    return "\n".join([f"### {title}", "", *(f"| {line} |" for line in [header]), f"|-{rule}-|"]) + (
        "".join(f"\n| {line} |" for line in rest)
    )


def _who(run: Run) -> list[Row]:
    return [
        ("contestant", "what it is"),
        *((name, CONTESTANTS[name].about) for name in run.plan.contestants),
    ]


def _server_ms(samples: Sequence[Sample]) -> str:
    return "" if samples[0].server_cpu_s is None else _ms(samples, server_cpu_s)


def _caller_ms(samples: Sequence[Sample]) -> str:
    return _ms(samples, caller_cpu_s)


def _total_ms(samples: Sequence[Sample]) -> str:
    return _ms(samples, total_cpu_s)


def _rate(samples: Sequence[Sample]) -> str:
    return _number(Spread.over([rate(sample) for sample in samples]))


def _latency(samples: Sequence[Sample]) -> str:
    p50_s, p99_s = percentiles_s(samples)
    return f"{_digits(1000 * p50_s)} / {_digits(1000 * p99_s)}"


def _ms(samples: Sequence[Sample], cost: Callable[[Sample], float]) -> str:
    return _number(Spread.over([1000 * cost(sample) for sample in samples]))


def _by_size(
    run: Run, told: Callable[[Sequence[Sample]], str], *, at_once: int = AT_ONCE
) -> list[Row]:
    """Return a row for each size and chunk, and a column for each contestant that has a cell."""
    names = [
        name for name in run.plan.contestants if any(c.contestant == name for c in run.samples)
    ]
    kinds = sorted({(c.size_bytes, c.chunk_bytes) for c in run.samples if c.at_once == at_once})
    rows = []
    for size_bytes, chunk_bytes in kinds:
        cells = [run.samples.get(Cell(size_bytes, chunk_bytes, at_once, name)) for name in names]
        one_message = chunk_bytes >= size_bytes
        chunk = "whole" if one_message else f"{chunk_bytes // KIB} KiB"
        rows.append((size_name(size_bytes), chunk, *(told(cell) if cell else "" for cell in cells)))
    columns = [index for index in range(2, 2 + len(names)) if any(row[index] for row in rows)]
    header = ("file", "chunks", *names)
    return [[row[index] for index in (0, 1, *columns)] for row in (header, *rows)]


def _starts(run: Run) -> list[Row]:
    header = ("contestant", "listening (SDK: imported)", "first upload answered")
    return [
        header,
        *(
            (
                each.contestant,
                _number(Spread.over([1000 * value for value in each.listening_s])),
                _number(Spread.over([1000 * value for value in each.answered_s])),
            )
            for each in run.starts
        ),
    ]


def _memory(run: Run) -> list[Row]:
    header = ("contestant", "uploads", "idle", "peak", "above idle", "each / its file", "at Graph")
    return [header, *map(_memory_row, [*run.memories, *run.bursts])]


def _memory_row(memory: Memory) -> Row:
    failed = f", {memory.failed} failed" if memory.failed else ""
    return (
        f"{memory.contestant}, limited" if memory.limited else memory.contestant,
        f"{memory.uploads} x {size_name(memory.size_bytes)}{failed}",
        f"{memory.idle_bytes / MIB:.1f}",
        f"{memory.peak_bytes / MIB:.1f}",
        f"{memory.above_idle_bytes / MIB:.1f}",
        f"{memory.per_file:.2f}",
        f"{memory.waited_at_once} at once",
    )


def _prices(prices: Sequence[Price]) -> list[Row]:
    header = ("baseline", "of", "CPU, ms; 8 at once", "latency alone, p50, ms")
    return [
        header,
        *(
            (
                each.setting,
                f"{each.kind} of {size_name(each.size_bytes)}",
                _number(Spread.over([1000 * value for value in each.cpu_s])),
                _digits(1000 * each.median_latency_s),
            )
            for each in prices
        ),
    ]


def _ratios(found: Sequence[Ratio]) -> list[Row]:
    header = ("ratio", "of", "median", "lowest-highest", "want", "met")
    return [header, *map(_ratio_row, found)]


def _ratio_row(ratio: Ratio) -> Row:
    spread = ratio.spread
    one = spread.low == spread.high
    return (
        ratio.what,
        ratio.at,
        _digits(spread.median),
        "" if one else f"{_digits(spread.low)}-{_digits(spread.high)}",
        "" if ratio.want is None else str(ratio.want),
        _MET[ratio.met],
    )


def _number(spread: Spread) -> str:
    return f"{_digits(spread.median)} ({_digits(spread.low)}-{_digits(spread.high)})"


def _digits(value: float) -> str:
    """Return a value with the digits that are significant."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
