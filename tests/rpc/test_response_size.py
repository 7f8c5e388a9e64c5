"""Tests of rpc/response_size.py: a response stays below a caller's default limit."""

from attachment_gateway.rpc.response_size import CREATED_BYTES, fit_response
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentResponse
from graphattachments.v1.message_pb2 import Message

LIMIT = 4 * 1024 * 1024


def test_an_attachment_that_fits_is_returned_whole() -> None:
    """An attachment that fits is returned whole."""
    item = ItemAttachment(message=Message(subject="s" * (LIMIT - 2048)))
    attachment = Attachment(id="A=", item_attachment=item)
    assert (
        fit_response(Attachment.FromString(attachment.SerializeToString()), CREATED_BYTES)
        == attachment
    )


def test_an_item_too_large_is_left_out() -> None:
    """Of an attachment that is too large the item is left out first, and its kind stays."""
    item = ItemAttachment(message=Message(subject="s" * LIMIT))
    answered = fit_response(Attachment(id="A=", name="n", item_attachment=item), CREATED_BYTES)
    assert answered == Attachment(id="A=", name="n", item_attachment=ItemAttachment())


def test_a_name_too_large_leaves_the_id() -> None:
    """If the attachment is too large without its item, only the id is returned."""
    answered = fit_response(
        Attachment(id="A=", name="n" * LIMIT, file_attachment=FileAttachment()), CREATED_BYTES
    )
    assert answered == Attachment(id="A=")
    assert CreateAttachmentResponse(attachment=answered).ByteSize() < LIMIT


def test_a_file_too_large_becomes_no_item() -> None:
    """A file attachment that is too large is returned with its id, and not as an item."""
    file = FileAttachment(content_id="c" * LIMIT)
    assert fit_response(Attachment(id="A=", file_attachment=file), CREATED_BYTES) == Attachment(
        id="A="
    )


def test_an_id_too_large_is_left_out() -> None:
    """An id that is too large is left out, so that a response can always be sent."""
    assert fit_response(Attachment(id="A" * LIMIT), CREATED_BYTES) == Attachment()
