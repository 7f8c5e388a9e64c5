"""Runs the gateway as it is, and measures how long its event loop is kept from its timers.

`python -m tests.support.watched_gateway FILE MODULE ARGUMENT…` runs MODULE (`attachment_gateway`,
or one that starts it) with the arguments. A task on the gateway's event loop asks for a timer every
EVERY_S and appends a line to FILE whenever it comes later than NOTED_S: see `tests.support.stalls`.

A timer may be late because of the gateway or because of the machine. The stall is the gateway's own
part of the lateness: without the time that the main thread was ready but had no processor, and at
most the CPU time that the process used meanwhile. All threads' CPU time counts, since a thread that
holds the interpreter's lock stops the loop too. A loop that sleeps in a system call is not seen.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # as `__main__` does, before gRPC is imported

import asyncio
import functools
import runpy
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attachment_gateway.server import lifecycle
from tests.support.stalls import NOTED_S, Stall

EVERY_S = 0.005

_NS = 1e-9

Serve = Callable[..., Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Clocks:
    """A moment: the monotonic clock, the process's CPU time, the main thread's wait for a CPU."""

    at_s: float
    process_s: float
    waited_s: float

    @classmethod
    def read(cls, schedstat: int) -> "Clocks":
        """Read the clocks; `schedstat` is the main thread's file of that name, opened."""
        # The kernel's sched-stats.rst: the time on a processor, and waiting for one, in ns.
        _, waited_ns, _ = os.pread(schedstat, 128, 0).split()
        return cls(time.monotonic(), time.process_time(), int(waited_ns) * _NS)

    def stall_until(self, now: "Clocks") -> Stall:
        """Return the stall of a timer that was asked for at this moment and came `now`."""
        late_s = now.at_s - self.at_s - EVERY_S
        not_waiting_s = late_s - (now.waited_s - self.waited_s)
        own_s = max(min(not_waiting_s, now.process_s - self.process_s), 0.0)
        return Stall(at_s=now.at_s, late_s=late_s, own_s=own_s)


async def watch(file: Path) -> None:
    """Measure until cancelled."""
    schedstat = os.open(f"/proc/self/task/{os.getpid()}/schedstat", os.O_RDONLY)
    noted = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        while True:
            before = Clocks.read(schedstat)
            await asyncio.sleep(EVERY_S)
            stall = before.stall_until(Clocks.read(schedstat))
            if stall.late_s > NOTED_S:
                os.write(noted, stall.line().encode())
    finally:
        os.close(schedstat)
        os.close(noted)


def watched(serve: Serve, file: Path) -> Serve:
    """Return `serve` with the watch beside it."""

    @functools.wraps(serve)
    async def serve_watched(*args: Any, **kwargs: Any) -> None:
        watching = asyncio.create_task(watch(file))
        try:
            await serve(*args, **kwargs)
        finally:
            watching.cancel()

    return serve_watched


def main() -> None:
    """Run the module of the command line with the watch."""
    file, module, *arguments = sys.argv[1:]
    setattr(lifecycle, "serve", watched(lifecycle.serve, Path(file)))  # noqa: B010 it is a function
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
