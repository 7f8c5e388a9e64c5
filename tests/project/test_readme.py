"""README.md is true: its tables are the code's, and its commands run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from attachment_gateway.rpc import status
from attachment_gateway.settings import ENVIRONMENT_PREFIX, Settings
from tests.support.grpcurl import BUILT_WITHIN_S
from tests.support.processes import started

ROOT = Path(__file__).parent.parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def rows(header: str) -> list[list[str]]:
    """The rows of the table that begins with this header, their cells stripped."""
    table = README.split(header)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_settings() -> None:
    """The table of settings is what Settings says, row by row."""
    expected = [
        [
            ENVIRONMENT_PREFIX + setting.name.upper(),
            "--" + setting.name.replace("_", "-"),
            str(setting.default),
            setting.metadata["about"],
        ]
        for setting in fields(Settings)
    ]
    assert rows("| variable | flag | default | |") == expected


def test_the_errors() -> None:
    """The table of errors has each reason with its code, in the order of the code's own table."""
    table = [(row[0], row[1]) for row in rows("| reason | code | what happened, and what to do |")]
    assert table == [(reason, code.name) for reason, code in status.CODES.items()]


def test_the_files() -> None:
    """The table of files names every package and module at the top, and no other."""
    named = {
        name
        for row in rows("| in `service/attachment_gateway/` | |")
        for name in row[0].split("`")[1::2]
    }
    package = ROOT / "service/attachment_gateway"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert named == modules | packages


def test_the_make_targets() -> None:
    """Every `make` that is mentioned is one."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    mentioned = set(re.findall(r"(?:`|^)make ([a-z-]+)", README, re.MULTILINE))
    assert mentioned <= targets
    assert {"demo", "test", "run", "check", "generate", "lock", "help"} <= mentioned


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """A gateway such as `make run` starts, by its address."""
    with started("emulator") as (_, graph):
        graph_url = f"http://{graph.split()[-1]}/v1.0"
        with started("serve", "--listen=127.0.0.1:0", f"--graph-url={graph_url}") as (_, gateway):
            yield gateway.split()[-1]


def adapted(block: str, address: str) -> str:
    """The block with this machine's address and commands."""
    commands = str(Path(sys.executable).parent)
    return block.replace("127.0.0.1:50051", address).replace(".venv/bin", commands)


RUN_ELSEWHERE = ("make ", "serve ")  # by CI, the tests of the demo, and those of the server
SHELL = [block for block in blocks("sh") if not any(name in block for name in RUN_ELSEWHERE)]


@pytest.mark.parametrize("block", SHELL, ids=range(len(SHELL)))
@pytest.mark.timeout(BUILT_WITHIN_S + 100)
def test_the_commands(block: str, address: str, path: str) -> None:
    """Every command line works as it is pasted."""
    finished = subprocess.run(
        ["bash", "-euc", adapted(block, address)],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert "AttachmentService" in finished.stdout or '"id": "AAMkAG' in finished.stdout


def test_the_python_example(address: str) -> None:
    """The example in Python works as it is pasted."""
    [example] = blocks("python")
    finished = subprocess.run(
        [sys.executable, "-c", adapted(example, address)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("AAMkAG")
