"""Tests of translation/upload.py: a stream of requests becomes one REST request."""

import base64
import hashlib
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.errors import (
    AttachmentTooLarge,
    CallerError,
    ChecksumMismatch,
    InvalidRequest,
    SizeMismatch,
    StreamProtocol,
)
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.translation.upload import UploadAssembly
from graphattachments.v1.attachment_pb2 import (
    Attachment,
    FileAttachment,
    ItemAttachment,
    PostRef,
    ReferenceAttachment,
)
from graphattachments.v1.attachment_service_pb2 import (
    UploadFileAttachmentRequest,
    UploadFooter,
    UploadHeader,
)
from tests.support.graph_requests import sender

POST = PostRef(group_id="g", thread_id="t", post_id="p")
NAMED = Attachment(name="n")


def assemble(requests: Iterable[UploadFileAttachmentRequest], cap: int = 4194304) -> GraphRequest:
    assembly = UploadAssembly(sender(max_request_bytes=cap))
    for request in requests:
        assembly.feed(request)
    return assembly.finish()


def header(**fields: Any) -> UploadFileAttachmentRequest:
    return UploadFileAttachmentRequest(
        header=UploadHeader(**{"post": POST, "attachment": NAMED, **fields})
    )


def chunk(content: bytes) -> UploadFileAttachmentRequest:
    return UploadFileAttachmentRequest(chunk=content)


def footer(**fields: Any) -> UploadFileAttachmentRequest:
    return UploadFileAttachmentRequest(footer=UploadFooter(**fields))


def content(graph_request: GraphRequest) -> bytes:
    return base64.b64decode(json.loads(b"".join(graph_request.body))["contentBytes"], validate=True)


SHA256 = hashlib.sha256(b"hello, world").digest()


@pytest.mark.parametrize(
    "requests",
    [
        [header(), chunk(b"hello, world")],
        [header(), chunk(b"hello,"), chunk(b""), chunk(b" world")],
        [header(size_bytes=12), chunk(b"hello, world")],
        [header(size_bytes=12, sha256=SHA256), chunk(b"hello, world")],
        [header(), chunk(b"hello, world"), footer()],
        [header(), chunk(b"hello, world"), footer(size_bytes=12, sha256=SHA256)],
        [header(sha256=SHA256), chunk(b"hello, world"), footer(size_bytes=12, sha256=SHA256)],
        [header(request_id="0B7E8A52-2F10-4c3e-9d57-01a2b3c4d5e6"), chunk(b"hello, world")],
        [
            header(attachment=Attachment(name="n", file_attachment=FileAttachment())),
            chunk(b"hello, world"),
        ],
    ],
)
def test_an_upload_becomes_one_request(requests: list[UploadFileAttachmentRequest]) -> None:
    """A header, chunks of any size and an optional footer make one request with the whole file."""
    graph_request = assemble(requests)
    assert content(graph_request) == b"hello, world"
    assert graph_request.file_bytes == 12
    assert graph_request.head.path == "/groups/g/threads/t/posts/p/attachments"


@pytest.mark.parametrize("requests", [[header()], [header(size_bytes=0), chunk(b""), footer()]])
def test_an_empty_file_is_uploaded(requests: list[UploadFileAttachmentRequest]) -> None:
    """A file without bytes is uploaded."""
    assert content(assemble(requests)) == b""


