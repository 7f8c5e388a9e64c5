"""Runs the gateway, and writes down when its event loop was late.

`python -m tests.fuzz.watched FILE serve FLAG…`: FILE gets a line of JSON for each time at which a
timer was more than REPORT_S late: `late_s`, and how much of that the loop's thread waited for a
processor, `waited_s`.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # as `__main__` does, before gRPC is imported

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from attachment_gateway.cli import main
from attachment_gateway.server import lifecycle

EVERY_S = 0.02
REPORT_S = 0.1

# Linux: the time on a processor, the time spent waiting for one, in ns, and a count.
_SCHEDULED = Path("/proc/thread-self/schedstat")


def waited_for_processor_s() -> float:
    """Return how long this thread has waited for a processor; 0 where the system doesn't say."""
    if not _SCHEDULED.exists():
        return 0.0
    return int(_SCHEDULED.read_text().split()[1]) / 1e9


async def watch(file: Path) -> None:
    """Write down each time the loop is late, until cancelled."""
    loop = asyncio.get_running_loop()
    while True:
        due, waited_s = loop.time() + EVERY_S, waited_for_processor_s()
        await asyncio.sleep(EVERY_S)
        late_s = loop.time() - due
        if late_s > REPORT_S:
            waited_s = waited_for_processor_s() - waited_s
            with file.open("a") as lines:
                lines.write(json.dumps({"late_s": late_s, "waited_s": waited_s}) + "\n")


def watched(serve: Callable[..., Awaitable[None]], file: Path) -> Callable[..., Awaitable[None]]:
    """Return `serve` with a watch beside it."""

    async def run(*arguments: Any, **named: Any) -> None:
        watching = asyncio.create_task(watch(file))
        try:
            await serve(*arguments, **named)
        finally:
            watching.cancel()

    return run


def stalls(file: Path, longest_s: float) -> list[str]:
    """Return each time the loop was late by more than `longest_s` without waiting for a turn."""
    lines = file.read_text().splitlines() if file.exists() else []
    read = [json.loads(line) for line in lines]
    return [str(each) for each in read if each["late_s"] - each["waited_s"] > longest_s]


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    lifecycle.serve = watched(lifecycle.serve, Path(name))  # type: ignore[assignment]
    sys.argv[1:] = arguments
    sys.exit(main())
