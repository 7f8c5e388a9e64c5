"""A real Redis, or Valkey, that the tests start on a free port and stop."""

import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trustme
from redis import Redis
from redis.exceptions import AuthenticationError, ConnectionError  # noqa: A004 - the library's name

# The longest start of a server on a loaded machine; an idle one takes some hundredths of a second.
WITHIN_S = 30.0


def binary() -> str:
    """Return the path of a server; without one the test is skipped."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    pytest.skip("neither redis-server nor valkey-server is on PATH")


@dataclass
class RedisServer:
    """A server with its own port and directory, which loses its data when it stops."""

    options: tuple[str, ...]
    directory: Path
    tls: bool = False
    port: int = 0
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Return the server's URL without a password."""
        if self.tls:
            return f"rediss://localhost:{self.port}/0?ssl_ca_certs={self.directory}/ca.pem"
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start the server on `port`."""
        ports = ("--port", "0", "--tls-port") if self.tls else ("--port",)
        where = ("--bind", "127.0.0.1", "--dir", str(self.directory))
        nothing_kept = ("--save", "", "--appendonly", "no")
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [binary(), *ports, str(self.port), *where, *nothing_kept, *self.options],
                stdout=log,
                stderr=log,
            )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        until = time.monotonic() + WITHIN_S
        while not self._answers():
            gone = self.process is None or self.process.poll() is not None
            if gone or time.monotonic() > until:
                said = (self.directory / "log").read_text()
                if self.tls and "Bad directive" in said:
                    pytest.skip("this redis-server was built without TLS")
                raise AssertionError(f"redis-server doesn't answer: {said}")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), WITHIN_S):
                pass
            with Redis.from_url(self.url, retry=None) as client:
                client.ping()
        except AuthenticationError:
            return True
        except (ConnectionError, OSError):
            return False
        return True

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Suspend the server: it takes connections and sends no responses."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        yield
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill the server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def redis_server(*options: str, tls: bool = False) -> Iterator[RedisServer]:
    """Run a server with additional options."""
    with TemporaryDirectory(prefix="redis-") as place:
        directory = Path(place)
        if tls:
            options = (*options, *_certified(directory))
        server = RedisServer(options, directory, tls=tls, port=free_port())
        try:
            server.start()
            yield server
        finally:
            server.stop()


def free_port() -> int:
    """Return a free port below 55,536: a node of a cluster also listens 10,000 higher."""
    while True:
        with socket.socket() as each:
            each.bind(("127.0.0.1", 0))
            port: int = each.getsockname()[1]
        if port < 2**16 - 10_000:
            return port


def _certified(directory: Path) -> tuple[str, ...]:
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(directory / "ca.pem")
    certificate.private_key_and_cert_chain_pem.write_to_path(directory / "server.pem")
    own = str(directory / "server.pem")
    files = ("--tls-cert-file", own, "--tls-key-file", own)
    return (*files, "--tls-ca-cert-file", str(directory / "ca.pem"), "--tls-auth-clients", "no")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL of a Redis that all tests share; each test empties it first."""
    with redis_server() as server:
        yield server.url