@given(st.binary(max_size=300), st.data())
def test_chunk_boundaries_change_nothing(whole: bytes, data: st.DataObject) -> None:
    """The REST body doesn't depend on how the file is cut into chunks."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    pieces = [whole[a:b] for a, b in zip([0, *cuts], [*cuts, len(whole)], strict=True)]
    in_one = assemble([header(), chunk(whole)])
    cut = assemble([header(), *map(chunk, pieces)])
    assert b"".join(cut.body) == b"".join(in_one.body)
    assert cut.size_bytes == in_one.size_bytes


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        ([], "half-closed before the header"),
        ([UploadFileAttachmentRequest()], "a message with no part"),
        ([chunk(b"x")], "a chunk before the header"),
        ([footer()], "a footer before the header"),
        ([header(), header()], "a second header"),
        ([header(), UploadFileAttachmentRequest()], "a message with no part"),
        ([header(), footer(), chunk(b"")], "a chunk after the footer"),
        ([header(), footer(), footer()], "a footer after the footer"),
        ([header(), footer(), header()], "a header after the footer"),
        (
            [
                header(
                    attachment=Attachment(
                        name="n", file_attachment=FileAttachment(content_bytes=b"")
                    )
                )
            ],
            "content in the header",
        ),
    ],
)
def test_a_wrong_order_of_messages_is_refused(
    requests: list[UploadFileAttachmentRequest], words: str
) -> None:
    """Messages in an order that makes no upload are refused with the rule."""
    with pytest.raises(StreamProtocol, match=words):
        assemble(requests)


@pytest.mark.parametrize(
    ("requests", "field"),
    [
        ([UploadFileAttachmentRequest(header=UploadHeader(attachment=NAMED))], "header.post"),
        ([header(post=PostRef(group_id="g", thread_id="t"))], "header.post.post_id"),
        ([UploadFileAttachmentRequest(header=UploadHeader(post=POST))], "header.attachment.name"),
        ([header(attachment=Attachment(name=""))], "header.attachment.name"),
        (
            [header(attachment=Attachment(name="n", item_attachment=ItemAttachment()))],
            "header.attachment.item_attachment",
        ),
        (
            [header(attachment=Attachment(name="n", reference_attachment=ReferenceAttachment()))],
            "header.attachment.reference_attachment",
        ),
        ([header(size_bytes=-1)], "header.size_bytes"),
        ([header(sha256=b"x" * 31)], "header.sha256"),
        ([header(request_id="1234")], "header.request_id"),
        ([header(request_id="{0B7E8A52-2F10-4c3e-9d57-01a2b3c4d5e6}")], "header.request_id"),
        ([header(), footer(size_bytes=-1)], "footer.size_bytes"),
        ([header(), footer(sha256=b"x" * 33)], "footer.sha256"),
    ],
)
def test_a_wrong_field_is_named(requests: list[UploadFileAttachmentRequest], field: str) -> None:
    """A missing or malformed field is named."""
    with pytest.raises(InvalidRequest) as caught:
        assemble(requests)
    assert caught.value.violations[0].field == field


@pytest.mark.parametrize(
    ("requests", "declared", "came"),
    [
        ([header(size_bytes=3), chunk(b"ab")], "3 bytes", "2 received"),
        ([header(size_bytes=3), chunk(b"abcd")], "3 bytes", "4 received"),
        ([header(size_bytes=0), chunk(b"a")], "0 bytes", "1 received"),
        ([header(), chunk(b"ab"), footer(size_bytes=3)], "3 bytes", "2 received"),
        ([header(size_bytes=2), chunk(b"ab"), footer(size_bytes=3)], "3 bytes", "2 received"),
    ],
)
def test_a_size_mismatch_names_both_sizes(
    requests: list[UploadFileAttachmentRequest], declared: str, came: str
) -> None:
    """A file of another size than declared is refused with both sizes."""
    with pytest.raises(SizeMismatch, match=f"{declared} were declared, {came}"):
        assemble(requests)


def test_a_chunk_beyond_the_declared_size_is_refused_at_once() -> None:
    """A chunk beyond the declared size is refused when it comes, and not at the end."""
    assembly = UploadAssembly(sender())
    assembly.feed(header(size_bytes=3))
    assembly.feed(chunk(b"abc"))
    with pytest.raises(SizeMismatch):
        assembly.feed(chunk(b"d"))


@pytest.mark.parametrize(
    "requests",
    [
        [header(sha256=b"x" * 32), chunk(b"hello, world")],
        [header(), chunk(b"hello, world"), footer(sha256=b"x" * 32)],
        [header(sha256=SHA256), chunk(b"hello, world"), footer(sha256=b"x" * 32)],
        [header(sha256=b"x" * 32), chunk(b"hello, world"), footer(sha256=SHA256)],
    ],
)
def test_a_checksum_mismatch_names_both_hashes(requests: list[UploadFileAttachmentRequest]) -> None:
    """A file with another hash than declared is refused with both hashes."""
    with pytest.raises(ChecksumMismatch) as caught:
        assemble(requests)
    assert (b"x" * 32).hex() in str(caught.value)
    assert SHA256.hex() in str(caught.value)


def largest(cap: int) -> int:
    with pytest.raises(AttachmentTooLarge) as caught:
        assemble([header(size_bytes=10**9)], cap)
    assert caught.value.max_size_bytes is not None
    return caught.value.max_size_bytes


def test_a_declared_size_too_large_is_refused_on_the_header() -> None:
    """A declared size that can't fit is refused on the header, before any chunk."""
    most = largest(2000)
    with pytest.raises(AttachmentTooLarge) as caught:
        assemble([header(size_bytes=most + 1)], 2000)
    assert (caught.value.size_bytes, caught.value.max_size_bytes) == (most + 1, most)
    assert assemble([header(size_bytes=most), chunk(bytes(most))], 2000).size_bytes <= 2000


def test_an_undeclared_size_too_large_is_refused_on_its_chunk() -> None:
    """Without a declared size a file is refused on the chunk that makes it too large."""
    most = largest(2000)
    assemble([header(), chunk(bytes(most))], 2000)
    with pytest.raises(AttachmentTooLarge) as caught:
        assemble([header(), chunk(bytes(most)), chunk(b"x")], 2000)
    assert (caught.value.size_bytes, caught.value.max_size_bytes) == (most + 1, most)


REQUESTS = st.one_of(
    st.just(UploadFileAttachmentRequest()),
    st.builds(header, size_bytes=st.integers(-2, 9) | st.none(), sha256=st.binary(max_size=40)),
    st.builds(chunk, st.binary(max_size=5)),
    st.builds(footer, size_bytes=st.integers(-2, 9) | st.none(), sha256=st.binary(max_size=40)),
)


@given(st.lists(REQUESTS, max_size=6))
def test_any_stream_is_an_upload_or_the_callers_error(
    requests: list[UploadFileAttachmentRequest],
) -> None:
    """Any stream ends as an upload of exactly its chunks, or as a CallerError."""
    try:
        graph_request = assemble(requests)
    except CallerError:
        return
    assert requests[0].HasField("header")
    assert content(graph_request) == b"".join(request.chunk for request in requests)
