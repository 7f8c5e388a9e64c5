"""Faults, over a socket: what the client sees, and whether its attachment is stored."""

import socket
import struct
import time
from collections.abc import Callable

import httpx
import pytest

from graph_emulator.control import EmulatorClient
from graph_emulator.faults import Broken, Fault, FaultAnswer, Store
from graph_emulator.posts import Post

Raw = Callable[[bytes], bytes]
BUSY = FaultAnswer(status=503, code="serviceNotAvailable", message="Try later.")


def stored_within(control: EmulatorClient, limit_s: float) -> int:
    """Wait at most `limit_s` for an attachment; return how many are stored."""
    end = time.monotonic() + limit_s
    while not control.stored() and time.monotonic() < end:
        time.sleep(0.01)
    return len(control.stored())


def all_that_comes(connection: socket.socket) -> bytes:
    """Receive until the connection ends."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


@pytest.mark.parametrize(("store", "count"), [("never", 0), ("before", 1)])
def test_a_503_with_and_without_an_attachment(
    graph: httpx.Client,
    control: EmulatorClient,
    attachments: str,
    file_body: dict[str, object],
    store: Store,
    count: int,
) -> None:
    """A 503 comes with or without a stored attachment, and the next request succeeds."""
    control.inject(Fault(answer=BUSY, store=store, headers={"Retry-After": "2.128"}))

    answer = graph.post(attachments, json=file_body)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2.128")
    assert answer.json()["error"]["code"] == "serviceNotAvailable"
    assert answer.json()["error"]["innerError"]["request-id"] == answer.headers["request-id"]
    assert len(control.stored()) == count
    assert graph.post(attachments, json=file_body).status_code == 201


def test_an_attachment_stored_after_the_response(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """An attachment of `store="after"` is stored and dated `store_after_s` after the response."""
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
def test_clear_cancels_pending_effects(
    control: EmulatorClient,
    connection: socket.socket,
    raw_request: bytes,
    latency_s: float,
    fault: Fault,
) -> None:
    """After `clear`, no earlier request stores an attachment, however far it was."""
    control.configure(latency_s=latency_s)
    control.inject(fault)
    connection.sendall(raw_request)
    while control.faults():
        pass

    control.clear()

    assert stored_within(control, 0.5) == 0


def test_a_failed_delete_has_no_effect(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A delete that a fault refuses leaves the attachment, and the next delete succeeds."""
    location = graph.post(attachments, json=file_body).headers["location"]
    control.inject(Fault(method="DELETE", answer=BUSY))

    assert graph.delete(location).status_code == 503
    assert graph.get(location).status_code == 200
    assert graph.delete(location).status_code == 204


