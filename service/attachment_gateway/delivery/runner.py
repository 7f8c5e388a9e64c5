"""Each call's delivery, from its start to its end, whichever of the two ends first.

The delivery runs in a task of its own, so that neither the caller's cancel nor its deadline cuts off
what Graph may act on already: such a one goes on until it is settled, and the ledger has it.
"""

import asyncio
from functools import partial

import structlog

from attachment_gateway.admission import Reservation
from attachment_gateway.rpc.call import Call
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.delivery.delivery import Delivery
from attachment_gateway.errors import GatewayError, NotSent, OutcomeUnknown
from attachment_gateway.rpc.status import reason_of
from attachment_gateway.delivery.resources import Resources
from graphattachments.v1.attachment_pb2 import Attachment

# How long those that are cut off at the end have, to write down where they stand.
LAST_WORDS_S = 2.0

# How long one whose caller waits for the answer has for the same.
WRITTEN_WITHIN_S = 0.1

_Running = asyncio.Task[Attachment]

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Runner:
    """Delivers requests to Graph."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._running: set[_Running] = set()

    async def deliver(self, graph_request: GraphRequest, call: Call, reservation: Reservation | None = None) -> Attachment:
        """Make the attachment of a request, or tell why not; raises GatewayError.

        The request's `room` in memory is held as long as it is.
        """
        if call.expired.done():
            raise call.expired.result()
        delivery = Delivery(self._resources, graph_request, call)
        running = self._start(delivery, reservation)
        try:
            in_time = await call.outlasts(running)
        except asyncio.CancelledError:
            call.expire(NotSent())
            _let_go(delivery, running, call)
            raise
        if not in_time:
            await _end(delivery, running, call)
        return delivery.made or running.result()

    async def finish(self, *, within_s: float) -> None:
        """Wait for what goes on for callers that have gone, and then cut it off."""
        if self._running:
            await asyncio.wait(self._running, timeout=max(within_s, 0))
        if self._running:
            for running in self._running:
                running.cancel()
            await asyncio.wait(self._running, timeout=LAST_WORDS_S)

    def _start(self, delivery: Delivery, reservation: Reservation | None) -> _Running:
        running = asyncio.create_task(delivery.run())
        self._running.add(running)
        if reservation is not None:
            reservation.hold()

        def end(ended: _Running) -> None:
            self._running.discard(ended)
            if reservation is not None:
                reservation.let_go()

        running.add_done_callback(end)
        return running


async def _end(delivery: Delivery, running: _Running, call: Call) -> None:
    """End a delivery whose call's time has ended; raises what that means, unless it is made."""
    if not delivery.may_have_effect:
        running.cancel()
    if delivery.made is not None or not delivery.may_have_effect:
        await asyncio.wait({running}, timeout=WRITTEN_WITHIN_S)
    if delivery.made is not None and running.done():
        return
    if delivery.may_have_effect:
        _let_go(delivery, running, call)
        if delivery.made is None:
            raise OutcomeUnknown("time ran out before it was settled")
        return
    if not running.done() or running.cancelled():
        raise delivery.late()


def _let_go(delivery: Delivery, running: _Running, call: Call) -> None:
    """Let a delivery go on by itself if it has to."""
    if not delivery.may_have_effect:
        running.cancel()
    running.add_done_callback(partial(_log_orphan, delivery, call))


def _log_orphan(delivery: Delivery, call: Call, running: _Running) -> None:
    """Say what became of a delivery whose caller had gone."""
    if running.cancelled():
        reason = "OUTCOME_UNKNOWN" if delivery.may_have_effect else reason_of(delivery.late())
    else:
        error = running.exception()
        reason = reason_of(error) if isinstance(error, GatewayError) else "CREATED"
    log.info("orphan", reason=reason, **call.ids)
