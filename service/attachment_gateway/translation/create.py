"""CreateAttachmentRequest -> REST request: an attachment that comes whole, a file or an item."""

from attachment_gateway.translation import validation
from attachment_gateway.graph.base64_encoder import Base64Stream
from attachment_gateway.graph.request import (
    FILE,
    ITEM,
    GraphRequest,
    FileRequest,
    Head,
    Sender,
    item_request,
)
from attachment_gateway.errors import InvalidRequest
from attachment_gateway.graph.paths import attachments_path
from graphattachments.v1.attachment_pb2 import Attachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest


def graph_request_of(request: CreateAttachmentRequest, sender: Sender) -> GraphRequest:
    """Return the REST request that a request asks for; raises CallerError."""
    post = validation.parent(request)
    attachment = validation.named_attachment(request)
    request_id = validation.request_id(request.request_id)
    head = Head(sender, attachments_path(post, within="post"), post)
    match attachment.WhichOneof("kind"):
        case "file_attachment":
            return _file(head, attachment, request_id)
        case "item_attachment":
            return item_request(head, attachment, request_id=request_id)
        case None:
            raise InvalidRequest("attachment.kind", f"missing; set {FILE}, or {ITEM} with an item")
        case kind:
            raise InvalidRequest(
                f"attachment.{kind}", "can be read but not created; attach a file or an item"
            )


def _file(head: Head, attachment: Attachment, request_id: str) -> GraphRequest:
    graph_request = FileRequest(head, attachment)
    content = attachment.file_attachment.content_bytes
    graph_request.check(len(content))
    encoded = Base64Stream()
    encoded.feed(content)
    return graph_request.seal(encoded.finish(), file_bytes=len(content), request_id=request_id)
