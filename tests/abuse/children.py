"""The harness's processes; each is killed when its context ends, or if the harness is killed."""

import asyncio
import ctypes
import json
import os
import resource
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.processes import REPOSITORY

START_S = 30.0

_LINE_BYTES = 1024 * 1024
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None)


class Failed(Exception):
    """A process ended, or said nothing in time."""


class Child:
    """A process that takes and prints lines."""

    def __init__(self, name: str, process: Process) -> None:
        self._name = name
        self._process = process
        self.address = ""
        """The address at the end of its first line."""

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        return self._process.returncode is not None

    async def ready(self) -> None:
        """Wait for the first line. Raises Failed."""
        self.address = (await self.line(within_s=START_S)).split()[-1]

    async def tell(self, order: object) -> None:
        """Write an order, as a line of JSON."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        with suppress(ConnectionError):
            await self._process.stdin.drain()

    async def line(self, *, within_s: float) -> str:
        """Return the next line. Raises Failed."""
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(within_s):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise Failed(f"{self._name} said nothing for {within_s:g} s") from None
        if not line:
            raise Failed(f"{self._name} ended; see its log")
        return line.decode().rstrip("\n")

    async def answer(self, *, within_s: float) -> Any:
        """Return the next line's JSON. Raises Failed."""
        return json.loads(await self.line(within_s=within_s))


@asynccontextmanager
async def child(
    module: str,
    *arguments: str,
    log: Path,
    tree: Path | None = None,
    descriptors: int | None = None,
) -> AsyncIterator[Child]:
    """Start a Python module, and kill it when the context ends.

    `tree` goes first on its import path; `descriptors` is its soft limit of file descriptors.
    """

    def prepare() -> None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if descriptors is not None:
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(descriptors, most), most))

    with log.open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=PIPE,
            stdout=PIPE,
            stderr=errors,
            env=_environment(tree),
            limit=_LINE_BYTES,
            start_new_session=True,  # only the harness itself handles Ctrl-C
            preexec_fn=prepare,
        )
    try:
        yield Child(module, process)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _environment(tree: Path | None) -> dict[str, str]:
    """Return the environment without settings of the gateway, so that its defaults apply.

    Coverage's variables are left out too: a process that it traces is measured at half its speed.
    """
    left_out = ("ATTACHMENT_GATEWAY_", "COVERAGE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    paths = [str(tree or ""), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return {**kept, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
