"""The package's commands as processes of their own."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

START_S = 60

Process = subprocess.Popen[str]


@contextmanager
def started(*command: str, **environment: str) -> Iterator[tuple[Process, str]]:
    """Run a command of the package; give the process and the line that it prints first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "attachment_gateway", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )
    try:
        assert process.stdout is not None
        yield process, process.stdout.readline().rstrip("\n")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=START_S)


def run(*command: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the package to its end."""
    return subprocess.run(
        [sys.executable, "-m", "attachment_gateway", *command],
        capture_output=True,
        text=True,
        input=stdin,
        timeout=START_S,
        check=False,
        env={**os.environ, **environment},
    )
