"""A gRPC caller on asyncio's own event loop: it streams a header and chunks, and half-closes."""

from collections.abc import Sequence
from functools import cache, partial
from typing import TYPE_CHECKING
from uuid import uuid4

import grpc.aio

from benchmarks.jobs import Job, Upload, work
from benchmarks.traffic import CONTENT_TYPE, NAME, TOKEN, Post, content, posts
from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
    UploadHeader,
)
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from graphattachments.v1.message_pb2 import Message
from graphattachments.v1.outlook_pb2 import BodyType, ItemBody

if TYPE_CHECKING:
    from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceAsyncStub

_METADATA = (("authorization", f"Bearer {TOKEN}"),)
_POSTS = posts()

Messages = list[UploadFileAttachmentRequest]


def prepared(job: Job) -> Sequence[Upload]:
    """Return a job's uploads; they share the chunks, since their bytes are the same."""
    stub = _stub(job.target)
    if job.is_item:
        return [partial(_create, stub, _item(next(_POSTS), job), job) for _ in range(job.uploads)]
    chunks = _chunks(job.size_bytes, job.chunk_bytes)
    headers = [_header(next(_POSTS), job) for _ in range(job.uploads)]
    return [partial(_upload, stub, [header, *chunks], job.timeout_s) for header in headers]


async def _upload(stub: "AttachmentServiceAsyncStub", messages: Messages, timeout_s: float) -> None:
    try:
        await stub.UploadFileAttachment(iter(messages), metadata=_METADATA, timeout=timeout_s)
    except grpc.aio.AioRpcError as error:
        raise RuntimeError(f"{error.code().name}: {error.details()}") from None


async def _create(
    stub: "AttachmentServiceAsyncStub", request: CreateAttachmentRequest, job: Job
) -> None:
    try:
        await stub.CreateAttachment(request, metadata=_METADATA, timeout=job.timeout_s)
    except grpc.aio.AioRpcError as error:
        raise RuntimeError(f"{error.code().name}: {error.details()}") from None


def _item(post: Post, job: Job) -> CreateAttachmentRequest:
    body = ItemBody(content_type=BodyType.BODY_TYPE_TEXT, content="x" * job.size_bytes)
    item = ItemAttachment(message=Message(subject="Minutes", body=body))
    return CreateAttachmentRequest(
        post=_reference(post),
        attachment=Attachment(name=NAME, item_attachment=item),
        request_id=_request_id(job),
    )


def _reference(post: Post) -> PostRef:
    return PostRef(group_id=post.group_id, thread_id=post.thread_id, post_id=post.post_id)


def _request_id(job: Job) -> str:
    return str(uuid4()) if job.with_request_id else ""


def _header(post: Post, job: Job) -> UploadFileAttachmentRequest:
    return UploadFileAttachmentRequest(
        header=UploadHeader(
            post=_reference(post),
            attachment=Attachment(name=NAME, content_type=CONTENT_TYPE),
            size_bytes=job.size_bytes,
            request_id=_request_id(job),
        )
    )


@cache
def _chunks(size_bytes: int, chunk_bytes: int) -> Messages:
    file = content(size_bytes)
    starts = range(0, size_bytes, chunk_bytes)
    return [UploadFileAttachmentRequest(chunk=file[at : at + chunk_bytes]) for at in starts]


@cache
def _stub(address: str) -> "AttachmentServiceAsyncStub":
    return AttachmentServiceStub(grpc.aio.insecure_channel(address))


if __name__ == "__main__":
    work(prepared)
