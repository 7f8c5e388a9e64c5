"""Tests of the Python client over grpcio-testing's channel and its fake clock."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import grpc_testing  # type: ignore[import-untyped]  # it has no types
import pytest
from grpc_status import rpc_status

from attachment_gateway import errors
from attachment_gateway.client import AttachmentClient, AttachmentError, SystemClock
from attachment_gateway.client.file_source import FileSource
from attachment_gateway.rpc import status
from graphattachments.v1 import attachment_service_pb2
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentResponse,
    UploadFileAttachmentRequest,
    UploadFileAttachmentResponse,
    UploadHeader,
)

SERVICE = attachment_service_pb2.DESCRIPTOR.services_by_name["AttachmentService"]
UPLOAD = SERVICE.methods_by_name["UploadFileAttachment"]
CREATE = SERVICE.methods_by_name["CreateAttachment"]
POST = PostRef(group_id="g", thread_id="t", post_id="p")
MADE = Attachment(id="A=")


class Talk:
    """A client that runs in its own thread, and the gateway's end of its channel."""

    def __init__(self) -> None:
        self.clock = grpc_testing.strict_fake_time(1000)
        self.channel = grpc_testing.channel([SERVICE], self.clock)
        self.tokens = iter(["first", "second", "third"])
        self.client = AttachmentClient(
            self.channel, lambda: next(self.tokens), chunk_bytes=4, clock=self.clock
        )
        self._pool = ThreadPoolExecutor(1)

    def begin(
        self, method: Callable[..., Attachment], *args: Any, **kwargs: Any
    ) -> Future[Attachment]:
        return self._pool.submit(method, *args, **kwargs)

    def take_upload(self) -> tuple[dict[str, str], list[UploadFileAttachmentRequest], Any]:
        """Return the next upload's metadata, its messages and the RPC that answers it."""
        metadata, rpc = self.channel.take_stream_unary(UPLOAD)
        requests: list[UploadFileAttachmentRequest] = []
        collected = threading.Event()

        def collect() -> None:
            while True:
                requests.append(rpc.take_request())

        collector = threading.Thread(target=collect, daemon=True)
        collector.start()
        rpc.requests_closed()
        collected.wait(0.1)
        return dict(metadata), requests, rpc

    def close(self) -> None:
        self._pool.shutdown()
        self.channel.close()


@pytest.fixture
def talk() -> Iterator[Talk]:
    """A client and the gateway's end of its channel."""
    running = Talk()
    yield running
    running.close()


def fail(rpc: Any, error: errors.GatewayError) -> None:
    """End a call as the gateway does."""
    made = rpc_status.to_status(status.to_status(error, {"client_request_id": "c-1"}))
    rpc.terminate(None, made.trailing_metadata, made.code, made.details)


def succeed(rpc: Any, response: Any) -> None:
    rpc.terminate(response, (), grpc.StatusCode.OK, "")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of ten bytes."""
    path = tmp_path / "report.pdf"
    path.write_bytes(b"0123456789")
    return path


def test_an_upload_is_a_header_and_chunks(talk: Talk, file: Path) -> None:
    """A path becomes a header with its size and a request id, and chunks."""
    made = talk.begin(talk.client.upload, file, POST)
    metadata, [header, *chunks], rpc = talk.take_upload()
    succeed(rpc, UploadFileAttachmentResponse(attachment=MADE))
    assert made.result(5) == MADE
    assert metadata["authorization"] == "Bearer first"
    assert header.header.post == POST
    assert header.header.attachment == Attachment(name="report.pdf")
    assert header.header.size_bytes == 10
    assert len(header.header.request_id) == 36
    assert [request.chunk for request in chunks] == [b"0123", b"4567", b"89"]


def test_an_upload_has_the_callers_description_and_request_id(talk: Talk, file: Path) -> None:
    """The caller's description of the attachment and request id are in the header."""
    described = Attachment(name="logo", file_attachment=FileAttachment(content_id="cid"))
    made = talk.begin(talk.client.upload, file, POST, described, request_id="r-1")
    _, [header, *_], rpc = talk.take_upload()
    succeed(rpc, UploadFileAttachmentResponse(attachment=MADE))
    made.result(5)
    assert header.header.attachment == described
    assert header.header.request_id == "r-1"


def test_a_whole_attachment_is_one_message(talk: Talk) -> None:
    """`create` sends a whole attachment as one message with a request id."""
    attachment = Attachment(name="n", file_attachment=FileAttachment(content_bytes=b"x"))
    made = talk.begin(talk.client.create, attachment, POST)
    _, request, rpc = talk.channel.take_unary_unary(CREATE)
    succeed(rpc, CreateAttachmentResponse(attachment=MADE))
    assert made.result(5) == MADE
    assert request.attachment == attachment
    assert len(request.request_id) == 36


