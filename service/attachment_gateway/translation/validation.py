"""Checks of a request's fields, before anything is done with the request.

Every check adds the field that is wrong to `violations`; the field's path begins with `within`.
"""

import re

from attachment_gateway.errors import Violations
from attachment_gateway.graph.paths import attachments_path
from graphattachments.v1.attachment_pb2 import Attachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest, UploadHeader

SHA256_BYTES = 32

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


def parents_path(
    request: UploadHeader | CreateAttachmentRequest, violations: Violations, *, within: str = ""
) -> str:
    """Check the post that the request names, and return the path of its attachments."""
    if request.WhichOneof("parent") is None:
        violations.add(f"{within}post", "missing; name the post to attach to")
        return ""
    return attachments_path(request.post, violations, within=f"{within}post")


def named_attachment(
    request: UploadHeader | CreateAttachmentRequest, violations: Violations, *, within: str = ""
) -> Attachment:
    """Check that the request's attachment has a name, and return the attachment."""
    if not request.attachment.name:
        violations.add(f"{within}attachment.name", "empty; give the attachment a name")
    return request.attachment


def request_id(value: str, violations: Violations, *, within: str = "") -> str:
    """Check an optional request id, and return it in lower case."""
    if value and not _UUID.fullmatch(value):
        violations.add(f"{within}request_id", "no UUID; write it as 8-4-4-4-12 hexadecimal digits")
    return value.lower()


def declared_size(size_bytes: int, violations: Violations, *, within: str) -> None:
    """Check a declared size."""
    if size_bytes < 0:
        violations.add(
            f"{within}.size_bytes", f"{size_bytes:,} is negative; give the file's length in bytes"
        )


def declared_sha256(sha256: bytes, violations: Violations, *, within: str) -> None:
    """Check an optional declared hash."""
    if sha256 and len(sha256) != SHA256_BYTES:
        violations.add(
            f"{within}.sha256",
            f"{len(sha256):,} bytes; a SHA-256 has {SHA256_BYTES}, raw and not in hexadecimal",
        )
