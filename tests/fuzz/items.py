"""The target `creates`: messages of CreateAttachment, from their fields to the REST request."""

import base64
from random import Random
from typing import Any

from attachment_gateway.errors import CallerError, Reason
from attachment_gateway.graph import codec
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.translation.create import graph_request_of
from graphattachments.v1.attachment_pb2 import Attachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from tests.fuzz import messages
from tests.fuzz.expected_json import GRAPH, Fault, file_json, item_json
from tests.fuzz.refusals import refused
from tests.fuzz.requests import json_of, rules_of_request, sender
from tests.fuzz.target import ACCEPTED, Outcome, Target
from tests.fuzz.upload_rules import faults_of_post, is_request_id, path_of

# So small that some of the requests are too large.
CAP_BYTES = 4_000

NO_CAP_BYTES = 100_000_000


def check(request: CreateAttachmentRequest) -> Outcome:
    """Translate a request, and compare the result with the contract's rules."""
    expected = _expected(request)
    try:
        graph_request = graph_request_of(request, sender(CAP_BYTES))
    except CallerError as error:
        outcome = refused(error)
        is_allowed = expected is None or _is_too_large(request, error.reason)
        outcome.expect(f"refused without a fault: {error}", holds=is_allowed)
        return outcome
    outcome = Outcome(ACCEPTED)
    rules_of_request(graph_request, path_of(request.post), outcome)
    written = json_of(graph_request)
    outcome.expect("accepted with a fault", holds=expected is not None)
    outcome.expect("another JSON", holds=written == expected)
    outcome.expect("a smuggled @odata member", holds=not list(_odata(written)))
    _check_read_back(graph_request, outcome)
    return outcome


def _expected(request: CreateAttachmentRequest) -> dict[str, Any] | None:
    """Return the JSON that the contract asks for; None if the request has a fault."""
    attachment = request.attachment
    if faults_of_post(request.post) or not attachment.name or not is_request_id(request.request_id):
        return None
    try:
        match attachment.WhichOneof("kind"):
            case "file_attachment":
                content = base64.b64encode(attachment.file_attachment.content_bytes).decode()
                return {**file_json(attachment), "contentBytes": content}
            case "item_attachment":
                return item_json(attachment)
            case _:
                return None
    except Fault:
        return None


def _is_too_large(request: CreateAttachmentRequest, reason: Reason) -> bool:
    """Return whether a refusal is for the size of a request that is larger than the cap."""
    if reason is not Reason.ATTACHMENT_TOO_LARGE:
        return False
    return graph_request_of(request, sender(NO_CAP_BYTES)).size_bytes > CAP_BYTES


def _odata(written: dict[str, Any]) -> list[str]:
    """Return the OData members that the contract doesn't ask for, of the attachment and item."""
    item = written.get("item", {})
    types = {f"{GRAPH}{name}" for name in ("message", "event", "contact")}
    return [
        *(name for name in written if name.startswith("@") and name != "@odata.type"),
        *(name for name in item if name.startswith("@") and name != "@odata.type"),
        *([] if not item or item["@odata.type"] in types else ["@odata.type"]),
    ]


def _check_read_back(graph_request: GraphRequest, outcome: Outcome) -> None:
    """Check that the reader of Graph's answers takes what was written, and writes it again."""
    body = b"".join(graph_request.body)
    read = codec.attachment_from_json(body, kind=graph_request.kind)
    outcome.expect("can't be read back", holds=isinstance(read, Attachment))
    if read is None:
        return
    again = CreateAttachmentRequest(post=graph_request.head.post, attachment=read)
    try:
        second = graph_request_of(again, sender(NO_CAP_BYTES))
    except CallerError as error:
        outcome.expect(f"refused when read back: {error}", holds=False)
        return
    first, other = json_of(graph_request), json_of(second)
    for each in (first, other):
        each.pop("contentBytes", None)
    outcome.expect("another JSON when read back", holds=_without_odd(first) == _without_odd(other))


def _without_odd(written: Any) -> Any:
    """Return JSON without what the reader leaves out: annotations of additional properties."""
    if isinstance(written, dict):
        return {name: _without_odd(each) for name, each in written.items() if "@" not in name}
    return written


def draw(random: Random) -> CreateAttachmentRequest:
    """Draw the message of a create."""
    return messages.create_request(random)


CREATES = Target(
    name="creates",
    about="messages of CreateAttachment with drawn fields, up to the REST request",
    share=4,
    draw=draw,
    check=check,
)
