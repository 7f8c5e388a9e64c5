"""Each call's errand, from its start to its end, whichever of the two ends first.

The errand runs in a task of its own, so that neither the caller's cancel nor its deadline cuts off
what Graph may act on already: such a one goes on until it is settled, and the ledger has it.
"""

import asyncio
from functools import partial

import structlog

from attachment_gateway.admission import Room
from attachment_gateway.calls import Call
from attachment_gateway.envelope import Envelope
from attachment_gateway.errand import Errand
from attachment_gateway.errors import GatewayError, NotSent, OutcomeUnknown
from attachment_gateway.status import reason_of
from attachment_gateway.world import World
from graphattachments.v1.attachment_pb2 import Attachment

# How long those that are cut off at the end have, to write down where they stand.
LAST_WORDS_S = 2.0

# How long one whose caller waits for the answer has for the same.
WRITTEN_WITHIN_S = 0.1

_Running = asyncio.Task[Attachment]

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Delivery:
    """Delivers envelopes to Graph."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._running: set[_Running] = set()

    async def deliver(self, envelope: Envelope, call: Call, room: Room | None = None) -> Attachment:
        """Make the attachment of an envelope, or tell why not; raises GatewayError.

        The envelope's `room` in memory is held as long as it is.
        """
        if call.expired.done():
            raise call.expired.result()
        errand = Errand(self._world, envelope, call)
        running = self._start(errand, room)
        try:
            in_time = await call.outlasts(running)
        except asyncio.CancelledError:
            call.expire(NotSent())
            _let_go(errand, running, call)
            raise
        if not in_time:
            await _end(errand, running, call)
        return errand.made or running.result()

    async def finish(self, *, within_s: float) -> None:
        """Wait for what goes on for callers that have gone, and then cut it off."""
        if self._running:
            await asyncio.wait(self._running, timeout=max(within_s, 0))
        if self._running:
            for running in self._running:
                running.cancel()
            await asyncio.wait(self._running, timeout=LAST_WORDS_S)

    def _start(self, errand: Errand, room: Room | None) -> _Running:
        running = asyncio.create_task(errand.run())
        self._running.add(running)
        if room is not None:
            room.hold()

        def end(ended: _Running) -> None:
            self._running.discard(ended)
            if room is not None:
                room.let_go()

        running.add_done_callback(end)
        return running


async def _end(errand: Errand, running: _Running, call: Call) -> None:
    """End an errand whose call's time has ended; raises what that means, unless it is made."""
    if not errand.may_have_effect:
        running.cancel()
    if errand.made is not None or not errand.may_have_effect:
        await asyncio.wait({running}, timeout=WRITTEN_WITHIN_S)
    if errand.made is not None and running.done():
        return
    if errand.may_have_effect:
        _let_go(errand, running, call)
        if errand.made is None:
            raise OutcomeUnknown("time ran out before it was settled")
        return
    if not running.done() or running.cancelled():
        raise errand.late()


def _let_go(errand: Errand, running: _Running, call: Call) -> None:
    """Let an errand go on by itself if it has to."""
    if not errand.may_have_effect:
        running.cancel()
    running.add_done_callback(partial(_log_orphan, errand, call))


def _log_orphan(errand: Errand, call: Call, running: _Running) -> None:
    """Say what became of an errand whose caller had gone."""
    if running.cancelled():
        reason = "OUTCOME_UNKNOWN" if errand.may_have_effect else reason_of(errand.late())
    else:
        error = running.exception()
        reason = reason_of(error) if isinstance(error, GatewayError) else "CREATED"
    log.info("orphan", reason=reason, **call.ids)
