"""The attachment of an answer, as small as a caller can take."""

from graphattachments.v1.attachment_pb2 import Attachment

# gRPC clients take messages of 4 MiB by default; an attachment comes in one with a few bytes more.
MAX_ATTACHMENT_BYTES = 4 * 1024 * 1024 - 1024


def fit_response(attachment: Attachment) -> Attachment:
    """Return the attachment without its item, or with its id alone, if it is too large."""
    if _fits(attachment):
        return attachment
    if attachment.WhichOneof("kind") == "item_attachment":
        attachment.item_attachment.ClearField("item")
        if _fits(attachment):
            return attachment
    named = Attachment(id=attachment.id)
    return named if _fits(named) else Attachment()


def _fits(attachment: Attachment) -> bool:
    return attachment.ByteSize() <= MAX_ATTACHMENT_BYTES
