"""Tests of delivery/fingerprint.py: which requests are the same."""

from typing import Any

import pytest

from attachment_gateway.delivery.fingerprint import fingerprint, post_key
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.translation.create import graph_request_of
from attachment_gateway.translation.upload import UploadAssembly
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
    UploadHeader,
)
from graphattachments.v1.event_pb2 import Event
from tests.support.graph_requests import sender

POST = PostRef(group_id="G-1", thread_id="t", post_id="Pq=")


def uploaded(*chunks: bytes, post: PostRef = POST, name: str = "n") -> GraphRequest:
    assembly = UploadAssembly(sender())
    header = UploadHeader(post=post, attachment=Attachment(name=name))
    assembly.feed(UploadFileAttachmentRequest(header=header))
    for chunk in chunks:
        assembly.feed(UploadFileAttachmentRequest(chunk=chunk))
    return assembly.finish()


def created(attachment: Attachment, post: PostRef = POST, token: str = "t") -> GraphRequest:
    return graph_request_of(
        CreateAttachmentRequest(post=post, attachment=attachment),
        sender(token=token, support_id=token),
    )


def file(content: bytes) -> Attachment:
    return Attachment(name="n", file_attachment=FileAttachment(content_bytes=content))


def item(**extra: Any) -> Attachment:
    event = Event(subject="s")
    event.additional_properties.update(extra)
    return Attachment(name="n", item_attachment=ItemAttachment(event=event))


def test_a_fingerprint_is_the_same_in_every_version() -> None:
    """A ledger keeps fingerprints across versions: one that changes needs another VERSION."""
    attachment = Attachment(
        name="n",
        content_type="text/plain",
        is_inline=True,
        file_attachment=FileAttachment(content_id="c", content_bytes=b"hello"),
    )
    assert fingerprint(created(attachment)).hex() == (
        "7453698b1277ce365afe185db5137680fe5e5a09f545172e65ae5dfd3095171f"
    )


def test_rpc_route_chunks_token_and_case_change_no_fingerprint() -> None:
    """The RPC, the route, the chunks, the token and the group's case don't change a fingerprint."""
    long = PostRef(group_id="g-1", conversation_id="c", thread_id="t", post_id="Pq=")
    prints = {
        fingerprint(graph_request)
        for graph_request in (
            uploaded(b"hello"),
            uploaded(b"he", b"", b"llo"),
            uploaded(b"hello", post=long),
            created(file(b"hello")),
            created(file(b"hello"), long, token="u"),
        )
    }
    assert len(prints) == 1


def test_every_part_of_a_request_changes_the_fingerprint() -> None:
    """Another content, name, group, post or property gives another fingerprint."""
    prints = {
        fingerprint(graph_request)
        for graph_request in (
            uploaded(b"hello"),
            uploaded(b"hellO"),
            uploaded(b""),
            uploaded(b"hello", name="m"),
            uploaded(b"hello", post=PostRef(group_id="G-2", thread_id="t", post_id="Pq=")),
            uploaded(b"hello", post=PostRef(group_id="G-1", thread_id="t", post_id="PQ=")),
            created(item()),
            created(item(x=1)),
            created(item(x=2)),
        )
    }
    assert len(prints) == 9


def test_the_order_of_properties_changes_no_fingerprint() -> None:
    """The order of an item's additional properties doesn't change the fingerprint."""
    forth, back = item(a=1, b={"c": 1, "d": 2}), item(b={"d": 2, "c": 1}, a=1)
    assert fingerprint(created(forth)) == fingerprint(created(back))


@pytest.mark.parametrize(
    ("group", "post", "key"), [("G-1", "Pq=", "g-1/Pq%3D"), ("a/b", "c", "a%2Fb/c")]
)
def test_a_posts_key_ignores_the_case_of_the_group_only(group: str, post: str, key: str) -> None:
    """A post's key ignores the case of the group's GUID and keeps the case of Outlook's id."""
    assert post_key(PostRef(group_id=group, post_id=post)) == key
