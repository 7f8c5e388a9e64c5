"""Send, judge, wait, look up, send again: until it is settled what came of a request.

Drives `graph` by `outcome`. An unclear attempt stays unclear until `search` has settled it, and
nothing is sent again before that.
"""

import asyncio
import random
import time
from functools import cached_property

import structlog

from attachment_gateway import metrics
from attachment_gateway.delivery import outcome
from attachment_gateway.rpc.call import Call
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.errors import (
    GatewayError,
    LedgerUnavailable,
    MailboxLimit,
    OutcomeUnknown,
    RequestInProgress,
)
from attachment_gateway.graph.client import Post  # noqa: TC001 there is no cycle to avoid
from attachment_gateway.ledger import LEASE_S, Unsettled
from attachment_gateway.mailbox import MailboxBusy, mailbox_of
from attachment_gateway.delivery.outcome import Done, GiveUp, LookUp, SendAgain, Situation, Step
from attachment_gateway.graph.response import NoResponse, Response, request_id_of
from attachment_gateway.delivery.reconciliation import Attempt, LookUpError, CannotTell, Found, Search
from attachment_gateway.delivery.held_lease import HeldLease
from attachment_gateway.delivery.resources import Resources
from graphattachments.v1.attachment_pb2 import Attachment

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Sending:
    """The attempts at one request. Raises GatewayError.

    `made` is the attachment, as soon as it is known; `last_error` what the last attempt came to;
    `unnamed` tells that Graph has told of a success without saying of what.
    """

    def __init__(self, resources: Resources, graph_request: GraphRequest, call: Call, lease: HeldLease) -> None:
        self._resources = resources
        self._graph_request = graph_request
        self._call = call
        self._lease = lease
        head = graph_request.head
        self._mailbox = mailbox_of(head.sender.token, head.post.group_id)
        self._post: Post | None = None
        self._unclear: Attempt | None = None
        self._first_unclear: Attempt | None = None
        self._anew = False
        self.made: Attachment | None = None
        self.unnamed = False
        self.last_error: GatewayError | None = None

    @property
    def may_have_effect(self) -> bool:
        """Whether something has left, and it isn't settled that nothing came of it."""
        left = self._post is not None and self._post.offered
        return left or self._unclear is not None or self.made is not None

    @cached_property
    def _search(self) -> Search:  # made when it is needed: most calls never look
        return Search(
            graph=self._resources.graph,
            ledger=self._resources.ledger,
            mailboxes=self._resources.mailboxes,
            mailbox=self._mailbox,
            graph_request=self._graph_request,
            settle_s=self._resources.settle_s,
        )

    def settled_in_s(self) -> float:
        """Return how long Graph may still act on what has left."""
        if self._unclear is None:
            return self.may_act_s()
        return max(self._unclear.settled_at - asyncio.get_running_loop().time(), 0.0)

    def may_act_s(self) -> float:
        """Return for how long Graph may act on what is sent from now on, whatever becomes of us.

        What leaves, leaves before our lease ends.
        """
        return max(self._resources.timeout_s, LEASE_S) + self._resources.settle_s

    async def run(self, unsettled: Unsettled | None) -> Attachment:
        """Settle what an earlier holder left behind, and then send, as often as it takes."""
        if unsettled is not None:
            await self._settle(*_left_behind(unsettled))
            if self.made is not None:
                return self.made
        self._resources.retries.earn()
        attempt = 0
        while True:
            attempt += 1
            match await self._step(attempt):
                case Done(attachment=attachment):
                    return attachment
                case GiveUp(error=error):
                    raise error
                case SendAgain() as again:
                    await self._wait(again)

    async def _step(self, attempt: int) -> Done | GiveUp | SendAgain:
        result, offered_at = await self._sent()
        self._call.graph_request_id = request_id_of(result)
        step: Step = outcome.decide(result, self._graph_request, self._situation(attempt))
        metrics.attempts(type(step).__name__).inc()
        if isinstance(step, Done):
            self.made = step.attachment
            await self._look_for_surplus(step.attachment)
        if not isinstance(step, LookUp):
            self._post = None
            return step
        ended_at = asyncio.get_running_loop().time()
        unclear = Attempt(offered_at=offered_at, settled_at=ended_at + self._resources.settle_s)
        await self._settle(step.error, unclear)
        if self.made is not None:
            return Done(attachment=self.made)
        since_s = asyncio.get_running_loop().time() - ended_at
        return outcome.decide_absent(step.error, self._situation(attempt), since_s=since_s)

    async def _sent(self) -> tuple[Response | NoResponse, float]:
        """Send once, in turn, and written ahead; what came of it, and when it left."""
        try:
            async with self._resources.mailboxes.turn(
                self._mailbox,
                upload_bytes=self._graph_request.size_bytes,
                within_s=self._call.left_s(),
            ):
                if not await self._lease.sending(self.may_act_s()):
                    raise self._lost()
                self._post = self._resources.graph.create_attachment(
                    self._graph_request, may_offer=self._may_offer, anew=self._anew
                )
                return await self._post.send(), self._post.offered_at
        except MailboxBusy as busy:
            raise self._held_back(busy) from None
        finally:
            self._lease.sent()

    def _may_offer(self) -> bool:
        return self._lease.holds() and not self._call.expired.done()

    async def _settle(self, unknown: OutcomeUnknown, unclear: Attempt) -> None:
        """Find what came of an unclear attempt, if anything did; raises `unknown`."""
        self._unclear = unclear
        self._first_unclear = self._first_unclear or unclear
        self._post = None
        self.unnamed = self.unnamed or unknown.created
        finding = await self._search.settle(unclear, awaited=lambda: not self._call.expired.done())
        if isinstance(finding, CannotTell) or (self.unnamed and not isinstance(finding, Found)):
            raise unknown
        if isinstance(finding, Found):
            self.made = finding.attachment
        self._unclear = None

    async def _wait(self, again: SendAgain) -> None:
        """Wait until it may go again; raises its error if it may not."""
        self.last_error = again.error
        self._anew = again.anew
        if self._call.expired.done():
            raise again.error
        if again.asked:  # of everybody who goes to that mailbox
            await self._hold(again)
        elif self._resources.retries.spend(asyncio.get_running_loop().time()):
            await asyncio.sleep(again.wait_s)
        else:
            raise again.error

    async def _hold(self, again: SendAgain) -> None:
        try:
            await self._resources.mailboxes.hold(self._mailbox, again.wait_s)
        except LedgerUnavailable:  # others will learn it from Graph
            await asyncio.sleep(again.wait_s)

    async def _look_for_surplus(self, attachment: Attachment) -> None:
        """See whether an unclear attempt succeeded, too, after a later one did."""
        if self._first_unclear is None:
            return
        try:
            finding = await self._search.look(self._first_unclear.offered_at, besides=attachment.id)
        except LookUpError:
            return
        if isinstance(finding, Found):
            metrics.SURPLUS.inc()
            log.error("surplus", attachment_id=finding.attachment.id, **self._call.ids)

    def _situation(self, attempt: int) -> Situation:
        return Situation(
            attempt=attempt,
            left_s=self._call.left_s(),
            chance=random.random(),  # noqa: S311 spreads callers, keeps no secret
            now=time.time(),
        )

    def _held_back(self, busy: MailboxBusy) -> GatewayError:
        if self.last_error is None:
            return MailboxLimit(busy.why, retry_delay_s=busy.retry_delay_s)
        self.last_error.retry_delay_s = busy.retry_delay_s
        return self.last_error

    def _lost(self) -> GatewayError:
        """Return what it means that another has taken the place over."""
        if self._graph_request.request_id:
            return RequestInProgress(retry_delay_s=LEASE_S)
        return LedgerUnavailable("the lease has ended")


def _left_behind(unsettled: Unsettled) -> tuple[OutcomeUnknown, Attempt]:
    now = asyncio.get_running_loop().time()
    return (
        OutcomeUnknown(
            "an earlier call with this request_id was sent, and it isn't settled what came of it",
            created=unsettled.created,
        ),
        Attempt(offered_at=now - unsettled.began_ago_s, settled_at=now + unsettled.settled_in_s),
    )
