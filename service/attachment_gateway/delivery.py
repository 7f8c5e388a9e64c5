"""Send, and tell what became of it.

Drives `graph` by `outcome`. One attempt for each call: nothing is ever sent a second time.
"""

import asyncio
import time
from functools import partial

import structlog

from attachment_gateway.calls import Call
from attachment_gateway.envelope import Envelope
from attachment_gateway.errors import GatewayError, OutcomeUnknown
from attachment_gateway.graph import Graph, Post
from attachment_gateway.outcome import Broken, Reply, judge
from attachment_gateway.status import reason_of
from graphattachments.v1.attachment_pb2 import Attachment

# A GUID has 36 characters. What stands there instead may be longer, but goes into a trailer.
_MAX_ID_CHARS = 128

Sending = asyncio.Task[Reply | Broken]

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Delivery:
    """Delivers envelopes to Graph."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._sending: set[Sending] = set()

    async def deliver(self, envelope: Envelope, call: Call) -> Attachment:
        """Send an envelope and return the attachment that it became.

        The POST runs in a task of its own, so that neither the caller's cancel nor its deadline
        cuts off one that Graph may act on already.
        """
        if call.expired.done():
            raise call.expired.result()
        post = self._graph.create_attachment(envelope)
        sending = self._start(post)
        try:
            in_time = await call.outlasts(sending)
        except asyncio.CancelledError:
            if post.request_left:
                sending.add_done_callback(partial(_log_orphan, envelope, call))
            else:
                sending.cancel()
            raise
        if not in_time:
            await _stopped(post, sending, call)
        result = sending.result()
        call.graph_request_id = _request_id(result)
        return judge(result, envelope, now=time.time())

    async def finish(self, *, within_s: float) -> None:
        """Wait for what is still being sent for callers that have gone."""
        if self._sending:
            await asyncio.wait(self._sending, timeout=max(within_s, 0))

    def _start(self, post: Post) -> Sending:
        sending = asyncio.create_task(post.send())
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)
        return sending


def _log_orphan(envelope: Envelope, call: Call, sending: Sending) -> None:
    """Say what became of a POST whose caller had gone."""
    try:
        result = sending.result()
        call.graph_request_id = _request_id(result)
        judge(result, envelope, now=time.time())
        reason = "CREATED"
    except GatewayError as error:
        reason = reason_of(error)
    except asyncio.CancelledError:  # the process ends
        reason = "OUTCOME_UNKNOWN"
    log.info("orphan", reason=reason, **call.ids)


async def _stopped(post: Post, sending: Sending, call: Call) -> None:
    """Raise what the end of the call's time means for a POST under way."""
    if post.request_left:
        raise OutcomeUnknown("time ran out before Graph answered")
    sending.cancel()
    await asyncio.wait({sending})
    raise call.expired.result()


def _request_id(result: Reply | Broken) -> str:
    value = "" if isinstance(result, Broken) else result.headers.get("request-id", "")
    return value if value.isascii() and value.isprintable() and len(value) <= _MAX_ID_CHARS else ""
