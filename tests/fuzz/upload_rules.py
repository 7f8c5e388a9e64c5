"""The contract's rules for the messages of an upload, written down a second time.

It says which faults a stream has, in any order; the gateway must name one of them, or accept a
stream that has none.
"""

import hashlib
import json
import re
import string
import unicodedata
from collections.abc import Iterator, Sequence

from google.protobuf.message import DecodeError

from attachment_gateway.errors import Reason
from graphattachments.v1.attachment_pb2 import PostRef
from graphattachments.v1.attachment_service_pb2 import (
    UploadFileAttachmentRequest,
    UploadFooter,
    UploadHeader,
)
from tests.fuzz.expected_json import faults_of, file_json

_UUID = re.compile("[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def parsed(messages: Sequence[bytes]) -> list[UploadFileAttachmentRequest | None]:
    """Return the messages as protobuf reads them; None for bytes that are no message."""
    return [_parsed(each) for each in messages]


def _parsed(message: bytes) -> UploadFileAttachmentRequest | None:
    try:
        return UploadFileAttachmentRequest.FromString(message)
    except DecodeError:
        return None


def faults_of_stream(
    messages: Sequence[UploadFileAttachmentRequest | None], *, head_bytes: int, cap_bytes: int
) -> set[Reason]:
    """Return the reasons for which the gateway may refuse these messages; none: it may not.

    `head_bytes`: the head of the REST request without its path and the digits of its length.
    """
    return set(_faults(messages, head_bytes, cap_bytes))


def _faults(
    messages: Sequence[UploadFileAttachmentRequest | None], head_bytes: int, cap_bytes: int
) -> Iterator[Reason]:
    if None in messages:
        yield Reason.INVALID_REQUEST
    known = [each for each in messages if each is not None]
    yield from _faults_of_order([each.WhichOneof("part") for each in known])
    headers = [each.header for each in known if each.HasField("header")]
    content = b"".join(each.chunk for each in known)
    for header in headers:
        yield from _faults_of_declared(header, content)
    for at, each in enumerate(known):
        if each.HasField("footer"):
            yield from _faults_of_declared(each.footer, b"".join(one.chunk for one in known[:at]))
    for header in headers:
        yield from _faults_of_header(header)
        largest = max(header.size_bytes, len(content))
        is_valid = not faults_of(header.attachment)
        if is_valid and request_bytes(header, largest) > cap_bytes - head_bytes:
            yield Reason.ATTACHMENT_TOO_LARGE


def _faults_of_order(parts: Sequence[str | None]) -> Iterator[Reason]:
    is_right = (
        bool(parts)
        and parts[0] == "header"
        and parts.count("header") == 1
        and None not in parts
        and "footer" not in parts[:-1]
    )
    if not is_right:
        yield Reason.STREAM_PROTOCOL


def _faults_of_declared(declared: UploadHeader | UploadFooter, content: bytes) -> Iterator[Reason]:
    if declared.HasField("size_bytes") and declared.size_bytes != len(content):
        yield Reason.SIZE_MISMATCH
    if declared.HasField("size_bytes") and declared.size_bytes < 0:
        yield Reason.INVALID_REQUEST
    if declared.sha256 and len(declared.sha256) != 32:
        yield Reason.INVALID_REQUEST
    if declared.sha256 and declared.sha256 != hashlib.sha256(content).digest():
        yield Reason.CHECKSUM_MISMATCH


def _faults_of_header(header: UploadHeader) -> Iterator[Reason]:
    kind = header.attachment.WhichOneof("kind")
    if (
        faults_of_post(header.post)
        or not header.attachment.name
        or not is_request_id(header.request_id)
        or kind not in (None, "file_attachment")
        or faults_of(header.attachment)
    ):
        yield Reason.INVALID_REQUEST
    if header.attachment.file_attachment.HasField("content_bytes"):
        yield Reason.STREAM_PROTOCOL


def faults_of_post(post: PostRef) -> bool:
    """Return whether an id of a post is faulty; the conversation's may be empty."""
    required = (post.group_id, post.thread_id, post.post_id)
    return not all(required) or any(map(_is_bad_id, (*required, post.conversation_id)))


def _is_bad_id(value: str) -> bool:
    is_control = any(unicodedata.category(char) == "Cc" for char in value)
    return value in (".", "..") or len(value) > 1024 or is_control


def is_request_id(value: str) -> bool:
    """Return whether a request id is empty or a UUID."""
    return not value or _UUID.fullmatch(value) is not None


def request_bytes(header: UploadHeader, file_bytes: int) -> int:
    """Return the bytes of a request of this file, without the fixed part of the head."""
    described = {**file_json(header.attachment), "contentBytes": ""}
    body = len(json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode())
    body += -(-file_bytes // 3) * 4
    return len(path_of(header.post)) + len(str(body)) + body


def path_of(post: PostRef) -> str:
    """Return the path of a post's attachments."""
    conversation = f"/conversations/{_quoted(post.conversation_id)}" if post.conversation_id else ""
    thread, last = _quoted(post.thread_id), _quoted(post.post_id)
    return (
        f"/groups/{_quoted(post.group_id)}{conversation}/threads/{thread}/posts/{last}/attachments"
    )


_UNRESERVED = f"{string.ascii_letters}{string.digits}-._~".encode()


def _quoted(value: str) -> str:
    """Percent-encode all but RFC 3986's unreserved characters."""
    return "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in value.encode())
