"""Benchmarks of the gateway beside alternatives to it. Linux only.

All contestants run at the same time, each in its own process, in front of the same stand-in for
Graph by plain http on loopback. They are measured in turn; ratios are taken within a round.
"""

import argparse
import asyncio
import json
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from tqdm import tqdm

from benchmarks.contestants import AGAINST, CONTESTANTS
from benchmarks.document import document
from benchmarks.plan import QUICK, SCENARIOS, SIZES, Amounts, Plan
from benchmarks.run import Run, run, steps
from benchmarks.tables import tables

ROOT = Path(__file__).parent.parent
JSON = ROOT / "build/bench.json"
PLOT = ROOT / "docs/benchmark.svg"

INTERRUPTED = 130


def main() -> int:
    """Run the benchmarks, print the tables, write the JSON and draw the plot."""
    asked = _arguments()
    plan = _plan(asked)
    began = time.monotonic()
    with tqdm(total=steps(plan), unit="step", file=sys.stderr, smoothing=0) as bar:

        def tell(step: str) -> None:
            bar.set_description(step)
            bar.update()

        try:
            done = asyncio.run(_interruptible(plan, tell))
        except (KeyboardInterrupt, asyncio.CancelledError):
            return INTERRUPTED
    print(tables(done))
    print(f"{time.monotonic() - began:.0f} s")
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(document(done), indent=1) + "\n")
    if asked.plot is not None:
        from benchmarks.plot import draw  # noqa: PLC0415 only this needs matplotlib

        draw(done, asked.plot)
    return 0


async def _interruptible(plan: Plan, tell: Callable[[str], None]) -> Run:
    """Run; SIGTERM and SIGHUP end it as an interrupt does."""
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    return await run(plan, tell)


def _plan(asked: argparse.Namespace) -> Plan:
    amounts = QUICK if asked.quick else Amounts()
    if asked.rounds is not None:
        amounts = replace(amounts, rounds=asked.rounds)
    sizes = asked.sizes or (["1KB", "100KB"] if asked.quick else list(SIZES))
    names = asked.only or list(CONTESTANTS)
    return Plan(
        sizes=sorted(SIZES[size] for size in sizes),
        contestants=[name for name in CONTESTANTS if name in names and _runs(name, asked)],
        scenarios=[each for each in SCENARIOS if each in (asked.scenario or SCENARIOS)],
        amounts=amounts,
        against=asked.against,
        echo=asked.echo,
    )


def _runs(name: str, asked: argparse.Namespace) -> bool:
    return name != AGAINST or asked.against is not None


def _arguments() -> argparse.Namespace:
    scenarios = "\n".join(f"  {name:10} {about}" for name, about in SCENARIOS.items())
    contestants = "\n".join(f"  {name:15} {each.about}" for name, each in CONTESTANTS.items())
    parser = argparse.ArgumentParser(
        prog="make bench ARGS=...",
        description=f"{__doc__}\n\nscenarios:\n{scenarios}\n\ncontestants:\n{contestants}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--quick", action="store_true", help="see in seconds that it runs; figures mean nothing")
    add("--sizes", type=_listed(list(SIZES)), help=f"of {','.join(SIZES)}; decimal")
    add("--rounds", type=int, help=f"{Amounts().rounds} by default")
    add("--only", type=_listed(list(CONTESTANTS)), help="contestants, with commas")
    add("--scenario", type=_listed(list(SCENARIOS)), help="scenarios, with commas")
    add("--echo", action="store_true", help="let Graph answer with the whole content, in rounds")
    add("--against", type=Path, help="a folder to import another version of the gateway from")
    add("--json", type=Path, default=JSON, help="where the figures go")
    add("--plot", type=Path, help="where the picture goes; docs/benchmark.svg for a whole run")
    add("--no-plot", action="store_true", help="draw none")
    asked = parser.parse_args()
    whole = not (asked.quick or asked.sizes or asked.only or asked.scenario or asked.echo)
    if asked.plot is None and whole:
        asked.plot = PLOT
    if asked.no_plot:
        asked.plot = None
    return asked


def _listed(known: Sequence[str]) -> Callable[[str], list[str]]:
    def listed(text: str) -> list[str]:
        names = text.split(",")
        if unknown := [name for name in names if name not in known]:
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: none of {', '.join(known)}")
        return names

    return listed


if __name__ == "__main__":
    sys.exit(main())
