"""Programs that the tests run: each in a process group of its own, so that none is left behind."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Timer
from typing import Any

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
PROTOSET = REPOSITORY / "generated/graphattachments/v1/graphattachments.protoset"
DEMO = (sys.executable, str(REPOSITORY / "examples/demo.py"))

GRPCURL = "github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.4"
BIN = REPOSITORY / "build/bin"

# Go downloads and compiles some 40 modules: a minute on two cores that do nothing else.
GRPCURL_BUILT_WITHIN_S = 500

# How long a program of ours may take to start, to do its work, and to end. A loaded machine takes
# ten times what an idle one does, and that is 1.5 s for the whole demo.
WITHIN_S = 60.0

Program = subprocess.Popen[str]


@contextmanager
def started(*command: str, **options: Any) -> Iterator[Program]:
    """Run a program in a process group of its own, and kill what is left of the group."""
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    ) as program:
        try:
            yield program
        finally:
            kill(program)


def kill(program: Program) -> None:
    """Kill a program and all that it started."""
    with suppress(ProcessLookupError):
        os.killpg(program.pid, signal.SIGKILL)


def lines_until(last: str, program: Program) -> list[str]:
    """Read what a program prints up to the line that matches `last`, as long as it may take."""
    lines = []
    timer = Timer(WITHIN_S, kill, [program])
    timer.start()
    try:
        for line in program.stdout:
            lines.append(line.rstrip("\n"))
            if re.fullmatch(last, lines[-1]):
                return lines
    finally:
        timer.cancel()
    kill(program)
    raise AssertionError(f"{last!r} isn't in {lines}; errors: {program.stderr.read()}")


def ended(program: Program) -> tuple[int, str, str]:
    """Wait for a program's end; its exit code, the rest of its output, its errors."""
    output, errors = program.communicate(timeout=WITHIN_S)
    return program.returncode, output, errors


def left_behind(program: Program) -> bool:
    """Tell whether anything that a program started outlived it."""
    try:
        os.killpg(program.pid, 0)
    except ProcessLookupError:
        return False
    return True


def path_with_grpcurl() -> str:
    """A PATH that has grpcurl: as it is, or with build/bin, where it is built if need be."""
    path = os.environ.get("PATH", os.defpath)
    if not shutil.which("grpcurl", path=path):
        path = f"{BIN}{os.pathsep}{path}"
    if not shutil.which("grpcurl", path=path):
        _build_grpcurl()
    return path


def _build_grpcurl() -> None:
    if not shutil.which("go"):
        pytest.skip("neither grpcurl nor a go to build it with is on PATH")
    built = subprocess.run(
        ["go", "install", GRPCURL],
        env={**os.environ, "GOBIN": str(BIN)},
        capture_output=True,
        text=True,
        timeout=GRPCURL_BUILT_WITHIN_S,
        check=False,
    )
    if built.returncode != 0:
        why = built.stderr.splitlines()[-1]
        pytest.skip(f"grpcurl isn't on PATH, and go couldn't build {GRPCURL}: {why}")
