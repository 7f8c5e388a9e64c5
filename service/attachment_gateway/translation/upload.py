"""Stream of messages -> one REST request. Pure functions and classes: no I/O.

feed() takes each message as it arrives, finish() the half-close. An error is raised at the first
message that shows it, so that the caller needn't send the rest.
"""

import hashlib
from typing import Any, NamedTuple

from attachment_gateway.errors import (
    ChecksumMismatch,
    SizeMismatch,
    StreamProtocol,
    Violations,
)
from attachment_gateway.graph.base64_encoder import Base64Stream, decoded
from attachment_gateway.graph.request import FILE, FileRequest, GraphRequest, RequestHead, Sender
from attachment_gateway.translation import validation
from graphattachments.v1.attachment_pb2 import Attachment
from graphattachments.v1.attachment_service_pb2 import (
    UploadFileAttachmentRequest,
    UploadFooter,
    UploadHeader,
)


class _Declared(NamedTuple):
    """The size and hash of the file that the header or the footer declares."""

    size_bytes: int | None
    sha256: bytes

    @classmethod
    def by(
        cls, message: UploadHeader | UploadFooter, violations: Violations, within: str
    ) -> "_Declared":
        validation.declared_sha256(message.sha256, violations, within=within)
        if not message.HasField("size_bytes"):
            return cls(None, message.sha256)
        validation.declared_size(message.size_bytes, violations, within=within)
        return cls(message.size_bytes, message.sha256)


class UploadAssembly:
    """Assembles the messages of one upload."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._content = Base64Stream()
        self._size_bytes = 0
        self._file_request: FileRequest | None = None
        self._request_id = ""
        self._declared: list[_Declared] = []
        self._footer: UploadFooter | None = None
        self._hash: hashlib._Hash | None = None

    def feed(self, request: UploadFileAttachmentRequest | memoryview) -> None:
        """Take the next message. Raises CallerError if it is invalid at this point of an upload.

        A message that holds only a chunk may be passed as the chunk itself, a memoryview.
        """
        part, held = _part_of(request)
        if self._footer is not None:
            raise StreamProtocol(f"a {part} after the footer; the footer is the last message")
        if part == "header":
            self._take_header(held)
        elif self._file_request is None:
            raise StreamProtocol(f"a {part} before the header; the header is the first message")
        elif part == "chunk":
            self._take_chunk(held, self._file_request)
        else:
            self._take_footer(held)

    @property
    def has_begun(self) -> bool:
        """Whether the header has come."""
        return self._file_request is not None

    @property
    def memory_bytes(self) -> int:
        """The most memory that the upload needs, by its header, in bytes; 0 before the header."""
        if self._file_request is None:
            return 0
        declared_bytes = self._declared[0].size_bytes
        largest_bytes = (
            self._file_request.max_size_bytes if declared_bytes is None else declared_bytes
        )
        return self._file_request.size_bytes(largest_bytes)

    @property
    def head(self) -> RequestHead:
        """The request's head, known from the header on."""
        if self._file_request is None:
            raise StreamProtocol("no header has come; the header is the first message")
        return self._file_request.head

    @property
    def request_id(self) -> str:
        """The caller's request id, "" if it gave none."""
        return self._request_id

    def is_whole(self) -> bool:
        """Return whether the footer has come, which is the last message by the contract."""
        return self._footer is not None

    def finish(self) -> GraphRequest:
        """Return the REST request. Raises CallerError if the file isn't the declared one."""
        if self._file_request is None:
            raise StreamProtocol("half-closed before the header; the header is the first message")
        for declared in self._declared:
            self._check_size(declared)
        content = self._content.finish()
        return self._file_request.seal(
            content,
            file_bytes=self._size_bytes,
            request_id=self._request_id,
            sha256=self._checked_sha256(content),
        )

    def _take_header(self, header: UploadHeader) -> None:
        if self._file_request is not None:
            raise StreamProtocol("a second header; an upload has one")
        violations = Violations()
        path = validation.parents_path(header, violations, within="header.")
        attachment = validation.named_attachment(header, violations, within="header.")
        _check_kind(attachment, violations)
        request_id = validation.request_id(header.request_id, violations, within="header.")
        declared = _Declared.by(header, violations, "header")
        file_request = FileRequest(
            RequestHead(self._sender, path, header.post), attachment, violations
        )
        if declared.size_bytes is not None:
            file_request.check(declared.size_bytes)
        self._declared.append(declared)
        self._file_request = file_request
        self._request_id = request_id
        if declared.sha256 or request_id:
            self._hash = hashlib.sha256()

    def _take_chunk(self, chunk: bytes | memoryview, file_request: FileRequest) -> None:
        self._size_bytes += len(chunk)
        for declared in self._declared:
            if declared.size_bytes is not None and self._size_bytes > declared.size_bytes:
                self._check_size(declared)
        file_request.check(self._size_bytes)
        self._content.feed(chunk)
        if self._hash is not None:
            self._hash.update(chunk)

    def _take_footer(self, footer: UploadFooter) -> None:
        violations = Violations()
        declared = _Declared.by(footer, violations, "footer")
        violations.check()
        self._check_size(declared)
        self._declared.append(declared)
        self._footer = footer

    def _check_size(self, declared: _Declared) -> None:
        if declared.size_bytes is not None and declared.size_bytes != self._size_bytes:
            raise SizeMismatch(declared_bytes=declared.size_bytes, size_bytes=self._size_bytes)

    def _checked_sha256(self, content: tuple[bytes, ...]) -> bytes:
        """Return the SHA-256, or b"" if it isn't needed. Raises ChecksumMismatch."""
        wanted = [declared.sha256 for declared in self._declared if declared.sha256]
        if self._hash is None and not wanted:
            return b""
        computed = self._hash or hashlib.sha256(b"".join(decoded(content)))
        for sha256 in wanted:
            if sha256 != computed.digest():
                raise ChecksumMismatch(declared=sha256, computed=computed.digest())
        return computed.digest()


def _part_of(request: UploadFileAttachmentRequest | memoryview) -> tuple[str, Any]:
    if isinstance(request, memoryview):
        return "chunk", request
    part = request.WhichOneof("part")
    if part is None:
        raise StreamProtocol("a message with no part; each carries a header, chunk or footer")
    return part, getattr(request, part)


def _check_kind(attachment: Attachment, violations: Violations) -> None:
    kind = attachment.WhichOneof("kind")
    if kind not in {None, FILE}:
        violations.add(
            f"header.attachment.{kind}", "an upload is a file; send an item with CreateAttachment"
        )
    if attachment.file_attachment.HasField("content_bytes"):
        raise StreamProtocol("content in the header; the chunks carry the file's bytes")
