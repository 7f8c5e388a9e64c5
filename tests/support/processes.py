"""Programs that the tests run, each in a process group of its own, so that all can be killed."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import Any

REPOSITORY = Path(__file__).parent.parent.parent
PROTOSET = REPOSITORY / "generated/graphattachments/v1/graphattachments.protoset"
DEMO = (sys.executable, str(REPOSITORY / "examples/demo.py"))

# The longest time that a program of ours may take to start, to do its work, and to end. The whole
# demo takes 1.5 s on an idle machine, and ten times as long on a loaded one.
WITHIN_S = 60.0

Process = subprocess.Popen[str]

_PACKAGE = (sys.executable, "-m", "attachment_gateway")


@contextmanager
def program(*command: str, **options: Any) -> Iterator[Process]:
    """Run a program in a process group of its own, and kill the group at the end."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    ) as process:
        try:
            yield process
        finally:
            kill(process)


@contextmanager
def started(*command: str, **environment: str) -> Iterator[tuple[Process, str]]:
    """Run a command of the package, and yield its process and the first line that it prints."""
    with program(*_PACKAGE, *command, env={**os.environ, **environment}) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().rstrip("\n")
        kill(process)
        process.communicate(timeout=WITHIN_S)


def run(*command: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the package to its end."""
    return subprocess.run(
        [*_PACKAGE, *command],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=WITHIN_S,
        check=False,
        env={**os.environ, **environment},
    )


def kill(process: Process) -> None:
    """Kill a program and all processes that it started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def lines_until(last: str, process: Process) -> list[str]:
    """Return the lines that a program prints, up to the first that matches `last`."""
    assert process.stdout is not None
    lines = []
    timer = Timer(WITHIN_S, kill, [process])
    timer.start()
    try:
        for line in process.stdout:
            lines.append(line.rstrip("\n"))
            if re.fullmatch(last, lines[-1]):
                return lines
    finally:
        timer.cancel()
    kill(process)
    assert process.stderr is not None
    raise AssertionError(f"{last!r} isn't in {lines}; errors: {process.stderr.read()}")


def ended(process: Process) -> tuple[int, str, str]:
    """Wait for a program to end; return its exit code, the rest of its output, and its errors."""
    output, errors = process.communicate(timeout=WITHIN_S)
    return process.returncode, output, errors


def left_behind(process: Process) -> bool:
    """Return whether a process that a program started is still running after the program."""
    try:
        os.killpg(process.pid, 0)
    except ProcessLookupError:
        return False
    return True
