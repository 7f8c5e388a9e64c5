"""fingerprint: which request it is."""

from typing import Any

import pytest

from attachment_gateway.delivery.fingerprint import fingerprint, post_key
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import GraphRequest, Sender, SupportIds
from attachment_gateway.translation.create import graph_request_of
from attachment_gateway.translation.upload import UploadAssembly
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
    UploadHeader,
)
from graphattachments.v1.event_pb2 import Event

POST = PostRef(group_id="G-1", thread_id="t", post_id="Pq=")


def sender(token: str = "t") -> Sender:
    root = GraphRoot.parse("https://graph.example/v1.0")
    return Sender(root=root, token=token, ids=SupportIds(token), max_request_bytes=4194304)


def uploaded(*chunks: bytes, post: PostRef = POST, name: str = "n") -> GraphRequest:
    assembly = UploadAssembly(sender())
    header = UploadHeader(post=post, attachment=Attachment(name=name))
    assembly.feed(UploadFileAttachmentRequest(header=header))
    for chunk in chunks:
        assembly.feed(UploadFileAttachmentRequest(chunk=chunk))
    return assembly.finish()


def created(attachment: Attachment, post: PostRef = POST, token: str = "t") -> GraphRequest:
    return graph_request_of(
        CreateAttachmentRequest(post=post, attachment=attachment), sender(token)
    )


def file(content: bytes) -> Attachment:
    return Attachment(name="n", file_attachment=FileAttachment(content_bytes=content))


def item(**extra: Any) -> Attachment:
    event = Event(subject="s")
    event.additional_properties.update(extra)
    return Attachment(name="n", item_attachment=ItemAttachment(event=event))


def test_it_lasts() -> None:
    """A ledger keeps it from one version to the next: VERSION changes with it."""
    attachment = Attachment(
        name="n",
        content_type="text/plain",
        is_inline=True,
        file_attachment=FileAttachment(content_id="c", content_bytes=b"hello"),
    )
    assert fingerprint(created(attachment)).hex() == (
        "7453698b1277ce365afe185db5137680fe5e5a09f545172e65ae5dfd3095171f"
    )


def test_the_same_request() -> None:
    """By either RPC and route, however it was cut, with any token, the group in any case."""
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


def test_another_request() -> None:
    """With any of its parts it is another."""
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


def test_a_map_has_no_order() -> None:
    """An open type's additional properties come in any."""
    forth, back = item(a=1, b={"c": 1, "d": 2}), item(b={"d": 2, "c": 1}, a=1)
    assert fingerprint(created(forth)) == fingerprint(created(back))


@pytest.mark.parametrize(
    ("group", "post", "key"), [("G-1", "Pq=", "g-1/Pq%3D"), ("a/b", "c", "a%2Fb/c")]
)
def test_a_posts_key(group: str, post: str, key: str) -> None:
    """A GUID has no case, Outlook's ids have; and no two posts have one key."""
    assert post_key(PostRef(group_id=group, post_id=post)) == key
