"""A repeat of what was created: answered when Graph has shown it to this caller's own token."""

import asyncio
import time
from contextlib import suppress
from http import HTTPStatus
from urllib.parse import quote

from attachment_gateway import graph_json
from attachment_gateway.calls import Call
from attachment_gateway.envelope import ITEM, Envelope
from attachment_gateway.errors import (
    GraphNotFound,
    GraphPermissionDenied,
    GraphUnauthenticated,
    LedgerUnavailable,
    OutcomeUnknown,
)
from attachment_gateway.ledger import Created
from attachment_gateway.lookup import EXPAND_ITEM
from attachment_gateway.mailbox import MailboxBusy, mailbox_of
from attachment_gateway.reply import Broken, Reply, graph_answer, request_id_of
from attachment_gateway.world import World
from graphattachments.v1.attachment_pb2 import Attachment

# How often a Graph that doesn't answer is asked, the waits between doubled.
ATTEMPTS = 5
WAIT_FIRST_S = 0.25

# What was created so long ago can be seen, if it is still there.
LAG_MAX_S = 5.0

_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}


async def confirmed(world: World, envelope: Envelope, call: Call, created: Created) -> Attachment:
    """Return the attachment as Graph shows it; raises GatewayError.

    Gone is GraphNotFound, and it is never created anew.
    """
    loop = asyncio.get_running_loop()
    seen_at = loop.time() - created.ago_s + min(world.settle_s, LAG_MAX_S)
    for attempt in range(ATTEMPTS):
        reply = await _shown(world, envelope, created.attachment_id, call)
        while _is_gone(reply) and loop.time() < seen_at:
            await asyncio.sleep(min(WAIT_FIRST_S, seen_at - loop.time()))
            reply = await _shown(world, envelope, created.attachment_id, call)
        attachment = _judged(reply, envelope)
        if attachment is not None:
            return attachment
        await asyncio.sleep(WAIT_FIRST_S * 2**attempt)
    raise OutcomeUnknown("Graph doesn't show it for now", created=True)


def _is_gone(reply: Reply | Broken) -> bool:
    return isinstance(reply, Reply) and reply.http_status in _GONE


def _judged(reply: Reply | Broken, envelope: Envelope) -> Attachment | None:
    """Return the attachment that a reply shows, None if asking again may help."""
    if isinstance(reply, Broken):
        return None
    answer = graph_answer(reply, now=time.time())
    match reply.http_status:
        case HTTPStatus.OK:
            return graph_json.attachment_from_json(reply.body or b"", kind=envelope.kind)
        case HTTPStatus.UNAUTHORIZED:
            raise GraphUnauthenticated(answer)
        case HTTPStatus.FORBIDDEN:
            raise GraphPermissionDenied(answer)
        case HTTPStatus.NOT_FOUND | HTTPStatus.GONE:
            post = envelope.head.path.removesuffix("/attachments")
            raise GraphNotFound(answer, resource=post, gone=True)
    return None


async def _shown(
    world: World, envelope: Envelope, attachment_id: str, call: Call
) -> Reply | Broken:
    head = envelope.head
    path = f"{head.path}/{quote(attachment_id, safe='')}"
    if envelope.kind == ITEM:
        path += EXPAND_ITEM
    mailbox = mailbox_of(head.sender.token, head.post.group_id)
    try:
        async with world.mailboxes.turn(mailbox, within_s=call.left_s()):
            reply = await world.graph.get(path, head.sender)
    except MailboxBusy as busy:
        raise OutcomeUnknown(busy.why, created=True) from None
    except LedgerUnavailable:
        raise OutcomeUnknown("the gateway's ledger is away", created=True) from None
    if isinstance(reply, Reply):
        call.graph_request_id = request_id_of(reply)
        if reply.http_status == HTTPStatus.TOO_MANY_REQUESTS:
            delay_s = graph_answer(reply, now=time.time()).retry_after_s
            with suppress(LedgerUnavailable):
                await world.mailboxes.hold(mailbox, delay_s or WAIT_FIRST_S)
    return reply
