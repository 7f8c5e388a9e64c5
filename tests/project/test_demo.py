"""examples/demo.py, the first thing that a newcomer runs."""

import os
import re
import signal
import socket
from pathlib import Path

import pytest

from tests.support.processes import DEMO, PROTOSET, ended, left_behind, lines_until, program

ITEMS = """\
{route:<6} message  Minutes                    Minutes
{route:<6} event    Planning                   Planning
{route:<6} contact  Lovelace                   Lovelace
"""


def report(file: Path) -> str:
    """Return what the demo prints about its attachments."""
    stored = f"{file.stat().st_size:,} bytes, the same as sent"
    text = "route  what     name                       stored\n"
    for route in ("short", "long"):
        text += f"{route:<6} file     {file.name:<26} {stored}\n" + ITEMS.format(route=route)
    return text


def test_the_demo_attaches_each_kind_by_each_route() -> None:
    """Without options the demo attaches a file and each kind of item by each route, and ends."""
    with program(*DEMO) as demo:
        code, output, errors = ended(demo)
        assert not left_behind(demo)
    assert (code, errors) == (0, "")
    first, rest = output.split("\n\n")
    where = r"a local Graph at http://127\.0\.0\.1:\d+/v1\.0, a gateway at 127\.0\.0\.1:\d+"
    assert re.fullmatch(where, first)
    assert rest == report(PROTOSET)


@pytest.mark.parametrize("size_bytes", [0, 1_000_000])
def test_the_demo_uploads_a_given_file(tmp_path: Path, size_bytes: int) -> None:
    """The demo uploads the file that it is given, empty or in many chunks."""
    file = tmp_path / "my own file.bin"
    file.write_bytes(os.urandom(size_bytes))
    with program(*DEMO, "--file", str(file)) as demo:
        code, output, errors = ended(demo)
        assert not left_behind(demo)
    assert (code, errors) == (0, "")
    assert output.split("\n\n")[1] == report(file)


def test_a_port_in_use_fails_the_demo() -> None:
    """A gateway that can't start fails the demo with a sentence, and no process is left."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with program(*DEMO, "--listen", listen) as demo:
            code, output, errors = ended(demo)
            assert not left_behind(demo)
    assert (code, output) == (1, "")
    assert errors.splitlines()[-2:] == [
        f"Error: listen is '{listen}', which can't be bound; is it in use?",
        "serve did not start",
    ]


def test_the_demo_stays_until_sigterm() -> None:
    """With --stay the demo runs until SIGTERM, which ends every process."""
    with program(*DEMO, "--stay") as demo:
        lines_until(r"Ctrl-C ends it\.", demo)
        demo.terminate()
        assert ended(demo) == (0, "", "")
        assert not left_behind(demo)


def test_the_demo_stays_until_ctrl_c() -> None:
    """With --stay the demo runs until Ctrl-C, which sends SIGINT to its process group."""
    with program(*DEMO, "--stay") as demo:
        lines_until(r"Ctrl-C ends it\.", demo)
        os.killpg(demo.pid, signal.SIGINT)
        assert ended(demo) == (0, "", "")
        assert not left_behind(demo)
