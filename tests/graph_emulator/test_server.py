"""The emulator as a process, and beside a test."""

import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest

from graph_emulator.app import create_app
from graph_emulator.config import EmulatorConfig
from graph_emulator.control import EmulatorClient
from graph_emulator.faults import Fault
from graph_emulator.server import running, serve
from graph_emulator.world import Post

FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "n", "contentBytes": "AA=="}
BEARER = {"Authorization": "Bearer secret"}


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start a process of its own; give it, and where it says that it listens."""
    with subprocess.Popen(
        [sys.executable, "-m", "graph_emulator", *arguments], stdout=subprocess.PIPE, text=True
    ) as emulator:
        try:
            assert emulator.stdout is not None
            yield emulator, emulator.stdout.readline()
        finally:
            emulator.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_process(number: signal.Signals) -> None:
    """It says where it listens, answers there, and leaves with 0 when it is asked to."""
    with process() as (emulator, line):
        word, _, address = line.rstrip("\n").rpartition(" ")
        assert word == "listening on"
        url = f"http://{address}/v1.0{Post().path()}"
        assert httpx.post(url, json=FILE, headers=BEARER, trust_env=False).status_code == 201

        emulator.send_signal(number)

        assert emulator.wait(timeout=10) == 0
        assert emulator.stdout is not None
        assert emulator.stdout.read() == ""


SLOW_TO_LEAVE = (
    "import atexit, sys, time\n"
    "from graph_emulator.__main__ import main\n"
    "atexit.register(lambda: (print('leaving', flush=True), time.sleep(0.5)))\n"
    "sys.argv = ['emulator']\n"
    "main()\n"
)


def test_two_signals() -> None:
    """A terminal's is followed by a parent's: the second finds it leaving, and says nothing."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_TO_LEAVE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as emulator:
        assert emulator.stdout is not None
        emulator.stdout.readline()
        emulator.send_signal(signal.SIGINT)
        assert emulator.stdout.readline() == "leaving\n"
        emulator.send_signal(signal.SIGTERM)
        assert (emulator.communicate(timeout=20)[1], emulator.returncode) == ("", 0)


def test_process_on_a_given_port() -> None:
    """It listens where it is told to."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with process("--listen", f"localhost:{port}") as (_, line):
        assert line == f"listening on 127.0.0.1:{port}\n"


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "192.0.2.1:80", "example.org:80", "no", ":0"])
def test_loopback_only(listen: str) -> None:
    """It asks nobody who he is, so it is for this machine alone."""
    with pytest.raises(ValueError, match=r".+"):
        serve(listen)


def test_a_bad_address_is_a_usage_error() -> None:
    """The command line says what is wrong with an address."""
    done = subprocess.run(
        [sys.executable, "-m", "graph_emulator", "--listen", "0.0.0.0:0"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "0.0.0.0 isn't a loopback address" in done.stderr


def test_running_with_config() -> None:
    """Beside a test it runs with the test's settings, and its port is closed after."""
    with running(EmulatorConfig(created_status=200)) as emulator:
        url = f"{emulator.url}{Post().path()}"
        assert httpx.post(url, json=FILE, headers=BEARER, trust_env=False).status_code == 200

    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_two_at_once() -> None:
    """Two of them know nothing of each other."""
    with (
        running() as one,
        running() as two,
        EmulatorClient(one.control_url) as control_one,
        EmulatorClient(two.control_url) as control_two,
    ):
        httpx.post(f"{one.url}{Post().path()}", json=FILE, headers=BEARER, trust_env=False)

        assert len(control_one.stored()) == 1
        assert control_two.stored() == []


def test_it_stops_under_a_request() -> None:
    """A request that is still at work, and an idle connection, don't keep it from stopping."""
    threads = threading.active_count()
    with (
        httpx.Client(headers=BEARER, trust_env=False) as client,
        running() as emulator,
        EmulatorClient(emulator.control_url) as control,
    ):
        url = f"{emulator.url}{Post().path()}"
        client.get(url)
        control.inject(Fault(store="before", delay_s=60))
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(url, json=FILE, headers=BEARER, timeout=0.2, trust_env=False)

    assert threading.active_count() == threads


async def test_the_app_wants_its_wire() -> None:
    """Under another server the app says what it lacks."""
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        with pytest.raises(RuntimeError, match=r"graph_emulator\.server"):
            await client.get("/v1.0/me")
