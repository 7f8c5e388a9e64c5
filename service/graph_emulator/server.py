"""The emulator over HTTP, on a loopback address: as a process, or in a thread of a test."""

import ipaddress
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

import uvicorn

from graph_emulator.app import create_app
from graph_emulator.config import DEFAULT_CONFIG, EmulatorConfig
from graph_emulator.control_routes import PREFIX
from graph_emulator.endpoint import ROOT
from graph_emulator.wire import GraphProtocol

DEFAULT_LISTEN = "127.0.0.1:0"

# Long, since closing an idle connection can break a client's request; a test can inject that fault.
KEEP_ALIVE_S = 120
# Requests that take longer at shutdown are cut off.
SHUTDOWN_S = 1
START_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningEmulator:
    """The URLs of a running emulator."""

    url: str
    """Graph's root, with the version."""
    control_url: str
    """For `EmulatorClient`."""


def serve(listen: str = DEFAULT_LISTEN, config: EmulatorConfig = DEFAULT_CONFIG) -> None:
    """Run until SIGTERM or SIGINT, then exit with 0; print the address when it listens."""
    listener = _bound(listen)

    def announce() -> None:
        sys.stdout.write(f"listening on {_address(listener)}\n")
        sys.stdout.flush()

    # While uvicorn runs it handles these signals; after its shutdown it raises them again for these
    # handlers.
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, _exit)
    _Server(config, announce).run(sockets=[listener])


@contextmanager
def running(config: EmulatorConfig = DEFAULT_CONFIG) -> Iterator[RunningEmulator]:
    """Run the emulator in a thread of this process, on a free port."""
    listener = _bound(DEFAULT_LISTEN)
    address = _address(listener)
    listening = threading.Event()
    server = _Server(config, listening.set)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listener]}, name="graph-emulator", daemon=True
    )
    thread.start()
    try:
        if not listening.wait(START_S):
            raise TimeoutError(f"the emulator didn't start within {START_S} s")
        yield RunningEmulator(
            url=f"http://{address}{ROOT}", control_url=f"http://{address}{PREFIX}"
        )
    finally:
        server.should_exit = True
        thread.join()


class _Server(uvicorn.Server):
    """A uvicorn server with the emulator's options, which calls a function when it listens."""

    def __init__(self, config: EmulatorConfig, on_listening: Callable[[], None]) -> None:
        super().__init__(
            uvicorn.Config(
                create_app(config),
                http=GraphProtocol,
                ws="none",
                loop="asyncio",
                interface="asgi3",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,  # the responses have Graph's own
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=SHUTDOWN_S,
            )
        )
        self._on_listening = on_listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_listening()


def _bound(listen: str) -> socket.socket:
    """Return a bound socket. Raises ValueError unless `listen` is HOST:PORT on loopback."""
    host, _, port = listen.rpartition(":")
    host = "127.0.0.1" if host == "localhost" else host.strip("[]")
    if not ipaddress.ip_address(host).is_loopback:
        raise ValueError(
            f"{host} isn't a loopback address; the emulator asks nobody for a password"
        )
    return socket.create_server(
        (host, int(port)), family=socket.AF_INET6 if ":" in host else socket.AF_INET
    )


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _exit(_signum: int, _frame: FrameType | None) -> NoReturn:
    """Exit, and ignore a second signal, which a parent may send after a terminal's."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    sys.exit(0)
