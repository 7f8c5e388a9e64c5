"""Tests of translation/create.py: a CreateAttachmentRequest becomes a REST request."""

import json

import pytest

from attachment_gateway.errors import AttachmentTooLarge, InvalidRequest
from attachment_gateway.translation.create import graph_request_of
from graphattachments.v1.attachment_pb2 import (
    Attachment,
    FileAttachment,
    ItemAttachment,
    PostRef,
    ReferenceAttachment,
)
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from graphattachments.v1.event_pb2 import Event
from tests.support.graph_requests import sender

POST = PostRef(group_id="g", thread_id="t", post_id="p")
SENDER = sender(max_request_bytes=2000)


def body(attachment: Attachment) -> object:
    request = CreateAttachmentRequest(post=POST, attachment=attachment)
    return json.loads(b"".join(graph_request_of(request, SENDER).body))


@pytest.mark.parametrize(
    ("file", "content"), [(FileAttachment(content_bytes=b"abc"), "YWJj"), (FileAttachment(), "")]
)
def test_a_file_has_its_bytes_in_base64(file: FileAttachment, content: str) -> None:
    """A file has its bytes in base64, and a file without bytes is empty."""
    assert body(Attachment(name="n", file_attachment=file)) == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "n",
        "contentBytes": content,
    }


def test_an_item_names_its_type() -> None:
    """An item without properties is sent with its type."""
    item = ItemAttachment(event=Event())
    assert body(Attachment(name="n", is_inline=False, item_attachment=item)) == {
        "@odata.type": "#microsoft.graph.itemAttachment",
        "name": "n",
        "isInline": False,
        "item": {"@odata.type": "#microsoft.graph.event"},
    }


def test_a_file_too_large_is_refused_with_the_largest_size() -> None:
    """A file over the cap is refused with the largest size that fits."""
    request = CreateAttachmentRequest(
        post=POST,
        attachment=Attachment(name="n", file_attachment=FileAttachment(content_bytes=bytes(2000))),
    )
    with pytest.raises(AttachmentTooLarge) as caught:
        graph_request_of(request, SENDER)
    assert caught.value.size_bytes == 2000
    most = caught.value.max_size_bytes
    assert most is not None
    request.attachment.file_attachment.content_bytes = bytes(most)
    assert 2000 - 4 < graph_request_of(request, SENDER).size_bytes <= 2000


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (CreateAttachmentRequest(), "post"),
        (CreateAttachmentRequest(post=POST), "attachment.name"),
        (CreateAttachmentRequest(post=PostRef(), attachment=Attachment(name="n")), "post.group_id"),
        (CreateAttachmentRequest(post=POST, attachment=Attachment(name="n")), "attachment.kind"),
        (
            CreateAttachmentRequest(
                post=POST,
                attachment=Attachment(name="n", item_attachment=ItemAttachment()),
            ),
            "attachment.item_attachment.item",
        ),
        (
            CreateAttachmentRequest(
                post=POST,
                attachment=Attachment(name="n", reference_attachment=ReferenceAttachment()),
            ),
            "attachment.reference_attachment",
        ),
        (
            CreateAttachmentRequest(post=POST, attachment=Attachment(name="n"), request_id="x"),
            "request_id",
        ),
    ],
)
def test_a_wrong_field_is_named(request_: CreateAttachmentRequest, field: str) -> None:
    """A missing or malformed field, and a kind that can't be created, are named."""
    with pytest.raises(InvalidRequest) as caught:
        graph_request_of(request_, SENDER)
    assert caught.value.violations[0].field == field
