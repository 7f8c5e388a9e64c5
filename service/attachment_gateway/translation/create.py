"""CreateAttachmentRequest -> REST request: a file or an item in one message."""

from attachment_gateway.errors import Violations
from attachment_gateway.graph.base64_encoder import Base64Stream
from attachment_gateway.graph.request import (
    FILE,
    ITEM,
    FileRequest,
    GraphRequest,
    RequestHead,
    Sender,
    item_request,
)
from attachment_gateway.translation import validation
from graphattachments.v1.attachment_pb2 import Attachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest


def graph_request_of(request: CreateAttachmentRequest, sender: Sender) -> GraphRequest:
    """Return the REST request for a CreateAttachmentRequest. Raises CallerError."""
    violations = Violations()
    path = validation.parents_path(request, violations)
    attachment = validation.named_attachment(request, violations)
    request_id = validation.request_id(request.request_id, violations)
    head = RequestHead(sender, path, request.post)
    match attachment.WhichOneof("kind"):
        case "file_attachment":
            return _file(head, attachment, violations, request_id)
        case "item_attachment":
            return item_request(head, attachment, violations, request_id=request_id)
        case None:
            violations.add("attachment.kind", f"missing; set {FILE}, or {ITEM} with an item")
        case kind:
            violations.add(
                f"attachment.{kind}", "can be read but not created; attach a file or an item"
            )
    raise violations.error()


def _file(
    head: RequestHead, attachment: Attachment, violations: Violations, request_id: str
) -> GraphRequest:
    file_request = FileRequest(head, attachment, violations)
    content = attachment.file_attachment.content_bytes
    file_request.check(len(content))
    encoded = Base64Stream()
    encoded.feed(content)
    return file_request.seal(encoded.finish(), file_bytes=len(content), request_id=request_id)
