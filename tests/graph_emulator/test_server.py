"""server: the emulator as a process, and within a test."""

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
from graph_emulator.posts import Post
from graph_emulator.server import running, serve

FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "n", "contentBytes": "AA=="}
BEARER = {"Authorization": "Bearer secret"}


@contextmanager
def process(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Start the emulator as a process; yield it and its first line of output."""
    with subprocess.Popen(
        [sys.executable, "-m", "graph_emulator", *arguments], stdout=subprocess.PIPE, text=True
    ) as emulator:
        try:
            assert emulator.stdout is not None
            yield emulator, emulator.stdout.readline()
        finally:
            emulator.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_process_listens_and_ends_on_a_signal(number: signal.Signals) -> None:
    """A process prints its address, responds there, and exits with 0 on SIGTERM or SIGINT."""
    with process() as (emulator, line):
        word, _, address = line.rstrip("\n").rpartition(" ")
        assert word == "listening on"
        url = f"http://{address}/v1.0{Post().path()}"
        assert httpx.post(url, json=FILE, headers=BEARER, trust_env=False).status_code == 201

        emulator.send_signal(number)

        assert emulator.wait(timeout=10) == 0
        assert emulator.stdout is not None
        assert emulator.stdout.read() == ""


SLOW_EXIT = (
    "import atexit, sys, time\n"
    "from graph_emulator.__main__ import main\n"
    "atexit.register(lambda: (print('leaving', flush=True), time.sleep(0.5)))\n"
    "sys.argv = ['emulator']\n"
    "main()\n"
)


def test_a_second_signal_while_exiting_is_ignored() -> None:
    """A second signal during the exit changes nothing: no error output, and exit status 0."""
    with subprocess.Popen(
        [sys.executable, "-c", SLOW_EXIT],
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


def test_a_process_listens_on_the_given_port() -> None:
    """A process listens on the port that it is given."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    with process("--listen", f"localhost:{port}") as (_, line):
        assert line == f"listening on 127.0.0.1:{port}\n"


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "192.0.2.1:80", "example.org:80", "no", ":0"])
def test_only_loopback_addresses_are_accepted(listen: str) -> None:
    """An address that isn't a loopback one is refused, as the emulator checks no caller."""
    with pytest.raises(ValueError, match=r".+"):
        serve(listen)


def test_a_bad_address_is_a_usage_error() -> None:
    """A bad address is a usage error with exit status 2 and a reason."""
    done = subprocess.run(
        [sys.executable, "-m", "graph_emulator", "--listen", "0.0.0.0:0"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "0.0.0.0 isn't a loopback address" in done.stderr


def test_running_uses_the_config_and_closes_the_port() -> None:
    """`running` uses the test's settings and closes its port at the end."""
    with running(EmulatorConfig(created_status=200)) as emulator:
        url = f"{emulator.url}{Post().path()}"
        assert httpx.post(url, json=FILE, headers=BEARER, trust_env=False).status_code == 200

    with pytest.raises(httpx.ConnectError):
        httpx.get(url, trust_env=False)


def test_two_emulators_share_nothing() -> None:
    """Two emulators at the same time share no attachments."""
    with (
        running() as one,
        running() as two,
        EmulatorClient(one.control_url) as control_one,
        EmulatorClient(two.control_url) as control_two,
    ):
        httpx.post(f"{one.url}{Post().path()}", json=FILE, headers=BEARER, trust_env=False)

        assert len(control_one.stored()) == 1
        assert control_two.stored() == []


def test_it_stops_during_a_request() -> None:
    """A request in progress and an idle connection don't delay the stop."""
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


async def test_the_app_names_the_server_it_needs() -> None:
    """Under another server the app raises RuntimeError that names the server it needs."""
    transport = httpx.ASGITransport(create_app())
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        with pytest.raises(RuntimeError, match=r"graph_emulator\.server"):
            await client.get("/v1.0/me")
