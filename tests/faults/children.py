"""Processes that the campaign starts; each is killed when its context ends."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

START_S = 30.0

# The folder that has the package `tests`.
ROOT = Path(__file__).parents[2]
LAST_WORDS_CHARS = 2000


class Child:
    """A process and the first line that it printed."""

    def __init__(self, process: subprocess.Popen[str], first_line: str) -> None:
        self._process = process
        self.first_line = first_line

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def address(self) -> str:
        """The address at the end of the first line."""
        return self.first_line.split()[-1]

    def signal(self, number: signal.Signals) -> None:
        """Send a signal if the process still runs."""
        self._process.send_signal(number)

    async def ended(self, within_s: float) -> int | None:
        """Wait for the end; return the exit status, or None after `within_s`."""
        with suppress(subprocess.TimeoutExpired):
            return await asyncio.to_thread(self._process.wait, within_s)
        return None


@asynccontextmanager
async def child(*command: str, log: Path, tree: Path | None = None) -> AsyncIterator[Child]:
    """Run a Python module with arguments and kill it when the context ends.

    `tree` goes first on its import path; `log` gets its standard error.
    """
    process = started((sys.executable, "-m", *command), env=process_environment(tree), log=log)
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_S):
            line = (await asyncio.to_thread(process.stdout.readline)).rstrip("\n")
        if not line:
            last_words = (await asyncio.to_thread(log.read_text))[-LAST_WORDS_CHARS:]
            raise RuntimeError(f"{' '.join(command)} didn't start: {last_words}")
        yield Child(process, line)
    finally:
        process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def started(
    command: Sequence[str], *, env: Mapping[str, str] | None, log: Path
) -> subprocess.Popen[str]:
    """Start a process outside uvloop, whose own start runs gRPC's fork handlers."""
    with log.open("ab") as errors:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=env,
            start_new_session=True,  # so that Ctrl-C reaches only the campaign
        )


def process_environment(tree: Path | None) -> dict[str, str]:
    """Return the environment for a process that imports from `tree` first."""
    inherited = os.environ.get("PYTHONPATH", "")
    paths = [*([str(tree)] if tree is not None else []), str(ROOT), inherited]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
