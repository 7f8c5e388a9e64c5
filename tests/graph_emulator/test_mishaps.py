"""Faults, over a socket: what the client sees, and what became of its attachment."""

import socket
import struct
import time
from collections.abc import Callable

import httpx
import pytest

from graph_emulator.control import EmulatorClient
from graph_emulator.faults import Broken, Fault, FaultAnswer, Store
from graph_emulator.world import Post

Raw = Callable[[bytes], bytes]
BUSY = FaultAnswer(status=503, code="serviceNotAvailable", message="Try later.")


def stored_within(control: EmulatorClient, limit_s: float) -> int:
    """How many are stored as soon as there is one."""
    end = time.monotonic() + limit_s
    while not control.stored() and time.monotonic() < end:
        time.sleep(0.01)
    return len(control.stored())


def all_that_comes(connection: socket.socket) -> bytes:
    """Receive until the end."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(("store", "count"), [("never", 0), ("before", 1)])
def test_an_error_with_and_without_effect(
    graph: httpx.Client,
    control: EmulatorClient,
    attachments: str,
    file_body: dict[str, object],
    store: Store,
    count: int,
) -> None:
    """A 503 may come with or without the attachment; the next request goes well."""
    control.inject(Fault(answer=BUSY, store=store, headers={"Retry-After": "2.128"}))

    answer = graph.post(attachments, json=file_body)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2.128")
    assert answer.json()["error"]["code"] == "serviceNotAvailable"
    assert answer.json()["error"]["innerError"]["request-id"] == answer.headers["request-id"]
    assert len(control.stored()) == count
    assert graph.post(attachments, json=file_body).status_code == 201


def test_an_effect_after_the_answer(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """What lands late lands no earlier than it was told to, and is dated then."""
    control.inject(Fault(answer=FaultAnswer(status=504), store="after", store_after_s=0.3))

    assert graph.post(attachments, json=file_body).status_code == 504
    assert control.stored() == []
    assert stored_within(control, 5) == 1
    (request,), (attachment,) = control.requests(), control.stored()
    assert request.answered_at is not None
    assert (attachment.stored_at - request.answered_at).total_seconds() >= 0.29


@pytest.mark.parametrize(
    ("latency_s", "fault"),
    [
        (0.3, Fault(store="before")),
        (0, Fault(answer=BUSY, store="after", delay_s=0.3)),
        (0, Fault(answer=BUSY, store="after", store_after_s=0.3)),
    ],
)
def test_clear_forgets_what_was_to_come(
    control: EmulatorClient,
    connection: socket.socket,
    raw_request: bytes,
    latency_s: float,
    fault: Fault,
) -> None:
    """After clearing, nothing of before takes effect, wherever it was on its way."""
    control.configure(latency_s=latency_s)
    control.inject(fault)
    connection.sendall(raw_request)
    while control.faults():
        pass

    control.clear()

    assert stored_within(control, 0.5) == 0


def test_a_late_delete(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A delete is a write, and may fail without effect."""
    location = graph.post(attachments, json=file_body).headers["location"]
    control.inject(Fault(method="DELETE", answer=BUSY))

    assert graph.delete(location).status_code == 503
    assert graph.get(location).status_code == 200
    assert graph.delete(location).status_code == 204


