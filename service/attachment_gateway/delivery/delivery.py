"""One delivery: its locks, its lease, its attempts, and how it ended.

A delivery is the only writer of its post from before its first byte is sent until its outcome is
settled. A replay is answered when Graph has shown the attachment to this caller's own token.
"""

import asyncio

from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery import replay
from attachment_gateway.delivery.attempts import Attempts, may_act_s, sending
from attachment_gateway.delivery.fingerprint import fingerprint, post_key
from attachment_gateway.delivery.held_lease import HeldLease
from attachment_gateway.delivery.prefetch import ListedBaseline
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.delivery.state import Event, Progress
from attachment_gateway.errors import RequestIdReused, RequestInProgress
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.ledger import (
    Acquired,
    Created,
    InProgress,
    Lease,
    Reused,
)
from graphattachments.v1.attachment_pb2 import Attachment

# The baseline that is listed ahead, or None if there is none.
Prefetch = asyncio.Task[ListedBaseline | None]


class Delivery:
    """One delivery, to be run once, in its own task. Raises GatewayError.

    `progress` is its state at any time.
    """

    def __init__(
        self,
        resources: Resources,
        graph_request: GraphRequest,
        deadline: Deadline,
        prefetch: Prefetch | None = None,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._resources = resources
        self._graph_request = graph_request
        self._deadline = deadline
        self._prefetch = prefetch
        self._lease = Lease(
            holder=graph_request.head.sender.ids.client_request_id,  # new for each call
            post=post_key(graph_request.head.post),
            request_id=graph_request.request_id,
            fingerprint=fingerprint(graph_request) if graph_request.request_id else b"",
        )
        self.progress = Progress(joins=bool(graph_request.request_id))
        self._held_lease = HeldLease(resources.ledger, self._lease)
        self._attempts = Attempts(
            resources, graph_request, deadline, self._held_lease, self.progress
        )

    async def run(self) -> Attachment:
        """Create the attachment, or return the one that an earlier call created."""
        if not self._lease.request_id:
            return await self._at_the_post()
        async with self._resources.locks.lock(self._lease.request_id):
            self.progress.advance(Event.JOIN)
            return await self._at_the_post()

    async def _at_the_post(self) -> Attachment:
        if self._lease.request_id and self._resources.locks.is_wanted(self._lease.post):
            known = await self._resources.ledger.find(self._lease)
            if known is not None:  # the answer is known without waiting for the post
                return await self._answered(known)
        async with self._resources.locks.lock(self._lease.post):
            wants_baseline = self._prefetch is not None
            listed = await self._prefetched()
            is_ready = listed is not None or not wants_baseline
            standing = await self._held_lease.acquire(
                sending(self._resources, listed) if is_ready else None
            )
            if isinstance(standing, Acquired):
                return await self._attempted(standing, listed, wants_baseline=wants_baseline)
        return await self._answered(standing)

    async def _prefetched(self) -> ListedBaseline | None:
        """Return the baseline that was listed ahead, if there is one that is young enough."""
        listed = None if self._prefetch is None else await self._prefetch
        if listed is None or not listed.is_fresh(self._loop.time(), self._resources.settle_s):
            return None
        return listed

    async def _attempted(
        self, acquired: Acquired, listed: ListedBaseline | None, *, wants_baseline: bool
    ) -> Attachment:
        try:
            return await self._attempts.run(
                acquired,
                wants_baseline=wants_baseline,
                listed=listed if acquired.is_sending else None,
            )
        finally:
            now = self._loop.time()
            end = self.progress.ledger_end(now=now, may_act_s=may_act_s(self._resources))
            await self._held_lease.release(end)

    async def _answered(self, standing: Created | Reused | InProgress) -> Attachment:
        match standing:
            case Reused():
                raise RequestIdReused
            case InProgress(lease_left_s=left_s):
                raise RequestInProgress(retry_delay_s=left_s)
            case Created():
                self.progress.advance(Event.REPLAY)
                return await replay.replayed(
                    self._resources, self._graph_request, self._deadline, standing
                )
