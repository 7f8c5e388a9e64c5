"""The command line of the fuzz."""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is imported

import argparse
import random
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import uvloop
from tqdm import tqdm

from tests.fuzz import children, report, wire
from tests.fuzz.target import Tally, tally
from tests.fuzz.targets import TARGETS, numbers_of

# What a run without arguments does in some three minutes on one processor; it ends after
# WITHIN_S in any case. The long run is --inputs 200000 --wire 20000.
INPUTS = 100_000
WIRE = 8_000
WITHIN_S = 250.0

FOREVER_S = 1e9

# The part of the time that is left for the inputs over the wire.
_WIRE_S = 110.0


def main() -> int:
    """Run the inputs; return 1 if a rule was broken."""
    asked = _arguments()
    began = time.monotonic()
    until = began + (asked.within_s or FOREVER_S)
    _say([f"seed {asked.seed}"])
    tallies = _only(asked) if asked.only else _all(asked, until)
    _say(report.table(tallies))
    _say(report.details(tallies, asked.seed))
    _say(["", f"seed {asked.seed}, {time.monotonic() - began:.0f} s"])
    return int(any(each.violated for each in tallies))


def _all(asked: argparse.Namespace, until: float) -> list[Tally]:
    """Run all targets: those in one process first, then those over the wire."""
    numbers = numbers_of(asked.inputs - asked.wire, asked.target or TARGETS)
    of_wire = {wire.CALLS: range(asked.wire // 2), wire.FRAMES: range(asked.wire // 2)}
    with tqdm(total=asked.inputs, unit="input", file=sys.stderr, smoothing=0) as bar:

        def tell(done: int = 1) -> None:
            bar.update(done)

        wire_s = _WIRE_S if asked.wire else 0.0
        tallies = [
            children.run(TARGETS[name], asked.seed, count, until=until - wire_s, tell=tell)
            for name, count in numbers.items()
        ]
        run = wire.run(asked.seed, of_wire, until=until, tell=tell, tree=asked.tree)
        return [*tallies, *(uvloop.run(run) if asked.wire else [])]


def _only(asked: argparse.Namespace) -> list[Tally]:
    """Run inputs by their ids, in this process."""
    tallies, of_wire = [], dict[str, list[int]]()
    for input_id in asked.only:
        name, _, number = input_id.partition("/")
        if name in TARGETS:
            tallies.append(tally(TARGETS[name], asked.seed, [int(number)]))
        else:
            of_wire.setdefault(name, []).append(int(number))
    if of_wire:
        named: Mapping[str, Sequence[int]] = of_wire
        tallies += uvloop.run(
            wire.run(asked.seed, named, until=time.monotonic() + FOREVER_S, tree=asked.tree)
        )
    return tallies


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    targets = "\n".join(f"  {target.name:10} {target.about}" for target in TARGETS.values())
    parser = argparse.ArgumentParser(
        prog="fuzz",
        description=f"{__doc__}\n\ntargets:\n{targets}\n"
        f"  {wire.CALLS:10} messages that a gRPC client sends to a gateway process\n"
        f"  {wire.FRAMES:10} HTTP/2 frames that are sent to it",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    new_seed = str(random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--seed", default=new_seed, help="what the inputs are drawn from")
    parser.add_argument("--inputs", type=int, help=f"how many in all, by default {INPUTS:,}")
    parser.add_argument("--wire", type=int, help=f"how many over the wire, by default {WIRE:,}")
    parser.add_argument("--within-s", type=float, help="stop after this time")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only these, in process")
    parser.add_argument("--only", action="append", default=[], help="the id of an input")
    parser.add_argument("--tree", type=Path, help="import the gateway process from there")
    asked = parser.parse_args()
    if asked.target:
        asked.wire = 0
    if asked.inputs is None and asked.wire is None and asked.within_s is None:
        asked.within_s = WITHIN_S
    asked.inputs = INPUTS if asked.inputs is None else asked.inputs
    asked.wire = min(WIRE, asked.inputs) if asked.wire is None else asked.wire
    return asked


if __name__ == "__main__":
    sys.exit(main())