def test_a_slow_answer_holds_no_place(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A client that gives up on an answer finds the attachment, and the post free."""
    control.inject(Fault(store="before", delay_s=30))
    with pytest.raises(httpx.ReadTimeout):
        graph.post(attachments, json=file_body, timeout=0.3)

    assert len(graph.get(attachments).json()["value"]) == 1
    assert graph.post(attachments, json=file_body).status_code == 201


def test_a_fault_for_one_post(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A fault may wait for its post, and for its method."""
    other = control.add_post()
    control.inject(
        Fault(post_id=other.post_id, answer=BUSY), Fault(method="GET", answer=BUSY, times=2)
    )

    assert graph.post(attachments, json=file_body).status_code == 201
    assert graph.post(other.path(), json=file_body).status_code == 503
    assert [graph.get(attachments).status_code for _ in range(3)] == [503, 503, 200]
    assert control.faults() == []


def test_what_is_refused_takes_no_fault(
    graph: httpx.Client, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """A request that wouldn't have been taken leaves the fault for the next."""
    control.inject(Fault(answer=BUSY))

    assert graph.post(Post(post_id="nowhere").path(), json=file_body).status_code == 404
    assert len(control.faults()) == 1
    control.clear_faults()
    assert control.faults() == []


def test_a_foreign_answer(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A proxy's answer is HTML and has none of Graph's headers."""
    proxys = FaultAnswer(
        status=502, body=b"<html>bad</html>", content_type="text/html", graph_headers=False
    )
    control.inject(Fault(answer=proxys))

    answer = graph.post(attachments, json=file_body)

    assert answer.content == b"<html>bad</html>"
    assert sorted(answer.headers) == ["content-length", "content-type"]


@pytest.mark.parametrize("broken", ["truncated", "garbage"])
def test_a_broken_body(
    graph: httpx.Client,
    control: EmulatorClient,
    attachments: str,
    file_body: dict[str, object],
    broken: Broken,
) -> None:
    """A body that arrives whole, and is no JSON, of an attachment that is stored."""
    control.inject(Fault(store="before", broken=broken))

    answer = graph.post(attachments, json=file_body)

    assert answer.status_code == 201
    with pytest.raises(ValueError, match=r".+"):
        answer.json()
    assert len(control.stored()) == 1


@pytest.mark.parametrize(("store", "count"), [("never", 0), ("before", 1)])
def test_cut_before_the_answer(
    control: EmulatorClient, raw: Raw, raw_request: bytes, store: Store, count: int
) -> None:
    """The connection ends without a byte, after the body was read."""
    control.inject(Fault(cut="before_answer", store=store))

    assert raw(raw_request) == b""
    (request,) = control.requests()
    assert (request.status, request.request_bytes) == (None, len(raw_request))
    assert len(control.stored()) == count


def test_cut_before_the_answer_and_stored_later(
    control: EmulatorClient, raw: Raw, raw_request: bytes
) -> None:
    """It may land after the connection has gone."""
    control.inject(Fault(cut="before_answer", store="after", store_after_s=0.2))

    assert raw(raw_request) == b""
    assert control.stored() == []
    assert stored_within(control, 5) == 1


def test_cut_within_the_answer(control: EmulatorClient, raw: Raw, raw_request: bytes) -> None:
    """Status, headers and half a body come, then the end."""
    control.inject(Fault(cut="mid_answer", store="before"))

    head, _, body = raw(raw_request).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 201 Created\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert len(body) == length // 2
    assert len(control.stored()) == 1


def test_cut_within_a_given_answer(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """An error may be cut off as well."""
    control.inject(Fault(cut="mid_answer", answer=BUSY))

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        graph.post(attachments, json=file_body)
    assert [request.status for request in control.requests()] == [503]


def test_cut_unread(control: EmulatorClient, connection: socket.socket, raw_request: bytes) -> None:
    """On the head alone, the connection ends; the rest of the body isn't waited for."""
    control.inject(Fault(cut="unread"))

    connection.sendall(raw_request[:-10])

    assert connection.recv(1) == b""
    (request,) = control.requests()
    assert (request.status, request.body_bytes) == (None, 0)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(cut="unread", reset=True),
        Fault(cut="before_answer", reset=True),
        Fault(cut="before_answer", reset=True, store="before"),
    ],
)
def test_reset(
    control: EmulatorClient, connection: socket.socket, raw_request: bytes, fault: Fault
) -> None:
    """A reset is told from an end."""
    control.inject(fault)

    connection.sendall(raw_request)

    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert len(control.stored()) == (fault.store == "before")


def test_reset_within_the_answer(
    control: EmulatorClient, connection: socket.socket, raw_request: bytes
) -> None:
    """What comes of an answer that is reset ends in the reset."""
    control.inject(Fault(cut="mid_answer", reset=True, store="before"))
    connection.sendall(raw_request)

    with pytest.raises(ConnectionResetError):
        all_that_comes(connection)
    assert len(control.stored()) == 1


def test_early_answer(
    control: EmulatorClient,
    connection: socket.socket,
    receive_answer: Callable[[], bytes],
    raw_request: bytes,
) -> None:
    """An answer may come while the body is still on its way, and the connection then ends."""
    control.inject(Fault(early=True, answer=BUSY))
    connection.sendall(raw_request[:-10])

    answer = receive_answer()
    connection.sendall(raw_request[-10:])

    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert connection.recv(1) == b""
    assert control.stored() == []


def test_a_client_that_resets(
    graph: httpx.Client,
    control: EmulatorClient,
    connection: socket.socket,
    raw_request: bytes,
    attachments: str,
) -> None:
    """A cut of a connection that the client has reset meanwhile does no harm."""
    control.inject(Fault(cut="before_answer", reset=True, store="before", delay_s=0.3))
    connection.sendall(raw_request)
    assert stored_within(control, 5) == 1
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

    while control.requests()[0].answered_at is None:
        pass
    assert len(graph.get(attachments).json()["value"]) == 1
