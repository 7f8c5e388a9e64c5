"""CreateAttachmentRequest -> REST request: an attachment that comes whole, a file or an item."""

from attachment_gateway import validation
from attachment_gateway.base64_stream import Base64Stream
from attachment_gateway.envelope import (
    FILE,
    ITEM,
    Envelope,
    FileEnvelope,
    Head,
    Sender,
    item_envelope,
)
from attachment_gateway.errors import InvalidRequest
from attachment_gateway.routes import attachments_path
from graphattachments.v1.attachment_pb2 import Attachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest


def envelope_of(request: CreateAttachmentRequest, sender: Sender) -> Envelope:
    """Return the REST request that a request asks for; raises CallerError."""
    post = validation.parent(request)
    attachment = validation.named_attachment(request)
    request_id = validation.request_id(request.request_id)
    head = Head(sender, attachments_path(post, within="post"), post)
    match attachment.WhichOneof("kind"):
        case "file_attachment":
            return _file(head, attachment, request_id)
        case "item_attachment":
            return item_envelope(head, attachment, request_id=request_id)
        case None:
            raise InvalidRequest("attachment.kind", f"missing; set {FILE}, or {ITEM} with an item")
        case kind:
            raise InvalidRequest(
                f"attachment.{kind}", "can be read but not created; attach a file or an item"
            )


def _file(head: Head, attachment: Attachment, request_id: str) -> Envelope:
    envelope = FileEnvelope(head, attachment)
    content = attachment.file_attachment.content_bytes
    envelope.check(len(content))
    encoded = Base64Stream()
    encoded.feed(content)
    return envelope.seal(encoded.finish(), file_bytes=len(content), request_id=request_id)
