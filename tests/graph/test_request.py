"""request: attachment -> REST request, and its exact size."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.errors import AttachmentTooLarge, Violations
from attachment_gateway.graph.base64_encoder import Base64Stream
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import (
    FileRequest,
    GraphRequest,
    RequestHead,
    Sender,
    SupportIds,
    item_request,
)
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment
from graphattachments.v1.message_pb2 import Message

PATH = "/groups/g/threads/t/posts/p/attachments"
ID = "11111111-2222-3333-4444-555555555555"


def head(cap: int = 4194304, *, path: str = PATH, token: str = "tok") -> RequestHead:
    root = GraphRoot.parse("https://graph.example:8443/v1.0")
    sender = Sender(root=root, token=token, ids=SupportIds(ID), max_request_bytes=cap)
    return RequestHead(sender, path)


def wire(graph_request: GraphRequest) -> bytes:
    """The request as it is sent."""
    return b"".join(graph_request.pieces())


def sealed(file: FileRequest, content: bytes) -> GraphRequest:
    stream = Base64Stream()
    stream.feed(content)
    return file.seal(stream.finish(), file_bytes=len(content))


def test_the_head() -> None:
    """The head is this, to the byte; the token is the caller's."""
    assert wire(GraphRequest(head=head(), body=(b"{}",), kind="file_attachment")) == (
        b"POST /v1.0/groups/g/threads/t/posts/p/attachments HTTP/1.1\r\n"
        b"Host: graph.example:8443\r\n"
        b"Authorization: Bearer tok\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 2\r\n"
        b"Accept: application/json\r\n"
        b"Accept-Encoding: identity\r\n"
        b"User-Agent: attachment-gateway\r\n"
        b"client-request-id: 11111111-2222-3333-4444-555555555555\r\n"
        b"\r\n"
        b"{}"
    )


def test_a_head_keeps_its_token_to_itself() -> None:
    """What prints a head, such as a traceback, doesn't print the token."""
    assert "secret" not in repr(head(token="secret"))


def test_the_body_of_the_page() -> None:
    """A name and bytes give exactly the body that Graph's page shows."""
    file = FileRequest(head(), Attachment(name="name-value"), Violations())
    assert b"".join(sealed(file, b"abcd").body) == (
        b'{"@odata.type":"#microsoft.graph.fileAttachment","name":"name-value",'
        b'"contentBytes":"YWJjZA=="}'
    )


def test_all_that_a_file_can_have() -> None:
    """What is set is sent, the rest isn't, and what Graph sets is neither."""
    attachment = Attachment(
        id="x",
        name='a"\\\n/é\U0001f600',
        content_type="image/png",
        size=5,
        is_inline=True,
        file_attachment=FileAttachment(content_id="logo", content_location="y"),
    )
    body = json.loads(b"".join(sealed(FileRequest(head(), attachment, Violations()), b"").body))
    assert body == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": 'a"\\\n/é\U0001f600',
        "contentType": "image/png",
        "isInline": True,
        "contentId": "logo",
        "contentBytes": "",
    }


@given(
    content=st.binary(max_size=2000),
    name=st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
)
def test_size_is_foretold(content: bytes, name: str) -> None:
    """The size that is foretold is the size on the wire, and the body decodes to the file."""
    file = FileRequest(head(), Attachment(name=name), Violations())
    graph_request = sealed(file, content)
    assert len(wire(graph_request)) == graph_request.size_bytes == file.size_bytes(len(content))
    body = json.loads(b"".join(graph_request.body))
    assert base64.b64decode(body["contentBytes"], validate=True) == content
    assert body["name"] == name


@given(cap=st.integers(400, 12_000), name=st.text("ab", min_size=1, max_size=8))
def test_the_largest_that_fits(cap: int, name: str) -> None:
    """The largest file fits, and one quantum more doesn't, whatever the digits of the length."""
    try:
        file = FileRequest(head(cap), Attachment(name=name), Violations())
    except AttachmentTooLarge:
        largest = -1
    else:
        largest = file.max_size_bytes
        assert largest % 3 == 0
        assert len(wire(sealed(file, bytes(largest)))) <= cap
    roomy = FileRequest(head(), Attachment(name=name), Violations())
    assert len(wire(sealed(roomy, bytes(largest + 1)))) > cap


@pytest.mark.parametrize("room", [*range(1, 30), *range(95, 120), *range(995, 1020), 9999, 10004])
def test_the_largest_body(room: int) -> None:
    """The largest body is right at every change of its length's digits; tried one by one."""
    fixed = head().size_bytes(0) - 1
    fitting = [body for body in range(room + 1) if body + len(str(body)) <= room]
    assert head(fixed + room).largest_body() == max(fitting)


def test_no_room_at_all() -> None:
    """Where not even an empty file fits, the error says so and names no size."""
    with pytest.raises(AttachmentTooLarge, match="not even an empty file") as caught:
        FileRequest(head(500), Attachment(name="n" * 400), Violations())
    assert caught.value.max_size_bytes is None


def test_too_large_a_size() -> None:
    """A size that can't fit is refused with the largest that would."""
    file = FileRequest(head(1000), Attachment(name="n"), Violations())
    file.check(file.max_size_bytes)
    with pytest.raises(AttachmentTooLarge) as caught:
        file.check(file.max_size_bytes + 1)
    assert caught.value.size_bytes == file.max_size_bytes + 1
    assert caught.value.max_size_bytes == file.max_size_bytes


def test_an_item_counts_whole() -> None:
    """An item fits up to the cap on the whole request, and not a byte over."""
    attachment = Attachment(
        name="n", item_attachment=ItemAttachment(message=Message(subject="s" * 100))
    )
    size = item_request(head(), attachment, Violations()).size_bytes
    assert len(wire(item_request(head(size), attachment, Violations()))) == size
    with pytest.raises(AttachmentTooLarge, match="the request with the item") as caught:
        item_request(head(size - 1), attachment, Violations())
    assert (caught.value.size_bytes, caught.value.max_size_bytes) == (size, size - 1)


def test_the_end_of_the_body_is_a_piece_of_its_own() -> None:
    """Until the last piece is sent there is no JSON: that is what makes a failure certain."""
    file = sealed(FileRequest(head(), Attachment(name="n"), Violations()), b"abc")
    item = item_request(
        head(),
        Attachment(name="n", item_attachment=ItemAttachment(message=Message())),
        Violations(),
    )
    for graph_request in (file, item):
        assert graph_request.pieces()[1:] == graph_request.body
        with pytest.raises(json.JSONDecodeError):
            json.loads(b"".join(graph_request.body[:-1]))
