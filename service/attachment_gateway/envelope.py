"""Attachment -> REST request: head and body, bytes and their exact count.

Graph's limit is on "the total size of each REST request", so all of it counts: the request line,
the headers with the actual token, the body with its base64. What is counted here is what `graph`
sends, to the byte; nothing is added on the way.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import orjson

from attachment_gateway import graph_json
from attachment_gateway.base64_stream import QUANTUM_BYTES, QUANTUM_CHARS, encoded_size
from attachment_gateway.errors import AttachmentTooLarge
from graphattachments.v1.attachment_pb2 import Attachment, PostRef

# The kinds that can be created, members of Attachment.kind.
FILE = "file_attachment"
ITEM = "item_attachment"

USER_AGENT = b"attachment-gateway"

_REQUEST_LINE = b"POST %s HTTP/1.1\r\n"
_HEADER = b"%s: %s\r\n"
_END_OF_HEAD = b"\r\n"

# A file's bytes go last, so that they can be written between what stands before and after them.
_CONTENT = b',"contentBytes":"'
_AFTER_CONTENT = b'"}'


@dataclass(frozen=True, slots=True)
class GraphRoot:
    """Graph's root, such as https://graph.microsoft.com/v1.0: scheme, host[:port], path."""

    scheme: str
    host: str
    path: str

    @classmethod
    def parse(cls, url: str) -> "GraphRoot":
        """Split a URL; a slash at its end makes no difference."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.netloc, parts.path.rstrip("/"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """For whom a request is made, and to where; `max_request_bytes` is Graph's limit."""

    root: GraphRoot
    token: str = field(repr=False)
    client_request_id: str
    max_request_bytes: int


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head, but for its Content-Length; `path` is below Graph's root."""

    sender: Sender
    path: str
    post: PostRef = field(default_factory=PostRef)

    @property
    def target(self) -> bytes:
        """The path as it stands in the request line."""
        return (self.sender.root.path + self.path).encode()

    def headers(self, content_length: int) -> tuple[tuple[bytes, bytes], ...]:
        """Return the headers, in the order in which they are sent."""
        return (
            (b"Host", self.sender.root.host.encode()),
            (b"Authorization", b"Bearer " + self.sender.token.encode()),
            (b"Content-Type", b"application/json"),
            (b"Content-Length", b"%d" % content_length),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", USER_AGENT),
            (b"client-request-id", self.sender.client_request_id.encode()),
        )

    def size_bytes(self, content_length: int) -> int:
        """Return the head's size on the wire."""
        headers = sum(len(_HEADER % header) for header in self.headers(content_length))
        return len(_REQUEST_LINE % self.target) + headers + len(_END_OF_HEAD)

    def largest_body(self) -> int:
        """Return the largest body that fits beside this head, negative if none does.

        The length of the body stands in the head, so the head grows with its digits.
        """
        room = self.sender.max_request_bytes - (self.size_bytes(0) - len("0"))
        digits = range(1, len(str(room)) + 1)
        return max(min(room - count, int("9" * count)) for count in digits)


def reading_headers(sender: Sender) -> tuple[tuple[bytes, bytes], ...]:
    """Return the headers of a request that reads, in the order in which they are sent."""
    return (
        (b"Host", sender.root.host.encode()),
        (b"Authorization", b"Bearer " + sender.token.encode()),
        (b"Accept", b"application/json"),
        (b"Accept-Encoding", b"identity"),
        (b"User-Agent", USER_AGENT),
        (b"client-request-id", sender.client_request_id.encode()),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One REST request, ready to be sent: `body` in pieces, sent in order.

    `kind` is the member of Attachment.kind that it creates; `file_bytes` a file's raw size, None
    for an item; `request_id` the id by which its caller may repeat it, in lower case, or "";
    `sha256` of a file's bytes where it was computed on their way, or empty.
    """

    head: Head
    body: tuple[bytes, ...]
    kind: str
    file_bytes: int | None = None
    request_id: str = ""
    sha256: bytes = b""

    @property
    def body_bytes(self) -> int:
        """The Content-Length."""
        return sum(map(len, self.body))

    @property
    def size_bytes(self) -> int:
        """The whole request's size on the wire."""
        return self.head.size_bytes(self.body_bytes) + self.body_bytes


class FileEnvelope:
    """A file attachment's request while its content is still to come.

    `max_size_bytes` is the largest file that fits; with none at all (the name, the ids and the
    token fill the request) making one raises AttachmentTooLarge.
    """

    def __init__(self, head: Head, attachment: Attachment) -> None:
        self._head = head
        described = graph_json.attachment_to_json(attachment, kind=FILE)
        self._before = orjson.dumps(described).removesuffix(b"}") + _CONTENT
        room = head.largest_body() - len(self._before) - len(_AFTER_CONTENT)
        if room < 0:
            raise AttachmentTooLarge(size_bytes=0)
        self.max_size_bytes = room // QUANTUM_CHARS * QUANTUM_BYTES

    def check(self, size_bytes: int) -> None:
        """Raise AttachmentTooLarge if a file of so many bytes doesn't fit."""
        if size_bytes > self.max_size_bytes:
            raise AttachmentTooLarge(size_bytes=size_bytes, max_size_bytes=self.max_size_bytes)

    def size_bytes(self, file_bytes: int) -> int:
        """Return the size that the request has with a file of so many bytes."""
        body = len(self._before) + encoded_size(file_bytes) + len(_AFTER_CONTENT)
        return self._head.size_bytes(body) + body

    def seal(
        self,
        content: Iterable[bytes],
        *,
        file_bytes: int,
        request_id: str = "",
        sha256: bytes = b"",
    ) -> Envelope:
        """Return the request with the content, base64 in segments, of so many bytes of file.

        The two bytes after the content stay a piece of their own: before they are handed to the
        socket Graph has no JSON to act on, so a failure until then is surely no attachment.
        """
        body = (self._before, *content, _AFTER_CONTENT)
        return Envelope(
            head=self._head,
            body=body,
            kind=FILE,
            file_bytes=file_bytes,
            request_id=request_id,
            sha256=sha256,
        )


def item_envelope(head: Head, attachment: Attachment, *, request_id: str = "") -> Envelope:
    """Return the request that attaches an item; raises AttachmentTooLarge if it doesn't fit."""
    body = orjson.dumps(graph_json.attachment_to_json(attachment, kind=ITEM))
    envelope = Envelope(head=head, body=(body[:-1], body[-1:]), kind=ITEM, request_id=request_id)
    if envelope.size_bytes > head.sender.max_request_bytes:
        raise AttachmentTooLarge(
            size_bytes=envelope.size_bytes,
            max_size_bytes=head.sender.max_request_bytes,
            of="the request with the item",
        )
    return envelope
