"""answer: the attachment of an answer, as small as a caller can take."""

from attachment_gateway.rpc.response_size import fit_response
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentResponse
from graphattachments.v1.message_pb2 import Message

LIMIT = 4 * 1024 * 1024


def test_what_fits_stays() -> None:
    """An attachment that fits is answered whole."""
    item = ItemAttachment(message=Message(subject="s" * (LIMIT - 2048)))
    attachment = Attachment(id="A=", item_attachment=item)
    assert fit_response(Attachment.FromString(attachment.SerializeToString())) == attachment


def test_an_item_too_large_is_left_out() -> None:
    """The item goes first; that it is an item stays."""
    item = ItemAttachment(message=Message(subject="s" * LIMIT))
    answered = fit_response(Attachment(id="A=", name="n", item_attachment=item))
    assert answered == Attachment(id="A=", name="n", item_attachment=ItemAttachment())


def test_a_name_too_large_leaves_the_id() -> None:
    """What is left at the last is the id, by which the rest can be had."""
    answered = fit_response(Attachment(id="A=", name="n" * LIMIT, file_attachment=FileAttachment()))
    assert answered == Attachment(id="A=")
    assert CreateAttachmentResponse(attachment=answered).ByteSize() < LIMIT


def test_a_file_stays_a_file() -> None:
    """What is too large of a file doesn't make an item of it."""
    file = FileAttachment(content_id="c" * LIMIT)
    assert fit_response(Attachment(id="A=", file_attachment=file)) == Attachment(id="A=")


def test_an_id_too_large_is_left_out() -> None:
    """An answer can always be sent: it was created, whatever Graph calls it."""
    assert fit_response(Attachment(id="A" * LIMIT)) == Attachment()