def test_a_safe_error_is_repeated_with_the_same_request_id(talk: Talk, file: Path) -> None:
    """After an error with a delay the client waits, and sends the same header with a new token."""
    made = talk.begin(talk.client.upload, file, POST)
    _, [first, *_], rpc = talk.take_upload()
    fail(rpc, errors.GraphUnavailable("x", retry_delay_s=2.5))
    metadata, [second, *chunks], rpc = talk.take_upload()
    assert talk.clock.time() == 1002.5
    succeed(rpc, UploadFileAttachmentResponse(attachment=MADE))
    assert made.result(5) == MADE
    assert metadata["authorization"] == "Bearer second"
    assert second == first
    assert len(chunks) == 3


def test_a_delay_beyond_the_timeout_raises_at_once(talk: Talk, file: Path) -> None:
    """A delay that doesn't fit into `timeout_s` raises AttachmentError without a wait."""
    made = talk.begin(talk.client.upload, file, POST, timeout_s=5)
    _, _, rpc = talk.take_upload()
    fail(rpc, errors.GraphThrottled(errors.ErrorResponse(http_status=429), retry_delay_s=5))
    with pytest.raises(AttachmentError) as caught:
        made.result(5)
    assert caught.value.retry_delay_s == 5
    assert talk.clock.time() == 1000


@pytest.mark.parametrize(
    "error",
    [
        errors.OutcomeUnknown("x"),
        errors.GraphRejected(errors.ErrorResponse(http_status=400, codes=("c",))),
        errors.NotSent(),
    ],
)
def test_an_error_without_a_delay_is_not_repeated(
    talk: Talk, file: Path, error: errors.GatewayError
) -> None:
    """An error without a delay isn't repeated, and is raised as the gateway sent it."""
    made = talk.begin(talk.client.upload, file, POST)
    _, _, rpc = talk.take_upload()
    fail(rpc, error)
    with pytest.raises(AttachmentError) as caught:
        made.result(5)
    assert caught.value.code == status.CODES[error.reason]
    assert caught.value.reason == error.reason
    assert caught.value.metadata["client_request_id"] == "c-1"
    assert str(caught.value) == f"{error.reason}: {error}"


def test_a_lost_gateway_is_called_again(talk: Talk, file: Path) -> None:
    """After UNAVAILABLE without details the client repeats its request, which its id makes safe."""
    made = talk.begin(talk.client.upload, file, POST)
    _, [first, *_], rpc = talk.take_upload()
    rpc.terminate(None, (), grpc.StatusCode.UNAVAILABLE, "connection lost")
    _, [second, *_], rpc = talk.take_upload()
    assert talk.clock.time() == 1001
    assert second == first
    succeed(rpc, UploadFileAttachmentResponse(attachment=MADE))
    assert made.result(5) == MADE


def test_another_error_of_grpcs_is_not_repeated(talk: Talk, file: Path) -> None:
    """An error of gRPC's own that isn't UNAVAILABLE is not repeated."""
    made = talk.begin(talk.client.upload, file, POST)
    _, _, rpc = talk.take_upload()
    rpc.terminate(None, (), grpc.StatusCode.CANCELLED, "connection lost")
    with pytest.raises(AttachmentError, match="CANCELLED: connection lost") as caught:
        made.result(5)
    assert (caught.value.reason, caught.value.metadata) == ("", {})


def test_the_gateways_details_of_a_client_deadline_are_ignored(talk: Talk, file: Path) -> None:
    """The gateway's details are ignored if gRPC's own code is DEADLINE_EXCEEDED."""
    made = talk.begin(talk.client.upload, file, POST)
    _, _, rpc = talk.take_upload()
    status_of = rpc_status.to_status(status.to_status(errors.OutcomeUnknown("x"), {}))
    code = grpc.StatusCode.DEADLINE_EXCEEDED
    rpc.terminate(None, status_of.trailing_metadata, code, "Deadline Exceeded")
    with pytest.raises(AttachmentError) as caught:
        made.result(5)
    assert (caught.value.code, caught.value.reason) == (code, "")


def test_a_missing_file_raises_before_any_call(talk: Talk, tmp_path: Path) -> None:
    """A missing file raises FileNotFoundError before any call."""
    with pytest.raises(FileNotFoundError):
        talk.client.upload(tmp_path / "missing", POST)


def test_a_file_that_disappears_raises_its_own_error(talk: Talk, file: Path) -> None:
    """A file that is deleted before it is read raises FileNotFoundError, and not gRPC's error."""
    messages = FileSource(file, 4)
    file.unlink()
    with pytest.raises(FileNotFoundError):
        next(messages.requests(UploadHeader()))
    with pytest.raises(FileNotFoundError):
        messages.raise_own_error()


def test_the_default_clock_is_the_machines() -> None:
    """The default clock sleeps and tells the time of the machine."""
    clock = SystemClock()
    before = clock.time()
    clock.sleep_for(0.01)
    assert clock.time() >= before + 0.01
