"""A run as a plot: CPU by size, and memory."""

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from benchmarks.contestants import FLOOR, GATEWAY, PLAIN, SDK
from benchmarks.findings import Cost, busy, caller_cpu_s, server_cpu_s, total_cpu_s
from benchmarks.plan import size_name
from benchmarks.run import Run

# Colours of Okabe and Ito's palette, which colour-blind readers can distinguish.
_COLOURS = {GATEWAY: "#0072B2", FLOOR: "#999999", PLAIN: "#E69F00", SDK: "#D55E00"}


def draw(run: Run, path: Path) -> None:
    """Draw a run as SVG."""
    # Without a date and random ids, so that the same run gives the same file.
    with mpl.rc_context(
        {"svg.hashsalt": "benchmark", "svg.fonttype": "none", "font.family": "sans-serif"}
    ):
        figure = Figure(figsize=(12, 4), layout="constrained")
        server, both, memory = figure.subplots(1, 3)
        _lines(
            server,
            run,
            "CPU of the server for each upload",
            [(name, name, server_cpu_s) for name in (PLAIN, GATEWAY, FLOOR)],
        )
        _lines(
            both,
            run,
            "CPU for each upload, all in all",
            [
                ("msgraph-sdk, in the caller", SDK, caller_cpu_s),
                ("gateway and its caller", GATEWAY, total_cpu_s),
            ],
        )
        _bars(memory, run)
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format="svg", metadata={"Date": None})


def _lines(axes: Axes, run: Run, title: str, lines: Sequence[tuple[str, str, Cost]]) -> None:
    for label, name, cost in lines:
        found = [(size, run.samples.get(busy(size, name))) for size in run.plan.sizes]
        points = [(size, [1000 * cost(one) for one in each]) for size, each in found if each]
        if not points:
            continue
        sizes = [size for size, _ in points]
        middle = [median(values) for _, values in points]
        axes.plot(sizes, middle, marker="o", color=_COLOURS[name], label=label)
        axes.fill_between(
            sizes,
            [min(values) for _, values in points],
            [max(values) for _, values in points],
            color=_COLOURS[name],
            alpha=0.2,
            linewidth=0,
        )
    axes.set(title=title, xscale="log", yscale="log", xlabel="file", ylabel="ms")
    axes.set_xticks(run.plan.sizes, [size_name(size) for size in run.plan.sizes])
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.grid(visible=True, alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)


def _bars(axes: Axes, run: Run) -> None:
    found = [each for each in run.memories if each.contestant in _COLOURS]
    bars = axes.barh(
        [each.contestant for each in found],
        [each.per_file for each in found],
        color=[_COLOURS[each.contestant] for each in found],
    )
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.set(
        title="Memory for each 3 MB upload in flight",
        xlabel="peak above idle, as a multiple of the file",
    )
    axes.invert_yaxis()
    axes.margins(x=0.12)
