"""The command line: its commands, and what they need."""

import sys

import pytest

from tests.support.processes import ended, program, run

# An import hook that hides packages, as where they aren't installed.
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


def without(packages: set[str], *arguments: str) -> tuple[int, str, str]:
    """Run the command line where these packages aren't installed."""
    code = WITHOUT.replace("PACKAGES", repr(packages)).replace("ARGUMENTS", repr(arguments))
    with program(sys.executable, "-c", code) as process:
        return ended(process)


def test_the_commands() -> None:
    """All of them are in the help, but the one that `serve` runs."""
    shown = run("--help").stdout
    for command in ("attach", "emulator", "serve", "upload"):
        assert f"\n  {command} " in shown
    assert "worker" not in shown


@pytest.mark.parametrize("command", ["upload", "attach"])
def test_callers_need_the_base_install_alone(command: str) -> None:
    """What serving needs may be missing."""
    status, output, errors = without(SERVER | EMULATOR, command, "--help")
    assert (status, errors) == (0, "")
    assert "--request-id" in output


@pytest.mark.parametrize(
    ("command", "missing", "extra"),
    [
        ("serve", SERVER, "server"),
        ("worker", {"uvloop"}, "server"),
        ("emulator", EMULATOR, "emulator"),
    ],
)
def test_a_command_says_which_extra_it_needs(command: str, missing: set[str], extra: str) -> None:
    """In a sentence, whatever its options are."""
    status, output, errors = without(missing, command, "--listen", "127.0.0.1:0")
    assert (status, output) == (1, "")
    assert errors.endswith(f" is missing: pip install 'attachment-gateway[{extra}]'\n")
    status, output, _ = without(missing, "--help")
    assert status == 0
    assert f"Needs the extra `{extra}`." in output
    assert "worker" not in output


def test_a_command_that_there_is_not() -> None:
    """Is a usage error."""
    finished = run("surve")
    assert finished.returncode == 2
    assert "No such command 'surve'" in finished.stderr
