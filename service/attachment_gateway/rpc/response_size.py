"""The attachment of a response, reduced to a size that a caller can receive."""

from graphattachments.v1.attachment_pb2 import Attachment

# gRPC clients accept messages of 4 MiB by default; 1 KiB is left for the rest of the message.
MAX_ATTACHMENT_BYTES = 4 * 1024 * 1024 - 1024


def fit_response(attachment: Attachment) -> Attachment:
    """Return as much of the attachment as fits: all, all but its item, its id, or nothing."""
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
