"""Runs each delivery in a task of its own, which may outlive its caller.

So neither the caller's cancel nor its deadline cuts off what Graph may act on already: such a
delivery goes on until it is settled, and the ledger has it.
"""

import asyncio
from functools import partial

import structlog

from attachment_gateway.admission import Reservation
from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery.delivery import Delivery
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.errors import GatewayError, NotSent, OutcomeUnknown, Reason
from attachment_gateway.graph.request import GraphRequest, SupportIds
from graphattachments.v1.attachment_pb2 import Attachment

# How long the deliveries that are cut off at the end have to write down how they ended.
CUT_OFF_WITHIN_S = 2.0

# How long one whose caller waits for the answer has for the same.
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
    ) -> Attachment:
        """Make the attachment of a request, or tell why not; raises GatewayError.

        The delivery shares the reservation, and releases it at its own end.
        """
        deadline.check()
        delivery = Delivery(self._resources, graph_request, deadline)
        ids = graph_request.head.sender.ids
        running = self._start(delivery, reservation)
        try:
            in_time = await deadline.outlasts(running)
        except asyncio.CancelledError:
            deadline.expire(NotSent())
            _detach(delivery, running, ids)
            raise
        if not in_time:
            await _end(delivery, running, ids)
        return delivery.made or running.result()

    async def finish(self, *, within_s: float) -> None:
        """Wait for what goes on for callers that have gone, and then cut it off."""
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


async def _end(delivery: Delivery, running: _Running, ids: SupportIds) -> None:
    """End a delivery whose deadline has passed; raises what that means, unless it is made."""
    if not delivery.may_have_effect:
        running.cancel()
    if delivery.made is not None or not delivery.may_have_effect:
        await asyncio.wait({running}, timeout=WRITTEN_WITHIN_S)
    if delivery.made is not None and running.done():
        return
    if delivery.may_have_effect:
        _detach(delivery, running, ids)
        if delivery.made is None:
            raise OutcomeUnknown("time ran out before it was settled")
        return
    if not running.done() or running.cancelled():
        raise delivery.late()


def _detach(delivery: Delivery, running: _Running, ids: SupportIds) -> None:
    """Let a delivery go on without its caller if it has to, else cancel it."""
    if not delivery.may_have_effect:
        running.cancel()
    running.add_done_callback(partial(_log_detached, delivery, ids))


def _log_detached(delivery: Delivery, ids: SupportIds, running: _Running) -> None:
    """Log what became of a delivery whose caller had gone."""
    if running.cancelled():
        unknown = delivery.may_have_effect
        reason = Reason.OUTCOME_UNKNOWN if unknown else delivery.late().reason
        log.info("detached", reason=reason, **ids.known())
        return
    error = running.exception()
    reason_or_created = error.reason if isinstance(error, GatewayError) else "CREATED"
    log.info("detached", reason=reason_or_created, **ids.known())
