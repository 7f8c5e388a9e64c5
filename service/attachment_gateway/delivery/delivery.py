"""One request becoming one attachment: its locks, its lease, its attempts, and how it ended.

A delivery is the only writer of its post from before the first byte until it is settled what came
of it. A repeat of what was created is answered when Graph has shown it to this caller's own token.
"""

from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery import replay
from attachment_gateway.delivery.attempts import Attempts
from attachment_gateway.delivery.fingerprint import fingerprint, post_key
from attachment_gateway.delivery.held_lease import HeldLease
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.errors import (
    GatewayError,
    OutcomeUnknown,
    RequestIdReused,
    RequestInProgress,
)
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.ledger import (
    Acquired,
    Created,
    End,
    EndedAbsent,
    EndedCreated,
    EndedUnknown,
    InProgress,
    Lease,
    Reused,
    Unsettled,
)
from graphattachments.v1.attachment_pb2 import Attachment

# When to ask again for what is being worked on in the same process.
IN_PROGRESS_RETRY_S = 1.0


class Delivery:
    """To be run once, in a task of its own. Raises GatewayError."""

    def __init__(
        self, resources: Resources, graph_request: GraphRequest, deadline: Deadline
    ) -> None:
        self._resources = resources
        self._graph_request = graph_request
        self._deadline = deadline
        self._lease = Lease(
            holder=graph_request.head.sender.ids.client_request_id,  # new for each call
            post=post_key(graph_request.head.post),
            request_id=graph_request.request_id,
            fingerprint=fingerprint(graph_request) if graph_request.request_id else b"",
        )
        self._held_lease = HeldLease(resources.ledger, self._lease)
        self._attempts = Attempts(resources, graph_request, deadline, self._held_lease)
        self._late: GatewayError | None = None

    @property
    def made(self) -> Attachment | None:
        """The attachment, as soon as it is known; there may be more to do."""
        return self._attempts.made

    @property
    def may_have_effect(self) -> bool:
        """Whether something was sent, and it isn't settled that nothing came of it."""
        return self._attempts.may_have_effect

    def late(self) -> GatewayError:
        """Return what it means that time has run out, if nothing that was sent may have effect."""
        return self._late or self._attempts.last_error or self._deadline.expired.result()

    async def run(self) -> Attachment:
        """Make the attachment, or learn what became of it."""
        if not self._lease.request_id:
            return await self._at_the_post()
        self._late = RequestInProgress(retry_delay_s=IN_PROGRESS_RETRY_S)
        async with self._resources.locks.lock(self._lease.request_id):
            self._late = None
            return await self._at_the_post()

    async def _at_the_post(self) -> Attachment:
        if self._lease.request_id and self._resources.locks.is_wanted(self._lease.post):
            known = await self._resources.ledger.find(self._lease)
            if known is not None:  # nothing to wait for
                return await self._answered(known)
        async with self._resources.locks.lock(self._lease.post):
            standing = await self._held_lease.acquire(self._attempts.may_act_s())
            if isinstance(standing, Acquired):
                return await self._attempted(standing.unsettled)
        return await self._answered(standing)

    async def _attempted(self, unsettled: Unsettled | None) -> Attachment:
        try:
            return await self._attempts.run(unsettled)
        finally:
            await self._held_lease.release(self._end())

    def _end(self) -> End:
        """Return what is to be written of the attempts."""
        if self.made is not None:
            return EndedCreated(self.made.id) if self.made.id else _unnamed()
        if not self.may_have_effect:
            return EndedAbsent()
        return EndedUnknown(
            settles_in_s=self._attempts.settles_in_s(), created=self._attempts.unnamed
        )

    async def _answered(self, standing: Created | Reused | InProgress) -> Attachment:
        match standing:
            case Reused():
                raise RequestIdReused
            case InProgress(lease_left_s=left_s):
                raise RequestInProgress(retry_delay_s=left_s)
            case Created():
                self._late = OutcomeUnknown("time ran out before Graph showed it", created=True)
                return await replay.replayed(
                    self._resources, self._graph_request, self._deadline, standing
                )


def _unnamed() -> EndedUnknown:
    """Return the end of what was created and answered without an id."""
    return EndedUnknown(settles_in_s=0.0, created=True)