def test_a_delayed_response_holds_no_slot(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """While a response is delayed, the attachment can be read and the post can be written to."""
    control.inject(Fault(store="before", delay_s=30))
    with pytest.raises(httpx.ReadTimeout):
        graph.post(attachments, json=file_body, timeout=0.3)

    assert len(graph.get(attachments).json()["value"]) == 1
    assert graph.post(attachments, json=file_body).status_code == 201


def test_a_fault_matches_its_post_and_method(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A fault is taken only by a request to its post and with its method."""
    other = control.add_post()
    control.inject(
        Fault(post_id=other.post_id, answer=BUSY), Fault(method="GET", answer=BUSY, times=2)
    )

    assert graph.post(attachments, json=file_body).status_code == 201
    assert graph.post(other.path(), json=file_body).status_code == 503
    assert [graph.get(attachments).status_code for _ in range(3)] == [503, 503, 200]
    assert control.faults() == []


def test_a_refused_request_takes_no_fault(
    graph: httpx.Client, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """A request that is refused anyway leaves the fault for the next."""
    control.inject(Fault(answer=BUSY))

    assert graph.post(Post(post_id="nowhere").path(), json=file_body).status_code == 404
    assert len(control.faults()) == 1
    control.clear_faults()
    assert control.faults() == []


def test_a_proxys_response_has_no_graph_headers(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A proxy's response is HTML without Graph's headers."""
    from_proxy = FaultAnswer(
        status=502, body=b"<html>bad</html>", content_type="text/html", graph_headers=False
    )
    control.inject(Fault(answer=from_proxy))

    answer = graph.post(attachments, json=file_body)

    assert answer.content == b"<html>bad</html>"
    assert sorted(answer.headers) == ["content-length", "content-type"]


@pytest.mark.parametrize(("store", "count"), [("never", 0), ("before", 1)])
def test_a_success_with_an_error_in_its_body(
    graph: httpx.Client,
    control: EmulatorClient,
    attachments: str,
    file_body: dict[str, object],
    store: Store,
    count: int,
) -> None:
    """A 200 of Graph can have an error as its body, with and without a stored attachment."""
    failed = FaultAnswer(status=200, code="ErrorInternalServerError", message="Sorry.")
    control.inject(Fault(answer=failed, store=store))

    answer = graph.post(attachments, json=file_body)

    assert answer.status_code == 200
    assert answer.json()["error"]["code"] == "ErrorInternalServerError"
    assert answer.json()["error"]["innerError"]["request-id"] == answer.headers["request-id"]
    assert len(control.stored()) == count


@pytest.mark.parametrize(
    ("status", "content_type", "body"),
    [
        (200, "text/html; charset=utf-8", b"<html>Please log in</html>"),
        (201, "application/json", b'{"id":"1","status":"accepted"}'),
        (202, "application/json", b'{"error":{"code":"Blocked","message":""}}'),
        (200, None, b""),
    ],
)
def test_a_success_of_a_middlebox(
    raw: Raw,
    control: EmulatorClient,
    raw_request: bytes,
    status: int,
    content_type: str | None,
    body: bytes,
) -> None:
    """A 2XX can come from a middlebox, without Graph's headers, and nothing is stored."""
    given = FaultAnswer(status=status, body=body, content_type=content_type, graph_headers=False)
    control.inject(Fault(answer=given))

    head, _, received = raw(raw_request).partition(b"\r\n\r\n")

    status_line, *headers = head.decode().split("\r\n")
    assert status_line.startswith(f"HTTP/1.1 {status} ")
    assert received == body
    expected = {f"Content-Length: {len(body)}", "Connection: close"}
    expected |= set() if content_type is None else {f"Content-Type: {content_type}"}
    assert {one.lower() for one in headers} == {one.lower() for one in expected}
    assert control.stored() == []


@pytest.mark.parametrize("broken", ["truncated", "garbage"])
def test_a_broken_body_of_a_stored_attachment(
    graph: httpx.Client,
    control: EmulatorClient,
    attachments: str,
    file_body: dict[str, object],
    broken: Broken,
) -> None:
    """A broken body is received whole and isn't JSON, and the attachment is stored."""
    control.inject(Fault(store="before", broken=broken))

    answer = graph.post(attachments, json=file_body)

    assert answer.status_code == 201
    with pytest.raises(ValueError, match=r".+"):
        answer.json()
    assert len(control.stored()) == 1


@pytest.mark.parametrize(("store", "count"), [("never", 0), ("before", 1)])
def test_a_cut_before_the_response_sends_nothing(
    control: EmulatorClient, raw: Raw, raw_request: bytes, store: Store, count: int
) -> None:
    """The connection ends without a byte after the body was read."""
    control.inject(Fault(cut="before_answer", store=store))

    assert raw(raw_request) == b""
    (request,) = control.requests()
    assert (request.status, request.request_bytes) == (None, len(raw_request))
    assert len(control.stored()) == count


def test_an_attachment_stored_after_the_cut(
    control: EmulatorClient, raw: Raw, raw_request: bytes
) -> None:
    """An attachment can be stored after the connection was cut."""
    control.inject(Fault(cut="before_answer", store="after", store_after_s=0.2))

    assert raw(raw_request) == b""
    assert control.stored() == []
    assert stored_within(control, 5) == 1


def test_a_cut_within_the_response_sends_half_the_body(
    control: EmulatorClient, raw: Raw, raw_request: bytes
) -> None:
    """The status, the headers and half the body are sent before the cut."""
    control.inject(Fault(cut="mid_answer", store="before"))

    head, _, body = raw(raw_request).partition(b"\r\n\r\n")

    assert head.startswith(b"HTTP/1.1 201 Created\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert len(body) == length // 2
    assert len(control.stored()) == 1


def test_a_cut_within_an_error_response(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """An error's response can be cut too."""
    control.inject(Fault(cut="mid_answer", answer=BUSY))

    with pytest.raises(httpx.RemoteProtocolError, match="without sending complete message body"):
        graph.post(attachments, json=file_body)
    assert [request.status for request in control.requests()] == [503]


def test_an_unread_cut_does_not_wait_for_the_body(
    control: EmulatorClient, connection: socket.socket, raw_request: bytes
) -> None:
    """The connection ends after the head, without the rest of the body."""
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
def test_a_fault_can_reset_the_connection(
    control: EmulatorClient, connection: socket.socket, raw_request: bytes, fault: Fault
) -> None:
    """A fault with `reset` resets the connection instead of ending it."""
    control.inject(fault)

    connection.sendall(raw_request)

    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert len(control.stored()) == (fault.store == "before")


def test_a_reset_within_the_response(
    control: EmulatorClient, connection: socket.socket, raw_request: bytes
) -> None:
    """A response that is reset ends with a reset."""
    control.inject(Fault(cut="mid_answer", reset=True, store="before"))
    connection.sendall(raw_request)

    with pytest.raises(ConnectionResetError):
        all_that_comes(connection)
    assert len(control.stored()) == 1


def test_an_early_response_ends_the_connection(
    control: EmulatorClient,
    connection: socket.socket,
    receive_answer: Callable[[], bytes],
    raw_request: bytes,
) -> None:
    """An early response is sent before the body is complete, and the connection then ends."""
    control.inject(Fault(early=True, answer=BUSY))
    connection.sendall(raw_request[:-10])

    answer = receive_answer()
    connection.sendall(raw_request[-10:])

    assert answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
    assert connection.recv(1) == b""
    assert control.stored() == []


def test_a_cut_after_the_clients_reset_does_no_harm(
    graph: httpx.Client,
    control: EmulatorClient,
    connection: socket.socket,
    raw_request: bytes,
    attachments: str,
) -> None:
    """Cutting a connection that the client has reset leaves the emulator working."""
    control.inject(Fault(cut="before_answer", reset=True, store="before", delay_s=0.3))
    connection.sendall(raw_request)
    assert stored_within(control, 5) == 1
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()

    while control.requests()[0].answered_at is None:
        pass
    assert len(graph.get(attachments).json()["value"]) == 1
