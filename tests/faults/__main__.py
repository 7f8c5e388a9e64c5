"""The command line of the campaign."""

import argparse
import random
import sys
import time
from collections.abc import Iterable
from pathlib import Path

import uvloop
from tqdm import tqdm

from tests.faults import report
from tests.faults.campaign import Campaign, Result
from tests.faults.families import FAMILIES, cases
from tests.support.stalls import WANTED_BELOW_S

CASES = 3000
SHORT = ("1", 120)


def main() -> int:
    """Run the campaign; return 1 if the promise was broken."""
    asked = _arguments()
    seed, count = SHORT if asked.short else (asked.seed, asked.cases)
    made = list(cases(seed, count, asked.only))
    if asked.list:
        _say(map(str, made))
        return 0
    _say([f"seed {seed}, {len(made)} cases"])
    if asked.logs is not None:
        asked.logs.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with tqdm(total=len(made), unit="case", file=sys.stderr, smoothing=0) as bar:

        def show(result: Result) -> None:
            bar.update()
            if result.violations:
                bar.write(f"{result.case}\n    {result.violations}", file=sys.stderr)

        campaign = Campaign(jobs=asked.jobs, tree=asked.tree, logs=asked.logs, tell=show)
        results = uvloop.run(campaign.run(made))
    _say(report.table(results))
    _say(report.details(results, seed, count))
    _say(["", report.stall(campaign.stall)])
    _say(["", f"seed {seed}, {time.monotonic() - began:.0f} s"])
    return int(any(map(report.violated, results)) or campaign.stall.own_s >= WANTED_BELOW_S)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    families = "\n".join(f"  {name:10} {family.about}" for name, family in FAMILIES.items())
    parser = argparse.ArgumentParser(
        prog="faults",
        description=f"{__doc__}\n\nfamilies:\n{families}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    new_seed = str(random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--seed", default=new_seed, help="what the cases are drawn from")
    parser.add_argument("--cases", type=int, default=CASES, help="how many, about")
    parser.add_argument("--only", action="append", default=[], help="an id, or words of a case")
    parser.add_argument("--jobs", type=int, default=48, help="cases at once")
    parser.add_argument("--short", action="store_true", help="the part that is always the same")
    parser.add_argument("--list", action="store_true", help="print the cases and run none")
    parser.add_argument("--tree", type=Path, help="import the gateway from there")
    parser.add_argument("--logs", type=Path, help="keep what the processes say in this folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
