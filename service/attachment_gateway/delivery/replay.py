"""The replay of a created request: Graph shows the attachment to this caller's own token."""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import quote

from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery.content_comparison import EXPAND_ITEM
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.errors import (
    GraphNotFound,
    GraphPermissionDenied,
    GraphUnauthenticated,
    LedgerUnavailable,
    OutcomeUnknown,
)
from attachment_gateway.graph import codec
from attachment_gateway.graph.request import ITEM, GraphRequest
from attachment_gateway.graph.response import (
    NoResponse,
    Response,
    body_bytes_of,
    read_error,
    request_id_of,
)
from attachment_gateway.ledger import Created
from attachment_gateway.mailbox import MailboxBusy
from graphattachments.v1.attachment_pb2 import Attachment

# The waits before Graph is asked again if it doesn't show the attachment.
WAITS_S = (0.25, 0.5, 1.0, 2.0)

# The interval at which Graph is asked for an attachment that was created less than LAG_MAX_S ago
# and isn't visible yet.
POLL_S = 0.25

# An attachment that was created this long ago is visible, unless it was deleted.
LAG_MAX_S = 5.0

_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


async def replayed(
    resources: Resources, graph_request: GraphRequest, deadline: Deadline, created: Created
) -> Attachment:
    """Return the attachment as Graph shows it. Raises GatewayError.

    A deleted attachment is GraphNotFound: a replay never creates it again.
    """
    loop = asyncio.get_running_loop()
    visible_at = loop.time() - created.ago_s + min(resources.settle_s, LAG_MAX_S)
    for wait_s in (0.0, *WAITS_S):
        await asyncio.sleep(wait_s)
        response = await _shown(resources, graph_request, created.attachment_id, deadline)
        while _is_gone(response) and loop.time() < visible_at:
            await asyncio.sleep(min(POLL_S, visible_at - loop.time()))
            response = await _shown(resources, graph_request, created.attachment_id, deadline)
        attachment = await resources.graph.off_loop.run(
            body_bytes_of(response), _judged, response, graph_request
        )
        if attachment is not None:
            return attachment
    raise OutcomeUnknown("Graph did not show the attachment", created=True)


def _is_gone(response: Response | NoResponse) -> bool:
    return isinstance(response, Response) and response.http_status in _GONE


def _judged(response: Response | NoResponse, graph_request: GraphRequest) -> Attachment | None:
    """Return the attachment that a response shows, or None if asking again may help."""
    if isinstance(response, NoResponse):
        return None
    error_response = read_error(response, now=time.time())
    match response.http_status:
        case HTTPStatus.OK:
            return codec.attachment_from_json(response.body or b"", kind=graph_request.kind)
        case HTTPStatus.UNAUTHORIZED:
            raise GraphUnauthenticated(error_response)
        case HTTPStatus.FORBIDDEN:
            raise GraphPermissionDenied(error_response)
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            post = graph_request.head.path.removesuffix("/attachments")
            raise GraphNotFound(error_response, resource=post, gone=True)
    return None


async def _shown(
    resources: Resources, graph_request: GraphRequest, attachment_id: str, deadline: Deadline
) -> Response | NoResponse:
    """Read the attachment, an item with its properties if Graph shows them."""
    path = f"{graph_request.head.path}/{quote(attachment_id, safe='')}"
    if graph_request.kind == ITEM:
        response = await _read(resources, graph_request, path + EXPAND_ITEM, deadline)
        if not _is_gone(response):
            return response
    return await _read(resources, graph_request, path, deadline)


async def _read(
    resources: Resources, graph_request: GraphRequest, path: str, deadline: Deadline
) -> Response | NoResponse:
    head = graph_request.head
    mailbox = resources.mailbox(head)
    try:
        async with mailbox.slot(within_s=deadline.left_s()) as slot:
            response = await resources.graph.get(
                path, head.sender, max_body_bytes=resources.graph.limits.echo_bytes(graph_request)
            )
            if isinstance(response, Response):
                slot.answered(response.http_status)
    except MailboxBusy as busy:
        raise OutcomeUnknown(busy.why, created=True) from None
    except LedgerUnavailable:
        raise OutcomeUnknown("the gateway's ledger is unavailable", created=True) from None
    if isinstance(response, Response):
        head.sender.ids.graph_request_id = request_id_of(response)
        if response.http_status == HTTPStatus.TOO_MANY_REQUESTS:
            delay_s = read_error(response, now=time.time()).retry_after_s
            with suppress(LedgerUnavailable):
                await mailbox.pause(delay_s or WAITS_S[0])
    return response
