"""What honest callers and attacks send: tokens, posts, files, items, as messages and as bytes."""

import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from functools import cache
from itertools import count

from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
    UploadHeader,
)
from graphattachments.v1.message_pb2 import Message
from graphattachments.v1.outlook_pb2 import BodyType, ItemBody

UPLOAD = "/graphattachments.v1.AttachmentService/UploadFileAttachment"
CREATE = "/graphattachments.v1.AttachmentService/CreateAttachment"
HEALTH = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"

KB, MB, MIB = 1000, 1_000_000, 1024 * 1024

LARGE_BYTES = 3 * MB
SMALL_BYTES = 10 * KB
CHUNK_BYTES = 256 * 1024

# The end of a JWT without a signature.
UNSIGNED_END = "."

HONEST_APP = "5d1c3c5e-8a54-4f0a-9c57-2a1f0c8a7b11"
OTHER_APP = "0b7e2a64-1c1e-4a27-8a46-6d1f5e2c9b30"

_posts = count()


def token(app_id: str, *, signed: bool = True, number: int = 0) -> str:
    """Return a token as long as Entra's that names an app, with a signature or without."""
    parts = (
        json.dumps({"typ": "JWT", "alg": "RS256" if signed else "none"}).encode(),
        json.dumps({"appid": app_id, "jti": number, "xms": "0" * 800}).encode(),
        bytes(256) if signed else b"",
    )
    return ".".join(urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def bearer(its_token: str) -> tuple[tuple[str, str], ...]:
    """Return the metadata that has a token."""
    return (("authorization", f"Bearer {its_token}"),)


HONEST = bearer(token(HONEST_APP))
OTHER = bearer(token(OTHER_APP))


def honest_post(caller: int, behaviour: str = "plain") -> PostRef:
    """Return the post of an honest caller, who has it and its group alone."""
    return PostRef(
        group_id=f"4c6f5a2e-9d3b-4e71-8a5c-2f1b0e7d9a{caller:02x}",
        thread_id="AAQkAD=",
        post_id=f"{behaviour}-honest{caller:02x}=",
    )


def post(behaviour: str = "plain") -> PostRef:
    """Return a new post in a group of its own, to which Graph's stand-in behaves in this way."""
    number = next(_posts)
    group_id = f"a0a0a0a0-0000-4000-8000-{number:012x}"
    return PostRef(group_id=group_id, thread_id="AAQkAD=", post_id=f"{behaviour}-{number:08x}=")


def header(to: PostRef, size_bytes: int | None = None) -> UploadFileAttachmentRequest:
    """Return the first message of an upload."""
    about = UploadHeader(post=to, attachment=Attachment(name="report.pdf"), size_bytes=size_bytes)
    return UploadFileAttachmentRequest(header=about)


def chunk(content: bytes) -> bytes:
    """Return a message with a chunk, as bytes."""
    return UploadFileAttachmentRequest(chunk=content).SerializeToString()


@cache
def chunks(size_bytes: int) -> tuple[UploadFileAttachmentRequest, ...]:
    """Return the chunks of a file."""
    file = os.urandom(size_bytes)
    starts = range(0, size_bytes, CHUNK_BYTES)
    return tuple(UploadFileAttachmentRequest(chunk=file[at : at + CHUNK_BYTES]) for at in starts)


def upload(to: PostRef, size_bytes: int) -> Iterator[UploadFileAttachmentRequest]:
    """Yield the messages of an upload."""
    yield header(to, size_bytes)
    yield from chunks(size_bytes)


def item(to: PostRef, size_bytes: int) -> CreateAttachmentRequest:
    """Return the message that creates an item with a text of that size."""
    body = ItemBody(content_type=BodyType.BODY_TYPE_TEXT, content="x" * size_bytes)
    made = ItemAttachment(message=Message(subject="Minutes", body=body))
    return create(to, made)


def create(to: PostRef, made: ItemAttachment) -> CreateAttachmentRequest:
    """Return the message that creates this item."""
    return CreateAttachmentRequest(post=to, attachment=Attachment(name="a", item_attachment=made))
