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
from attachment_gateway.errors import GatewayError, NotSent
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
            _detach(delivery, running, deadline, ids)
            raise
        if not in_time:
            await _end(delivery, running, deadline, ids)
        return delivery.progress.attachment or running.result()

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


async def _end(delivery: Delivery, running: _Running, deadline: Deadline, ids: SupportIds) -> None:
    """End a delivery whose deadline has passed; raises what that means, unless it is created."""
    progress = delivery.progress
    if not progress.may_have_effect:
        running.cancel()
    if progress.attachment is not None or not progress.may_have_effect:
        await asyncio.wait({running}, timeout=WRITTEN_WITHIN_S)
    if progress.may_have_effect and not running.done():
        _detach(delivery, running, deadline, ids)
    if progress.attachment is None and (not running.done() or running.cancelled()):
        raise progress.told_when_late(deadline.expired.result())


def _detach(delivery: Delivery, running: _Running, deadline: Deadline, ids: SupportIds) -> None:
    """Let a delivery go on without its caller if it has to, else cancel it."""
    if not delivery.progress.may_have_effect:
        running.cancel()
    running.add_done_callback(partial(_log_detached, delivery, deadline, ids))


def _log_detached(
    delivery: Delivery, deadline: Deadline, ids: SupportIds, running: _Running
) -> None:
    """Log what became of a delivery whose caller had gone."""
    if running.cancelled():
        error: BaseException | None = delivery.progress.told_when_late(deadline.expired.result())
    else:
        error = running.exception()
    reason = error.reason if isinstance(error, GatewayError) else "CREATED"
    log.info("detached", reason=reason, **ids.known())
