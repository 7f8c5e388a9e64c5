"""Send, judge, wait, look up, send again: until it is settled what came of a request.

Drives `graph` by `outcome`. An unclear attempt stays unclear until `reconciliation` has settled it,
and nothing is sent again before that.
"""

import asyncio
import random
import time
from functools import cached_property

import structlog

from attachment_gateway import metrics
from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery import outcome
from attachment_gateway.delivery.held_lease import HeldLease
from attachment_gateway.delivery.outcome import Done, GiveUp, LookUp, SendAgain, Situation, Step
from attachment_gateway.delivery.reconciliation import (
    CannotTell,
    Found,
    LookUpError,
    Reconciliation,
    UnclearAttempt,
)
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.errors import (
    GatewayError,
    LedgerUnavailable,
    MailboxLimit,
    OutcomeUnknown,
    RequestInProgress,
)
from attachment_gateway.graph.attempt import Attempt  # noqa: TC001 there is no cycle to avoid
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.graph.response import NoResponse, Response, request_id_of
from attachment_gateway.ledger import LEASE_S, Unsettled
from attachment_gateway.mailbox import MailboxBusy, mailbox_of
from graphattachments.v1.attachment_pb2 import Attachment

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Attempts:
    """The attempts at one request. Raises GatewayError.

    `made` is the attachment, as soon as it is known; `last_error` what the last attempt came to;
    `unnamed` tells that Graph has told of a success without saying of what.
    """

    def __init__(
        self,
        resources: Resources,
        graph_request: GraphRequest,
        deadline: Deadline,
        lease: HeldLease,
    ) -> None:
        self._resources = resources
        self._graph_request = graph_request
        self._deadline = deadline
        self._lease = lease
        sender = graph_request.head.sender
        self._ids = sender.ids
        self._mailbox = mailbox_of(sender.token, graph_request.head.post.group_id)
        self._attempt: Attempt | None = None
        self._unclear: UnclearAttempt | None = None
        self._first_unclear: UnclearAttempt | None = None
        self._on_new_connection = False
        self.made: Attachment | None = None
        self.unnamed = False
        self.last_error: GatewayError | None = None

    @property
    def may_have_effect(self) -> bool:
        """Whether something was sent, and it isn't settled that nothing came of it."""
        offered = self._attempt is not None and self._attempt.offered
        return offered or self._unclear is not None or self.made is not None

    @cached_property
    def _reconciliation(self) -> Reconciliation:  # made when it is needed: most calls never look
        return Reconciliation(
            graph=self._resources.graph,
            ledger=self._resources.ledger,
            mailboxes=self._resources.mailboxes,
            mailbox=self._mailbox,
            graph_request=self._graph_request,
            settle_s=self._resources.settle_s,
        )

    def settles_in_s(self) -> float:
        """Return how long Graph may still act on what was sent."""
        if self._unclear is None:
            return self.may_act_s()
        return max(self._unclear.settled_at - asyncio.get_running_loop().time(), 0.0)

    def may_act_s(self) -> float:
        """Return for how long Graph may act on what is sent from now on, even if this process dies.

        The last piece is offered before the lease ends.
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
        self._ids.graph_request_id = request_id_of(result)
        step: Step = outcome.decide(result, self._graph_request, self._situation(attempt))
        metrics.attempts(step.word).inc()
        if isinstance(step, Done):
            self.made = step.attachment
            await self._look_for_surplus(step.attachment)
        if not isinstance(step, LookUp):
            self._attempt = None
            return step
        ended_at = asyncio.get_running_loop().time()
        unclear = UnclearAttempt(
            offered_at=offered_at, settled_at=ended_at + self._resources.settle_s
        )
        await self._settle(step.error, unclear)
        if self.made is not None:
            return Done(attachment=self.made)
        since_s = asyncio.get_running_loop().time() - ended_at
        return outcome.decide_absent(step.error, self._situation(attempt), since_s=since_s)

    async def _sent(self) -> tuple[Response | NoResponse, float]:
        """Send once, in a slot of the mailbox, written ahead in the ledger.

        Returns what came of it, and when its last piece was offered.
        """
        try:
            async with self._resources.mailboxes.slot(
                self._mailbox,
                upload_bytes=self._graph_request.size_bytes,
                within_s=self._deadline.left_s(),
            ):
                if not await self._lease.record_sending(self.may_act_s()):
                    raise self._lost()
                self._attempt = self._resources.graph.create_attachment(
                    self._graph_request,
                    may_offer=self._may_offer,
                    on_new_connection=self._on_new_connection,
                )
                return await self._attempt.send(), self._attempt.offered_at
        except MailboxBusy as busy:
            raise self._not_admitted(busy) from None
        except LedgerUnavailable as error:
            raise LedgerUnavailable(error.why, sent_before=self._was_sent_before) from error
        finally:
            self._lease.sent()

    def _may_offer(self) -> bool:
        return self._lease.holds() and not self._deadline.expired.done()

    async def _settle(self, unknown: OutcomeUnknown, unclear: UnclearAttempt) -> None:
        """Find what came of an unclear attempt, if anything did; raises `unknown`."""
        self._unclear = unclear
        self._first_unclear = self._first_unclear or unclear
        self._attempt = None
        self.unnamed = self.unnamed or unknown.created
        finding = await self._reconciliation.settle(
            unclear, awaited=lambda: not self._deadline.expired.done()
        )
        if isinstance(finding, CannotTell) or (self.unnamed and not isinstance(finding, Found)):
            raise unknown
        if isinstance(finding, Found):
            self.made = finding.attachment
        self._unclear = None

    async def _wait(self, again: SendAgain) -> None:
        """Wait until it may go again; raises its error if it may not."""
        self.last_error = again.error
        self._on_new_connection = again.on_new_connection
        if self._deadline.expired.done():
            raise again.error
        if again.asked:  # Graph asks it of every request to that mailbox
            await self._pause(again)
        elif self._resources.retries.spend(asyncio.get_running_loop().time()):
            await asyncio.sleep(again.wait_s)
        else:
            raise again.error

    async def _pause(self, again: SendAgain) -> None:
        try:
            await self._resources.mailboxes.pause(self._mailbox, again.wait_s)
        except LedgerUnavailable:  # others will learn it from Graph
            await asyncio.sleep(again.wait_s)

    async def _look_for_surplus(self, attachment: Attachment) -> None:
        """See whether an unclear attempt succeeded, too, after a later one did."""
        if self._first_unclear is None:
            return
        try:
            finding = await self._reconciliation.look_up(
                self._first_unclear.offered_at, besides=attachment.id
            )
        except LookUpError:
            return
        if isinstance(finding, Found):
            metrics.SURPLUS.inc()
            log.error("surplus", attachment_id=finding.attachment.id, **self._ids.known())

    def _situation(self, attempt: int) -> Situation:
        return Situation(
            attempt=attempt,
            left_s=self._deadline.left_s(),
            chance=random.random(),  # noqa: S311 spreads callers, keeps no secret
            now=time.time(),
        )

    def _not_admitted(self, busy: MailboxBusy) -> GatewayError:
        if self.last_error is None:
            return MailboxLimit(busy.why, retry_delay_s=busy.retry_delay_s)
        self.last_error.retry_delay_s = busy.retry_delay_s
        return self.last_error

    @property
    def _was_sent_before(self) -> bool:
        """Whether this call has sent something, of which it is known that nothing came."""
        return self.last_error is not None

    def _lost(self) -> GatewayError:
        """Return what it means that another holder has taken the lease over."""
        if self._graph_request.request_id:
            return RequestInProgress(retry_delay_s=LEASE_S, sent_before=self._was_sent_before)
        return LedgerUnavailable("the lease has ended")


def _left_behind(unsettled: Unsettled) -> tuple[OutcomeUnknown, UnclearAttempt]:
    now = asyncio.get_running_loop().time()
    return (
        OutcomeUnknown(
            "an earlier call with this request_id was sent, and it isn't settled what came of it",
            created=unsettled.created,
        ),
        UnclearAttempt(
            offered_at=now - unsettled.began_ago_s, settled_at=now + unsettled.settles_in_s
        ),
    )
