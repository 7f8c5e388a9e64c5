"""The synchronous client: upload a file by its path, create an attachment from a message.

A call is repeated with the same request id if the gateway names a retry delay or can't be reached,
until the timeout.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar
from uuid import uuid4

import grpc

from attachment_gateway.client.clock import Clock, SystemClock
from attachment_gateway.client.errors import AttachmentError
from attachment_gateway.client.file_source import FileSource
from graphattachments.v1.attachment_pb2 import Attachment, PostRef
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest, UploadHeader
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub

CHUNK_BYTES = 256 * 1024
TIMEOUT_S = 120.0

_R = TypeVar("_R")


class AttachmentClient:
    """Adds attachments to posts, over a channel that the caller closes.

    `token` returns a Graph token and is called for every attempt. All methods raise
    AttachmentError, have a `timeout_s` for all attempts together, and return the attachment as
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
        """Upload a file; `attachment` describes it, and its name defaults to the file's.

        Raises OSError if the file can't be read; then nothing is created.
        """
        described = Attachment(name=Path(path).name)
        described.MergeFrom(attachment or Attachment())
        header = UploadHeader(
            post=post, attachment=described, request_id=request_id or str(uuid4())
        )
        file = FileSource(Path(path), self._chunk_bytes)

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
        """Create an attachment from one message: an item, or a file with its bytes."""
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
