"""Tests of graph/request.py: an attachment becomes a REST request of a known size."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.errors import AttachmentTooLarge, Violations
from attachment_gateway.graph.base64_encoder import Base64Stream
from attachment_gateway.graph.request import (
    FileRequest,
    GraphRequest,
    RequestHead,
    item_request,
)
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment
from graphattachments.v1.message_pb2 import Message
from tests.support.graph_requests import sender

PATH = "/groups/g/threads/t/posts/p/attachments"
ID = "11111111-2222-3333-4444-555555555555"


def head(cap: int = 4194304, *, path: str = PATH, token: str = "tok") -> RequestHead:
    root = "https://graph.example:8443/v1.0"
    return RequestHead(sender(root, token=token, support_id=ID, max_request_bytes=cap), path)


def wire(graph_request: GraphRequest) -> bytes:
    """Return the request as it is sent."""
    return b"".join(graph_request.pieces())


def sealed(file: FileRequest, content: bytes) -> GraphRequest:
    stream = Base64Stream()
    stream.feed(content)
    return file.seal(stream.finish(), file_bytes=len(content))


def test_the_head_is_this_with_the_callers_token() -> None:
    """The head is this to the byte, with the caller's token."""
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


def test_the_repr_of_a_head_has_no_token() -> None:
    """The repr of a head, as a traceback may print it, doesn't have the token."""
    assert "secret" not in repr(head(token="secret"))


def test_a_name_and_bytes_make_the_body_of_graphs_page() -> None:
    """A name and bytes make exactly the body that Graph's page shows."""
    file = FileRequest(head(), Attachment(name="name-value"), Violations())
    assert b"".join(sealed(file, b"abcd").body) == (
        b'{"@odata.type":"#microsoft.graph.fileAttachment","name":"name-value",'
        b'"contentBytes":"YWJjZA=="}'
    )


def test_all_that_a_caller_sets_of_a_file_is_sent() -> None:
    """All properties that a caller can set are sent, and those that Graph sets are not."""
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
def test_the_size_is_known_before_the_body(content: bytes, name: str) -> None:
    """`size_bytes` is the size on the wire, and the body decodes to the file."""
    file = FileRequest(head(), Attachment(name=name), Violations())
    graph_request = sealed(file, content)
    assert len(wire(graph_request)) == graph_request.size_bytes == file.size_bytes(len(content))
    body = json.loads(b"".join(graph_request.body))
    assert base64.b64decode(body["contentBytes"], validate=True) == content
    assert body["name"] == name


@given(cap=st.integers(400, 12_000), name=st.text("ab", min_size=1, max_size=8))
def test_the_largest_file_fits_and_one_byte_more_does_not(cap: int, name: str) -> None:
    """The largest file fits into the cap, and a file of one byte more doesn't."""
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
def test_the_largest_body_is_right_at_every_length(room: int) -> None:
    """The largest body is the largest that fits, at every number of digits of its length."""
    fixed = head().size_bytes(0) - 1
    fitting = [body for body in range(room + 1) if body + len(str(body)) <= room]
    assert head(fixed + room).largest_body() == max(fitting)


def test_no_room_for_an_empty_file_is_an_error() -> None:
    """If not even an empty file fits, the error says so and has no largest size."""
    with pytest.raises(AttachmentTooLarge, match="not even an empty file") as caught:
        FileRequest(head(500), Attachment(name="n" * 400), Violations())
    assert caught.value.max_size_bytes is None


def test_a_size_too_large_is_refused_with_the_largest() -> None:
    """A size that can't fit is refused with the largest that does."""
    file = FileRequest(head(1000), Attachment(name="n"), Violations())
    file.check(file.max_size_bytes)
    with pytest.raises(AttachmentTooLarge) as caught:
        file.check(file.max_size_bytes + 1)
    assert caught.value.size_bytes == file.max_size_bytes + 1
    assert caught.value.max_size_bytes == file.max_size_bytes


def test_an_item_fits_up_to_the_cap() -> None:
    """An item fits if its whole request is at most the cap, and is refused at one byte more."""
    attachment = Attachment(
        name="n", item_attachment=ItemAttachment(message=Message(subject="s" * 100))
    )
    size = item_request(head(), attachment, Violations()).size_bytes
    assert len(wire(item_request(head(size), attachment, Violations()))) == size
    with pytest.raises(AttachmentTooLarge, match="the request with the item") as caught:
        item_request(head(size - 1), attachment, Violations())
    assert (caught.value.size_bytes, caught.value.max_size_bytes) == (size, size - 1)


def test_the_body_without_its_last_piece_is_no_json() -> None:
    """Without its last piece a body is no JSON, so an attempt that wasn't offered has no effect."""
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
