"""Runs each delivery in its own task, which may outlive the call.

Neither the caller's cancellation nor its deadline ends a delivery that Graph may already act on:
it continues until its outcome is settled and recorded in the ledger.
"""

import asyncio
from functools import partial

import structlog

from attachment_gateway.admission import Reservation
from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery.delivery import Delivery, Prefetch
from attachment_gateway.delivery.fingerprint import post_key
from attachment_gateway.delivery.prefetch import prefetched
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.delivery.told_when_late import told_when_late
from attachment_gateway.errors import GatewayError, NotSent, OutcomeUnknown, Reason
from attachment_gateway.graph.request import GraphRequest, RequestHead, SupportIds
from attachment_gateway.ledger import Lease
from attachment_gateway.mailbox import mailbox_of
from graphattachments.v1.attachment_pb2 import Attachment

# How long the deliveries that are cancelled when the process stops have to record how they ended.
CUT_OFF_WITHIN_S = 2.0

# How long a delivery has to record how it ended while its caller waits for the response.
WRITTEN_WITHIN_S = 0.1

_Running = asyncio.Task[Attachment]

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Runner:
    """Delivers requests to Graph."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._running: set[_Running] = set()

    async def deliver(
        self,
        graph_request: GraphRequest,
        deadline: Deadline,
        reservation: Reservation | None = None,
        prefetch: Prefetch | None = None,
    ) -> Attachment:
        """Create a request's attachment. Raises GatewayError.

        The delivery shares the reservation and releases it when it ends. `prefetch`: the baseline
        that `prefetch` lists; by default it is listed now, if it is wanted.
        """
        deadline.check()
        prefetch = prefetch or self.prefetch(
            graph_request.head, graph_request.request_id, graph_request.kind
        )
        delivery = Delivery(self._resources, graph_request, deadline, prefetch)
        ids = graph_request.head.sender.ids
        running = self._start(delivery, reservation)
        try:
            if not await deadline.outlasts(running):
                await _end(delivery, running, deadline, ids)
        except asyncio.CancelledError:
            deadline.expire(NotSent())
            _detach(delivery, running, deadline, ids)
            raise
        return delivery.progress.attachment or _result(delivery, running, ids)

    def prefetch(self, head: RequestHead, request_id: str, kind: str) -> Prefetch | None:
        """Begin to list the post for a baseline; None if none is wanted.

        Cancel it if the request is not delivered.
        """
        resources = self._resources
        if not request_id:
            return None
        mailbox = mailbox_of(head.sender.token, head.post.group_id)
        now = asyncio.get_running_loop().time()
        if not resources.baselines.wants(kind, mailbox, now):
            return None
        reader = resources.reader(head)
        lease = Lease(holder="", post=post_key(head.post), request_id=request_id)
        return asyncio.create_task(
            prefetched(reader, resources.ledger, lease, within_s=resources.settle_s)
        )

    async def finish(self, *, within_s: float) -> None:
        """Wait at most `within_s` for the running deliveries, then cancel them."""
        if self._running:
            await asyncio.wait(self._running, timeout=max(within_s, 0))
        if self._running:
            for running in self._running:
                running.cancel()
            await asyncio.wait(self._running, timeout=CUT_OFF_WITHIN_S)

    def _start(self, delivery: Delivery, reservation: Reservation | None) -> _Running:
        running = asyncio.create_task(delivery.run())
        self._running.add(running)
        if reservation is not None:
            reservation.share()

        def end(ended: _Running) -> None:
            self._running.discard(ended)
            if reservation is not None:
                reservation.release()

        running.add_done_callback(end)
        return running


def _result(delivery: Delivery, running: _Running, ids: SupportIds) -> Attachment:
    """Return what a delivery that has ended created. Raises GatewayError.

    After an unforeseen error of a delivery that may have an effect, that is OutcomeUnknown.
    """
    try:
        return running.result()
    except GatewayError:
        raise
    except Exception as error:
        if not delivery.progress.may_have_effect:
            raise
        log.exception("unforeseen", **ids.known())
        raise OutcomeUnknown("the gateway failed before it was settled") from error


async def _end(delivery: Delivery, running: _Running, deadline: Deadline, ids: SupportIds) -> None:
    """Cancel or detach a delivery whose deadline has passed.

    Raises what the caller is told, unless the attachment is known or the delivery ended by itself.
    """
    progress = delivery.progress
    if not progress.may_have_effect:
        running.cancel()
    if progress.attachment is not None or not progress.may_have_effect:
        await asyncio.wait({running}, timeout=WRITTEN_WITHIN_S)
    if progress.may_have_effect and not running.done():
        _detach(delivery, running, deadline, ids)
    if progress.attachment is None and (not running.done() or running.cancelled()):
        raise told_when_late(progress, deadline.expired.result())


def _detach(delivery: Delivery, running: _Running, deadline: Deadline, ids: SupportIds) -> None:
    """Let a delivery that may have an effect continue without its caller; cancel any other."""
    if not delivery.progress.may_have_effect:
        running.cancel()
    running.add_done_callback(partial(_log_detached, delivery, deadline, ids))


def _log_detached(
    delivery: Delivery, deadline: Deadline, ids: SupportIds, running: _Running
) -> None:
    """Log the outcome of a delivery that ended without its caller."""
    if running.cancelled():
        reason: str = told_when_late(delivery.progress, deadline.expired.result()).reason
    else:
        reason = _reason(delivery, running, ids)
    log.info("detached", reason=reason, **ids.known())


def _reason(delivery: Delivery, running: _Running, ids: SupportIds) -> str:
    """Return how a delivery that has ended is named in the log."""
    try:
        _result(delivery, running, ids)
    except GatewayError as error:
        return error.reason
    except Exception:
        log.exception("unforeseen", **ids.known())
        return Reason.GATEWAY_ERROR
    return "CREATED"
