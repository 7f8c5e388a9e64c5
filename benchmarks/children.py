"""The benchmark's child processes; they end with their context, and if the benchmark is killed."""

import asyncio
import ctypes
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from benchmarks.jobs import READY, Done, Job

ROOT = Path(__file__).parent.parent

START_S = 60.0

# The limit of a line, which may hold all latencies of a job.
_LINE_BYTES = 16 * 1024 * 1024

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Server:
    """A process that listens."""

    def __init__(self, process: Process, address: str) -> None:
        self.pid = process.pid
        self.address = address


class Caller:
    """A process that does jobs."""

    def __init__(self, process: Process) -> None:
        self.pid = process.pid
        self._process = process

    async def run(self, job: Job) -> Done:
        """Do a job; raises RuntimeError if an upload of it fails."""
        done = await self.try_to(job)
        if done.failed:
            raise RuntimeError(f"{done.failed} of {job.uploads} uploads failed: {done.failures}")
        return done

    async def try_to(self, job: Job) -> Done:
        """Do a job, and report failed uploads in the result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
        await self._process.stdin.drain()
        return Done(**json.loads(await _line_of(self._process, within_s=2 * job.timeout_s)))


@asynccontextmanager
async def server(*command: str, tree: Path | None = None) -> AsyncIterator[Server]:
    """Run a server until the context ends; `tree` is first on its import path."""
    async with _child(*command, tree=tree) as process:
        line = await _line_of(process, within_s=START_S)
        yield Server(process, line.split()[-1])


@asynccontextmanager
async def caller(module: str) -> AsyncIterator[Caller]:
    """Run a caller until the context ends."""
    async with _child("-m", module) as process:
        line = await _line_of(process, within_s=START_S)
        if line != READY:
            raise RuntimeError(f"{module} said {line!r}")
        yield Caller(process)


@asynccontextmanager
async def _child(*command: str, tree: Path | None = None) -> AsyncIterator[Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        stdin=PIPE,
        stdout=PIPE,
        env=_environment(tree),
        limit=_LINE_BYTES,
        start_new_session=True,  # only the benchmark itself handles Ctrl-C
        preexec_fn=_die_with_parent,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _environment(tree: Path | None) -> dict[str, str]:
    """Return the environment without settings of the gateway, so that its defaults apply."""
    kept = {name: value for name, value in os.environ.items() if "ATTACHMENT_GATEWAY" not in name}
    paths = [str(tree)] if tree is not None else []
    paths.append(str(ROOT))  # where the benchmark's own modules are
    inherited = os.environ.get("PYTHONPATH", "")
    return {**kept, "PYTHONPATH": os.pathsep.join([*paths, *filter(None, [inherited])])}


async def _line_of(process: Process, *, within_s: float) -> str:
    assert process.stdout is not None
    async with asyncio.timeout(within_s):
        line = await process.stdout.readline()
    if not line:
        raise RuntimeError("a process of the benchmark's ended; what it said is above")
    return line.decode().rstrip("\n")
