"""Attachment -> REST request: head and body, bytes and their exact count.

Graph limits "the total size of each REST request": the request line, the headers with the actual
token, and the body with its base64. The size computed here is exactly what is sent; nothing is
added later.
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

# A file's bytes are the last property, so that only these two fixed texts stand around them.
_CONTENT = b',"contentBytes":"'
_AFTER_CONTENT = b'"}'


# Dataclasses that every call makes aren't frozen: frozen ones take more than twice as long to make.
@dataclass(slots=True)
class SupportIds:
    """The ids by which Microsoft's support finds a request; Graph's own is "" until it is known.

    `recognised_by`: how an attachment that was looked up was recognised, "" if none was.
    """

    client_request_id: str
    graph_request_id: str = ""
    recognised_by: str = ""

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
    """The caller's token and ids, and the Graph to send to; `max_request_bytes` is its limit."""

    root: GraphRoot
    token: str = field(repr=False)
    ids: SupportIds
    max_request_bytes: int


class RequestHead:
    """The head of a POST, prepared except for its Content-Length, which alone can change.

    `path` is below Graph's root; `post` is the post that it belongs to.
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
        """Return the head's bytes."""
        return b"%b%d%b" % (self._before_length, content_length, self._after_length)

    def size_bytes(self, content_length: int) -> int:
        """Return the head's size on the wire."""
        return self._fixed_bytes + len(str(content_length))

    def largest_body(self) -> int:
        """Return the largest body that fits beside this head, negative if none does.

        The head holds the body's length, and so grows with its digits: as many as the space for
        body and digits has, or one fewer if the largest body is one digit shorter than that space.
        """
        space = self.sender.max_request_bytes - self._fixed_bytes
        digits = len(str(space))
        body = space - digits
        return body + 1 if len(str(body + 1)) < digits else body


@dataclass(slots=True, kw_only=True)
class GraphRequest:
    """One complete REST request; the pieces of `body` have `body_bytes` in total.

    `kind` is the member of Attachment.kind that it creates; `file_bytes` is a file's raw size, None
    for an item; `request_id` is the caller's request id in lower case, or ""; `sha256` is the hash
    of a file's bytes if it was computed while they came, or empty.
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
        """Return the request's bytes, head and body, in pieces."""
        return (self.head.written(self.body_bytes), *self.body)


class FileRequest:
    """The request of a file attachment before its content has come.

    `max_size_bytes` is the largest file that fits. The constructor raises InvalidRequest if there
    are violations, and AttachmentTooLarge if not even an empty file fits beside the name, the ids
    and the token.
    """

    def __init__(self, head: RequestHead, attachment: Attachment, violations: Violations) -> None:
        self.head = head
        described = codec.attachment_to_json(attachment, violations, kind=FILE)
        violations.check()
        self._before = orjson.dumps(described).removesuffix(b"}") + _CONTENT
        space = head.largest_body() - len(self._before) - len(_AFTER_CONTENT)
        if space < 0:
            raise AttachmentTooLarge(size_bytes=0)
        self.max_size_bytes = space // QUANTUM_CHARS * QUANTUM_BYTES

    def check(self, size_bytes: int) -> None:
        """Raise AttachmentTooLarge if a file of `size_bytes` doesn't fit."""
        if size_bytes > self.max_size_bytes:
            raise AttachmentTooLarge(size_bytes=size_bytes, max_size_bytes=self.max_size_bytes)

    def size_bytes(self, file_bytes: int) -> int:
        """Return the size of the whole request with a file of `file_bytes`."""
        body = len(self._before) + encoded_size(file_bytes) + len(_AFTER_CONTENT)
        return self.head.size_bytes(body) + body

    def seal(
        self,
        content: Iterable[bytes],
        *,
        file_bytes: int,
        request_id: str = "",
        sha256: bytes = b"",
    ) -> GraphRequest:
        """Return the request with its content: the base64 segments of a file of `file_bytes`.

        The two bytes after the content stay a piece of their own: until they are offered, Graph has
        no complete JSON, so a failure before that has certainly created nothing.
        """
        body = (self._before, *content, _AFTER_CONTENT)
        return GraphRequest(
            head=self.head,
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

    Raises InvalidRequest if there are violations, AttachmentTooLarge if the item doesn't fit.
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
