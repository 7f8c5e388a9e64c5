"""Attachment -> REST request: head and body, bytes and their exact count.

Graph's limit is on "the total size of each REST request", so all of it counts: the request line,
the headers with the actual token, the body with its base64. What is counted here is what `graph`
sends, to the byte; nothing is added on the way.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import orjson

from attachment_gateway.errors import AttachmentTooLarge, Violations
from attachment_gateway.graph import codec
from attachment_gateway.graph.base64_encoder import QUANTUM_BYTES, QUANTUM_CHARS, encoded_size
from attachment_gateway.graph.paths import GraphRoot
from graphattachments.v1.attachment_pb2 import Attachment, PostRef

# The kinds that can be created, members of Attachment.kind.
FILE = "file_attachment"
ITEM = "item_attachment"

USER_AGENT = "attachment-gateway"

# A file's bytes go last, so that they can be written between what stands before and after them.
_CONTENT = b',"contentBytes":"'
_AFTER_CONTENT = b'"}'


# What is made for every call isn't frozen, here and elsewhere: that takes longer than making it.
@dataclass(slots=True)
class SupportIds:
    """The ids by which Microsoft's support finds a request; Graph's own is "" until it is known."""

    client_request_id: str
    graph_request_id: str = ""

    def known(self) -> dict[str, str]:
        """Return the ids that are known, by their names."""
        if self.graph_request_id:
            return {
                "graph_request_id": self.graph_request_id,
                "client_request_id": self.client_request_id,
            }
        return {"client_request_id": self.client_request_id}


@dataclass(slots=True, kw_only=True)
class Sender:
    """For whom a request is made, and to where; `max_request_bytes` is Graph's limit."""

    root: GraphRoot
    token: str = field(repr=False)
    ids: SupportIds
    max_request_bytes: int


class RequestHead:
    """A POST's head, written once but for its Content-Length, since only that changes.

    `path` is below Graph's root; `post` is where it leads.
    """

    __slots__ = ("_after_length", "_before_length", "_fixed_bytes", "path", "post", "sender")

    def __init__(self, sender: Sender, path: str, post: PostRef | None = None) -> None:
        self.sender = sender
        self.path = path
        self.post = PostRef() if post is None else post
        self._before_length = (
            f"POST {sender.root.path}{path} HTTP/1.1\r\n"
            f"Host: {sender.root.origin.authority}\r\n"
            f"Authorization: Bearer {sender.token}\r\n"
            "Content-Type: application/json\r\n"
            "Content-Length: "
        ).encode()
        self._after_length = (
            "\r\n"
            "Accept: application/json\r\n"
            "Accept-Encoding: identity\r\n"
            f"User-Agent: {USER_AGENT}\r\n"
            f"client-request-id: {sender.ids.client_request_id}\r\n"
            "\r\n"
        ).encode()
        self._fixed_bytes = len(self._before_length) + len(self._after_length)

    def written(self, content_length: int) -> bytes:
        """Return the head as it is sent."""
        return b"%b%d%b" % (self._before_length, content_length, self._after_length)

    def size_bytes(self, content_length: int) -> int:
        """Return the head's size on the wire."""
        return self._fixed_bytes + len(str(content_length))

    def largest_body(self) -> int:
        """Return the largest body that fits beside this head, negative if none does.

        The length of the body stands in the head, so the head grows with its digits: by as many as
        the whole room's number has, or at the edge by one less.
        """
        reservation = self.sender.max_request_bytes - self._fixed_bytes
        digits = len(str(reservation))
        body = reservation - digits
        return body + 1 if len(str(body + 1)) < digits else body


@dataclass(slots=True, kw_only=True)
class GraphRequest:
    """One REST request, ready to be sent: `body` in pieces, sent in order, of `body_bytes` in all.

    `kind` is the member of Attachment.kind that it creates; `file_bytes` a file's raw size, None
    for an item; `request_id` the id by which its caller may repeat it, in lower case, or "";
    `sha256` of a file's bytes where it was computed on their way, or empty.
    """

    head: RequestHead
    body: tuple[bytes, ...]
    kind: str
    file_bytes: int | None = None
    request_id: str = ""
    sha256: bytes = b""
    body_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.body_bytes = sum(map(len, self.body))

    @property
    def size_bytes(self) -> int:
        """The whole request's size on the wire."""
        return self.head.size_bytes(self.body_bytes) + self.body_bytes

    def pieces(self) -> tuple[bytes, ...]:
        """Return the request, to the byte."""
        return (self.head.written(self.body_bytes), *self.body)


class FileRequest:
    """A file attachment's request while its content is still to come.

    `max_size_bytes` is the largest file that fits; with none at all (the name, the ids and the
    token fill the request) making one raises AttachmentTooLarge, and InvalidRequest if there are
    violations by then.
    """

    def __init__(self, head: RequestHead, attachment: Attachment, violations: Violations) -> None:
        self._head = head
        described = codec.attachment_to_json(attachment, violations, kind=FILE)
        violations.check()
        self._before = orjson.dumps(described).removesuffix(b"}") + _CONTENT
        reservation = head.largest_body() - len(self._before) - len(_AFTER_CONTENT)
        if reservation < 0:
            raise AttachmentTooLarge(size_bytes=0)
        self.max_size_bytes = reservation // QUANTUM_CHARS * QUANTUM_BYTES

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
    ) -> GraphRequest:
        """Return the request with the content, base64 in segments, of so many bytes of file.

        The two bytes after the content stay a piece of their own: before they are handed to the
        socket Graph has no JSON to act on, so a failure until then is surely no attachment.
        """
        body = (self._before, *content, _AFTER_CONTENT)
        return GraphRequest(
            head=self._head,
            body=body,
            kind=FILE,
            file_bytes=file_bytes,
            request_id=request_id,
            sha256=sha256,
        )


def item_request(
    head: RequestHead, attachment: Attachment, violations: Violations, *, request_id: str = ""
) -> GraphRequest:
    """Return the request that attaches an item.

    Raises InvalidRequest if there are violations by then, AttachmentTooLarge if it doesn't fit.
    """
    described = codec.attachment_to_json(attachment, violations, kind=ITEM)
    violations.check()
    body = orjson.dumps(described)
    graph_request = GraphRequest(
        head=head, body=(body[:-1], body[-1:]), kind=ITEM, request_id=request_id
    )
    if graph_request.size_bytes > head.sender.max_request_bytes:
        raise AttachmentTooLarge(
            size_bytes=graph_request.size_bytes,
            max_size_bytes=head.sender.max_request_bytes,
            of="the request with the item",
        )
    return graph_request
