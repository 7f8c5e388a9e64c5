"""Tests of the command line: its commands, and the extras that they need."""

import asyncio
import base64
import json
import sys
from pathlib import Path

import pytest

from tests.support.calls import Start
from tests.support.processes import ended, program, run
from tests.support.raw_graph import RawGraph

# An import hook that hides packages, as if they weren't installed.
WITHOUT = """
import sys

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in PACKAGES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
sys.argv = ["attachment-gateway", *ARGUMENTS]
from attachment_gateway.__main__ import main
main()
"""

SERVER = {
    *("grpc_health", "grpc_reflection", "httptools", "httpx", "orjson", "platformdirs"),
    *("prometheus_client", "pybase64", "redis", "structlog", "uvloop"),
}
EMULATOR = {"starlette", "uvicorn"}

THIS_FILE = Path(__file__).read_bytes()


def without(packages: set[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command line as if these packages weren't installed."""
    code = WITHOUT.replace("PACKAGES", repr(packages)).replace("ARGUMENTS", repr(arguments))
    with program(sys.executable, "-c", code) as process:
        return ended(process)


def test_the_help_lists_all_public_commands() -> None:
    """The help lists all commands but `worker`, which `serve` runs."""
    shown = run("--help").stdout
    for command in ("attach", "emulator", "serve", "upload"):
        assert f"\n  {command} " in shown
    assert "worker" not in shown


@pytest.mark.parametrize("command", ["upload", "attach"])
def test_callers_commands_need_only_the_base_install(command: str) -> None:
    """`upload` and `attach` run without the packages of the server and the emulator."""
    status, output, errors = without(SERVER | EMULATOR, command, "--help")
    assert (status, errors) == (0, "")
    assert "--request-id" in output


async def test_upload_works_with_the_base_install(start: Start, graph: RawGraph) -> None:
    """`upload` attaches a file without the packages of the server and the emulator."""
    gateway = await start()
    to = (f"--gateway={gateway.address}", "--group=g", "--thread=t", "--post=p", "--token=t")
    status, output, errors = await asyncio.to_thread(
        without, SERVER | EMULATOR, "upload", __file__, *to
    )
    assert (status, errors) == (0, "")
    assert json.loads(output)["id"] == "AAMkAD="
    assert base64.b64decode(graph.received[0].json["contentBytes"]) == THIS_FILE


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("serve", SERVER, "server"),
        ("worker", {"uvloop"}, "server"),
        ("emulator", EMULATOR, "emulator"),
    ],
)
def test_a_command_says_which_extra_it_needs(command: str, missing: set[str], extra: str) -> None:
    """A command without its extra says which one to install, whatever its options are."""
    status, output, errors = without(missing, command, "--listen", "127.0.0.1:0")
    assert (status, output) == (1, "")
    assert errors.endswith(f" is missing: pip install 'attachment-gateway[{extra}]'\n")
    status, output, _ = without(missing, "--help")
    assert status == 0
    assert f"Needs the extra `{extra}`." in output
    assert "worker" not in output


def test_an_unknown_command_is_a_usage_error() -> None:
    """An unknown command is a usage error."""
    finished = run("surve")
    assert finished.returncode == 2
    assert "No such command 'surve'" in finished.stderr
