"""The attachment of a response, reduced to a size that a caller can receive."""

from graphattachments.v1.attachment_pb2 import Attachment

# gRPC clients accept messages of 4 MiB by default; 1 KiB is left for the rest of the message.
CREATED_BYTES = 4 * 1024 * 1024 - 1024

# A file's attributes take some hundred bytes. The caller of an upload may not read the response,
# which gRPC then keeps.
UPLOADED_BYTES = 64 * 1024


def fit_response(attachment: Attachment, max_bytes: int) -> Attachment:
    """Return as much of the attachment as fits: all, all but its item, its id, or nothing."""
    if attachment.ByteSize() <= max_bytes:
        return attachment
    if attachment.WhichOneof("kind") == "item_attachment":
        attachment.item_attachment.ClearField("item")
        if attachment.ByteSize() <= max_bytes:
            return attachment
    named = Attachment(id=attachment.id)
    return named if named.ByteSize() <= max_bytes else Attachment()
