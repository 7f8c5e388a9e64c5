"""The Python client, synchronous: upload a file by its path, create an attachment from a message.

A call is sent again, with the same request id, where the gateway says when to come back, or is not
there, and only as long as the time given allows.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar, cast
from uuid import uuid4

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

from graphattachments.v1.attachment_pb2 import Attachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
    UploadHeader,
)
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub

CHUNK_BYTES = 256 * 1024
TIMEOUT_S = 120.0

# When to come back to a gateway that is gone: a restart takes a second or two. What became of the
# call nobody has told, but the request id makes it safe to ask.
GONE_RETRY_DELAY_S = 1.0

_R = TypeVar("_R")


class Clock(Protocol):
    """A source of time, in seconds; grpc_testing's clocks are some."""

    def time(self) -> float:
        """Return the time."""

    def sleep_for(self, duration: float) -> None:
        """Let time pass."""


class SystemClock:
    """The machine's own."""

    def time(self) -> float:
        """Return the time, which never goes back."""
        return time.monotonic()

    def sleep_for(self, duration: float) -> None:
        """Sleep."""
        time.sleep(duration)


class AttachmentError(Exception):
    """The gateway's, or gRPC's, no.

    `code` is gRPC's; `reason` and `metadata` are those of the gateway's ErrorInfo, "" and empty if
    gRPC itself failed, which tells nothing of what became of the attachment. `retry_delay_s` is
    None where sending it again, with the same request id, isn't known to help.
    """

    def __init__(self, error: grpc.RpcError) -> None:
        call = cast("grpc.Call", error)  # what a stub raises is the call, too
        self.code = call.code()
        self.reason = ""
        self.metadata: dict[str, str] = {}
        self.retry_delay_s: float | None = None
        self._read(call)
        if self.code is grpc.StatusCode.UNAVAILABLE and not self.reason:
            self.retry_delay_s = GONE_RETRY_DELAY_S
        super().__init__(f"{self.reason or self.code.name}: {call.details()}")

    def _read(self, call: grpc.Call) -> None:
        try:
            status = rpc_status.from_call(call)
        except ValueError:  # the deadline passed as the gateway's status came: gRPC mixed the two
            status = None
        for detail in status.details if status is not None else ():
            info, retry = ErrorInfo(), RetryInfo()
            if detail.Unpack(info):
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(retry):
                self.retry_delay_s = retry.retry_delay.ToNanoseconds() / 1e9


class AttachmentClient:
    """Adds attachments to posts, over a channel that is the caller's to close.

    `token` returns a Graph token, and is asked for one at every attempt. All methods raise
    AttachmentError, take `timeout_s` for all attempts together, and answer with the attachment as
    Graph describes it.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        token: Callable[[], str],
        *,
        chunk_bytes: int = CHUNK_BYTES,
        clock: Clock | None = None,
    ) -> None:
        self._stub = AttachmentServiceStub(channel)
        self._token = token
        self._chunk_bytes = chunk_bytes
        self._clock = clock or SystemClock()

    def upload(
        self,
        path: str | os.PathLike[str],
        post: PostRef,
        attachment: Attachment | None = None,
        *,
        request_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Attachment:
        """Upload a file, under its own name unless `attachment`, which describes it, has one.

        Raises OSError if the file can't be read; then nothing comes to be.
        """
        described = Attachment(name=Path(path).name)
        described.MergeFrom(attachment or Attachment())
        header = UploadHeader(
            post=post, attachment=described, request_id=request_id or str(uuid4())
        )
        file = _File(Path(path), self._chunk_bytes)

        def send(timeout_s: float, metadata: tuple[tuple[str, str], ...]) -> Attachment:
            try:
                response = self._stub.UploadFileAttachment(
                    file.requests(header), timeout=timeout_s, metadata=metadata
                )
            except grpc.RpcError:
                file.raise_own_error()
                raise
            return response.attachment

        return self._until_settled(send, timeout_s)

    def create(
        self,
        attachment: Attachment,
        post: PostRef,
        *,
        request_id: str | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Attachment:
        """Create an attachment that is whole: an item, or a file with its bytes."""
        request = CreateAttachmentRequest(
            post=post, attachment=attachment, request_id=request_id or str(uuid4())
        )

        def send(timeout_s: float, metadata: tuple[tuple[str, str], ...]) -> Attachment:
            response = self._stub.CreateAttachment(request, timeout=timeout_s, metadata=metadata)
            return response.attachment

        return self._until_settled(send, timeout_s)

    def _until_settled(
        self, send: Callable[[float, tuple[tuple[str, str], ...]], _R], timeout_s: float
    ) -> _R:
        end = self._clock.time() + timeout_s
        while True:
            try:
                metadata = (("authorization", f"Bearer {self._token()}"),)
                return send(end - self._clock.time(), metadata)
            except grpc.RpcError as failure:
                error = AttachmentError(failure)
                delay_s = error.retry_delay_s
                if delay_s is None or delay_s >= end - self._clock.time():
                    raise error from failure
            self._clock.sleep_for(delay_s)


class _File:
    """A file as the messages of an upload, as often as they are asked for."""

    def __init__(self, path: Path, chunk_bytes: int) -> None:
        with path.open("rb"):  # what can't be opened is told before anything is called
            self._path = path
        self._chunk_bytes = chunk_bytes
        self._error: OSError | None = None

    def requests(self, header: UploadHeader) -> Iterator[UploadFileAttachmentRequest]:
        """Give header and chunks; the size tells the gateway if the file changes meanwhile."""
        try:
            with self._path.open("rb") as file:
                header.size_bytes = os.fstat(file.fileno()).st_size
                yield UploadFileAttachmentRequest(header=header)
                while chunk := file.read(self._chunk_bytes):
                    yield UploadFileAttachmentRequest(chunk=chunk)
        except OSError as error:
            self._error = error
            raise

    def raise_own_error(self) -> None:
        """Raise what went wrong with the file; gRPC only says that the messages ended badly."""
        if self._error is not None:
            raise self._error
