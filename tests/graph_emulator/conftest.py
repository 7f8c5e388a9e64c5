"""One emulator for these tests, cleared between them, and clients of it."""

import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict

import httpx
import pytest

from graph_emulator.config import DEFAULT_CONFIG
from graph_emulator.control import EmulatorClient
from graph_emulator.posts import Post
from graph_emulator.server import RunningEmulator, running

Raw = Callable[[bytes], bytes]


@pytest.fixture(scope="session")
def emulator() -> Iterator[RunningEmulator]:
    """The running emulator."""
    with running() as emulator:
        yield emulator


@pytest.fixture
def control(emulator: RunningEmulator) -> Iterator[EmulatorClient]:
    """A client of the control route, with the emulator cleared and its settings the defaults."""
    with EmulatorClient(emulator.control_url) as control:
        control.clear()
        control.configure(**asdict(DEFAULT_CONFIG))
        yield control


@pytest.fixture
def graph(emulator: RunningEmulator, control: EmulatorClient) -> Iterator[httpx.Client]:
    """A client of the emulated Graph, with a token."""
    with httpx.Client(
        base_url=emulator.url,
        headers={"Authorization": "Bearer secret"},
        trust_env=False,
        verify=False,  # plain HTTP; spares loading certificates for every test
    ) as client:
        yield client


@pytest.fixture
def attachments() -> str:
    """The path of the default post's attachments."""
    return Post().path()


@pytest.fixture
def file_body() -> dict[str, object]:
    """The smallest create request of a file: five bytes, `hello`."""
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "hello.txt",
        "contentBytes": "aGVsbG8=",
    }


@pytest.fixture
def raw_request(attachments: str) -> bytes:
    """The bytes of that request, which ask to close the connection after the response."""
    body = (
        b'{"@odata.type":"#microsoft.graph.fileAttachment","name":"hello.txt",'
        b'"contentBytes":"aGVsbG8="}'
    )
    return (
        f"POST /v1.0{attachments} HTTP/1.1\r\n"
        "Host: localhost\r\n"
        "Authorization: Bearer secret\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n"
        "Connection: close\r\n"
        "\r\n"
    ).encode() + body


@pytest.fixture
def connection(emulator: RunningEmulator, control: EmulatorClient) -> Iterator[socket.socket]:
    """A bare TCP connection to the emulator."""
    url = httpx.URL(emulator.url)
    with socket.create_connection((url.host, url.port), timeout=10) as connection:
        yield connection


@pytest.fixture
def receive_answer(connection: socket.socket) -> Callable[[], bytes]:
    """Receive one whole response on a connection that stays open."""

    def receive() -> bytes:
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(65536)
        head, _, body = head.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        while len(body) < length:
            body += connection.recv(65536)
        return head + b"\r\n\r\n" + body

    return receive


@pytest.fixture
def raw(connection: socket.socket) -> Raw:
    """Send bytes; return all that is received until the connection ends."""

    def exchange(request: bytes) -> bytes:
        connection.sendall(request)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
        return received

    return exchange
