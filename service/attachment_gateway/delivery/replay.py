"""A repeat of what was created: answered when Graph has shown it to this caller's own token."""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import quote

from attachment_gateway.graph import codec
from attachment_gateway.rpc.call import Call
from attachment_gateway.graph.request import ITEM, GraphRequest
from attachment_gateway.errors import (
    GraphNotFound,
    GraphPermissionDenied,
    GraphUnauthenticated,
    LedgerUnavailable,
    OutcomeUnknown,
)
from attachment_gateway.ledger import Created
from attachment_gateway.delivery.candidates import EXPAND_ITEM
from attachment_gateway.mailbox import MailboxBusy, mailbox_of
from attachment_gateway.graph.response import NoResponse, Response, error_response, request_id_of
from attachment_gateway.delivery.resources import Resources
from graphattachments.v1.attachment_pb2 import Attachment

# How often a Graph that doesn't answer is asked, the waits between doubled.
ATTEMPTS = 5
WAIT_FIRST_S = 0.25

# What was created so long ago can be seen, if it is still there.
LAG_MAX_S = 5.0

_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


async def confirmed(resources: Resources, graph_request: GraphRequest, call: Call, created: Created) -> Attachment:
    """Return the attachment as Graph shows it; raises GatewayError.

    Gone is GraphNotFound, and it is never created anew.
    """
    loop = asyncio.get_running_loop()
    seen_at = loop.time() - created.ago_s + min(resources.settle_s, LAG_MAX_S)
    for attempt in range(ATTEMPTS):
        response = await _shown(resources, graph_request, created.attachment_id, call)
        while _is_gone(response) and loop.time() < seen_at:
            await asyncio.sleep(min(WAIT_FIRST_S, seen_at - loop.time()))
            response = await _shown(resources, graph_request, created.attachment_id, call)
        attachment = _judged(response, graph_request)
        if attachment is not None:
            return attachment
        await asyncio.sleep(WAIT_FIRST_S * 2**attempt)
    raise OutcomeUnknown("Graph doesn't show it for now", created=True)


def _is_gone(response: Response | NoResponse) -> bool:
    return isinstance(response, Response) and response.http_status in _GONE


def _judged(response: Response | NoResponse, graph_request: GraphRequest) -> Attachment | None:
    """Return the attachment that a response shows, None if asking again may help."""
    if isinstance(response, NoResponse):
        return None
    answer = error_response(response, now=time.time())
    match response.http_status:
        case HTTPStatus.OK:
            return codec.attachment_from_json(response.body or b"", kind=graph_request.kind)
        case HTTPStatus.UNAUTHORIZED:
            raise GraphUnauthenticated(answer)
        case HTTPStatus.FORBIDDEN:
            raise GraphPermissionDenied(answer)
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            post = graph_request.head.path.removesuffix("/attachments")
            raise GraphNotFound(answer, resource=post, gone=True)
    return None


async def _shown(
    resources: Resources, graph_request: GraphRequest, attachment_id: str, call: Call
) -> Response | NoResponse:
    head = graph_request.head
    path = f"{head.path}/{quote(attachment_id, safe='')}"
    if graph_request.kind == ITEM:
        path += EXPAND_ITEM
    mailbox = mailbox_of(head.sender.token, head.post.group_id)
    try:
        async with resources.mailboxes.turn(mailbox, within_s=call.left_s()):
            response = await resources.graph.get(path, head.sender)
    except MailboxBusy as busy:
        raise OutcomeUnknown(busy.why, created=True) from None
    except LedgerUnavailable:
        raise OutcomeUnknown("the gateway's ledger is away", created=True) from None
    if isinstance(response, Response):
        call.graph_request_id = request_id_of(response)
        if response.http_status == HTTPStatus.TOO_MANY_REQUESTS:
            delay_s = error_response(response, now=time.time()).retry_after_s
            with suppress(LedgerUnavailable):
                await resources.mailboxes.hold(mailbox, delay_s or WAIT_FIRST_S)
    return response
