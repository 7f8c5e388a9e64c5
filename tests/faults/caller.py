"""A caller: makes one call and records how it ended."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import grpc.aio
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

from graphattachments.v1.attachment_pb2 import PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    CreateAttachmentResponse,
    UploadFileAttachmentRequest,
    UploadFileAttachmentResponse,
    UploadHeader,
)
from tests.faults.contents import Content

if TYPE_CHECKING:
    from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceAsyncStub

DOMAIN = "attachment-gateway"
BEARER = (("authorization", "Bearer faults"),)
CHUNK_BYTES = 64 * 1024

# What an end says of the attachment: it was created; neither this call nor an earlier one with its
# request id created one; this call created none; it is unknown; gRPC ended the call, so nothing.
Says = Literal["created", "nothing", "not by this call", "unknown", "cut off"]

_OF_THIS_CALL = {
    *("REQUEST_IN_PROGRESS", "NOT_SENT", "GATEWAY_DRAINING", "LEDGER_UNAVAILABLE"),
    *("GATEWAY_OVERLOADED", "MAILBOX_LIMIT", "STREAM_IDLE", "TOKEN_MISSING"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a call ended; `reason` is "" unless the gateway itself ended it."""

    code: str
    reason: str = ""
    attachment_id: str = ""
    message: str = ""
    retry_delay_s: float | None = None
    began_at: float = 0.0
    ended_at: float = 0.0

    @property
    def says(self) -> Says:
        """What the end says of the attachment."""
        if self.code == "OK":
            return "created"
        if not self.reason:
            return "cut off"
        if self.reason == "OUTCOME_UNKNOWN":
            return "unknown"
        return "not by this call" if self.reason in _OF_THIS_CALL else "nothing"

    def __str__(self) -> str:
        return f"{self.reason or self.code} after {self.ended_at - self.began_at:.2f}s"


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedAttachment:
    """An attachment that a caller wants; `request_id` is "" without one."""

    post: PostRef
    content: Content
    rpc: str
    request_id: str


Made: TypeAlias = (
    "grpc.aio.StreamUnaryCall[UploadFileAttachmentRequest, UploadFileAttachmentResponse]"
    " | grpc.aio.UnaryUnaryCall[CreateAttachmentRequest, CreateAttachmentResponse]"
)

Midway = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """Do nothing between the first half of a file and the second."""


async def call(
    stub: "AttachmentServiceAsyncStub",
    wanted: WantedAttachment,
    *,
    deadline_s: float,
    cancel_after_s: float | None = None,
    cancel_when: asyncio.Event | None = None,
    midway: Midway = nothing,
) -> Ended:
    """Make a call, and cancel it if asked; await `midway` between the two halves of a file."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    made = _made(stub, wanted, deadline_s, midway)
    cancelling = asyncio.create_task(_cancel(made, cancel_after_s, cancel_when))
    try:
        ended: dict[str, Any] = {"code": "OK", "attachment_id": (await made).attachment.id}
    except grpc.aio.AioRpcError as error:
        ended = _ended_by(error)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        ended = {"code": "CANCELLED"}
    finally:
        cancelling.cancel()
        made.cancel()
    return Ended(began_at=began, ended_at=loop.time(), **ended)


async def _cancel(made: grpc.aio.Call, after_s: float | None, when: asyncio.Event | None) -> None:
    if when is None and after_s is None:
        return
    if when is not None:
        await when.wait()
    await asyncio.sleep(after_s or 0)
    made.cancel()


def _made(
    stub: "AttachmentServiceAsyncStub", wanted: WantedAttachment, deadline_s: float, midway: Midway
) -> Made:
    options: dict[str, Any] = {"timeout": deadline_s, "metadata": BEARER}
    if wanted.rpc == "upload":
        return stub.UploadFileAttachment(_upload(wanted, midway), **options)
    request = CreateAttachmentRequest(
        post=wanted.post, attachment=wanted.content.whole(), request_id=wanted.request_id
    )
    return stub.CreateAttachment(request, **options)


async def _upload(
    wanted: WantedAttachment, midway: Midway
) -> AsyncIterator[UploadFileAttachmentRequest]:
    data = wanted.content.data
    yield UploadFileAttachmentRequest(
        header=UploadHeader(
            post=wanted.post,
            attachment=wanted.content.described(),
            size_bytes=len(data),
            request_id=wanted.request_id,
        )
    )
    half = len(data) // 2
    for chunk in _chunks(data[:half]):
        yield chunk
    await midway()
    for chunk in _chunks(data[half:]):
        yield chunk


def _chunks(data: bytes) -> Iterator[UploadFileAttachmentRequest]:
    for start in range(0, len(data), CHUNK_BYTES):
        yield UploadFileAttachmentRequest(chunk=data[start : start + CHUNK_BYTES])


def _ended_by(error: grpc.aio.AioRpcError) -> dict[str, Any]:
    ended: dict[str, Any] = {"code": error.code().name, "message": error.details() or ""}
    for detail in _details(error):
        info, retry = ErrorInfo(), RetryInfo()
        if detail.Unpack(info) and info.domain == DOMAIN:
            ended["reason"] = info.reason
        elif detail.Unpack(retry):
            ended["retry_delay_s"] = retry.retry_delay.ToNanoseconds() / 1e9
    return ended


def _details(error: grpc.aio.AioRpcError) -> Iterable[Any]:
    try:
        status = rpc_status.from_call(cast("grpc.Call", error))
    except ValueError:  # the deadline passed as the gateway responded; gRPC's code counts
        return ()
    return () if status is None else cast("Iterable[Any]", status.details)
