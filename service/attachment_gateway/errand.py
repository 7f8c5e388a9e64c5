"""One envelope's way: its turn, its place in the ledger, its sending, and what is written of it.

The only writer of its post from before the first byte until it is settled what came of it. A repeat
of what was created is answered when Graph has shown it to this caller's own token.
"""

from attachment_gateway import confirmation
from attachment_gateway.calls import Call
from attachment_gateway.envelope import Envelope
from attachment_gateway.errors import (
    GatewayError,
    OutcomeUnknown,
    RequestIdReused,
    RequestInProgress,
)
from attachment_gateway.fingerprint import fingerprint, post_key
from attachment_gateway.ledger import (
    AsCreated,
    AsNothing,
    AsUnknown,
    Created,
    End,
    First,
    InProgress,
    Place,
    Reused,
    Unsettled,
)
from attachment_gateway.sending import Sending
from attachment_gateway.tenure import Tenure
from attachment_gateway.world import World
from graphattachments.v1.attachment_pb2 import Attachment

# When to ask again for what is being worked on in the same process.
IN_PROGRESS_RETRY_S = 1.0


class Errand:
    """To be run once, in a task of its own. Raises GatewayError."""

    def __init__(self, world: World, envelope: Envelope, call: Call) -> None:
        self._world = world
        self._envelope = envelope
        self._call = call
        self._place = Place(
            holder=call.client_request_id,  # new for each call
            post=post_key(envelope.head.post),
            request_id=envelope.request_id,
            fingerprint=fingerprint(envelope) if envelope.request_id else b"",
        )
        self._tenure = Tenure(world.ledger, self._place)
        self._sending = Sending(world, envelope, call, self._tenure)
        self._late: GatewayError | None = None

    @property
    def made(self) -> Attachment | None:
        """The attachment, as soon as it is known; there may be more to do."""
        return self._sending.made

    @property
    def may_have_effect(self) -> bool:
        """Whether something was sent, and it isn't settled that nothing came of it."""
        return self._sending.may_have_effect

    def late(self) -> GatewayError:
        """Return what it means that time has run out, if nothing that was sent may have effect."""
        return self._late or self._sending.last_error or self._call.expired.result()

    async def run(self) -> Attachment:
        """Make the attachment, or learn what became of it."""
        if not self._place.request_id:
            return await self._at_the_post()
        self._late = RequestInProgress(retry_delay_s=IN_PROGRESS_RETRY_S)
        async with self._world.turns.of(self._place.request_id):
            self._late = None
            return await self._at_the_post()

    async def _at_the_post(self) -> Attachment:
        if self._place.request_id and self._world.turns.taken(self._place.post):
            known = await self._world.ledger.find(self._place)
            if known is not None:  # nothing to wait for
                return await self._answered(known)
        async with self._world.turns.of(self._place.post):
            standing = await self._tenure.enter(self._sending.may_act_s())
            if isinstance(standing, First):
                return await self._written(standing.unsettled)
        return await self._answered(standing)

    async def _written(self, unsettled: Unsettled | None) -> Attachment:
        try:
            return await self._sending.run(unsettled)
        finally:
            await self._tenure.leave(self._end())

    def _end(self) -> End:
        """Return what is to be written of the sending."""
        if self.made is not None:
            return AsCreated(self.made.id) if self.made.id else _unnamed()
        if not self.may_have_effect:
            return AsNothing()
        return AsUnknown(settled_in_s=self._sending.settled_in_s(), created=self._sending.unnamed)

    async def _answered(self, standing: Created | Reused | InProgress) -> Attachment:
        match standing:
            case Reused():
                raise RequestIdReused
            case InProgress(lease_left_s=left_s):
                raise RequestInProgress(retry_delay_s=left_s)
            case Created():
                self._late = OutcomeUnknown("time ran out before Graph showed it", created=True)
                return await confirmation.confirmed(
                    self._world, self._envelope, self._call, standing
                )


def _unnamed() -> AsUnknown:
    """Return the end of what was created and answered without an id."""
    return AsUnknown(settled_in_s=0.0, created=True)
