"""The command line of the attacks."""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.abuse import report
from tests.abuse.attack import Attack
from tests.abuse.attacks import ATTACKS
from tests.abuse.rows import Row, bench

SECONDS = 1.5
ALONE_S = 5.0

# An attack that has not begun by then is not run, unless the time of each was given.
ALL_WITHIN_S = 280.0


def main() -> int:
    """Run the attacks; return 1 if a row is not as wanted, or an attack was not run."""
    asked = _arguments()
    chosen = [ATTACKS[name] for name in ATTACKS if _is_asked(name, asked.only)]
    if asked.list:
        _say(f"{attack.name:30} {attack.about}" for attack in chosen)
        return 0
    if not chosen:
        _say([f"no attack has {' or '.join(asked.only)} in its name; see --list"])
        return 2
    _say([report.wanted(), "", report.heading()])
    with tempfile.TemporaryDirectory() as folder:
        logs = asked.logs or Path(folder)
        logs.mkdir(parents=True, exist_ok=True)
        rows = asyncio.run(_rows(chosen, logs, asked))
    _say(report.details(rows))
    left = chosen[len(rows) - 1 :]
    if left:
        _say([f"\nnot run, as the time was over: {', '.join(attack.name for attack in left)}"])
    red = [row.name for row in rows if list(row.broken())]
    _say([f"\n{len(red)} of {len(rows)} rows are not as wanted: {', '.join(red) or 'none'}"])
    return int(bool(red or left))


async def _rows(chosen: Sequence[Attack], folder: Path, asked: argparse.Namespace) -> list[Row]:
    began_s = time.monotonic()
    rows = []
    seconds: float | None = asked.seconds
    async with bench(folder, tree=asked.tree) as on:
        for attack in (None, *chosen):
            if seconds is None and time.monotonic() - began_s > ALL_WITHIN_S:
                break
            takes_s = seconds or (SECONDS if attack else ALONE_S)
            rows.append(await on.row(attack, seconds=takes_s))
            _say([report.line(rows[-1], rows[0])])
    return rows


def _is_asked(name: str, words: Sequence[str]) -> bool:
    return not words or any(word in name for word in words)


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="abuse", description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="words of an attack's name")
    parser.add_argument("--seconds", type=float, help=f"of each attack; by default {SECONDS:g}")
    parser.add_argument("--list", action="store_true", help="print the attacks and run none")
    parser.add_argument("--tree", type=Path, help="import the gateway from there")
    parser.add_argument("--logs", type=Path, help="keep what the processes say in this folder")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
