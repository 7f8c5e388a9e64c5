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
)
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.delivery.state import Event, Progress, UnclearAttempt
from attachment_gateway.errors import (
    GatewayError,
    LedgerUnavailable,
    MailboxLimit,
    OutcomeUnknown,
    RequestInProgress,
)
from attachment_gateway.graph.attempt import Attempt
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.graph.response import NoResponse, Response, request_id_of
from attachment_gateway.ledger import LEASE_S, Unsettled
from attachment_gateway.mailbox import MailboxBusy, mailbox_of
from graphattachments.v1.attachment_pb2 import Attachment

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Attempts:
    """The attempts at one request, which move its progress on. Raises GatewayError."""

    def __init__(
        self,
        resources: Resources,
        graph_request: GraphRequest,
        deadline: Deadline,
        lease: HeldLease,
        progress: Progress,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._resources = resources
        self._graph_request = graph_request
        self._deadline = deadline
        self._lease = lease
        self._progress = progress
        sender = graph_request.head.sender
        self._ids = sender.ids
        self._mailbox = mailbox_of(sender.token, graph_request.head.post.group_id)

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

    async def run(self, unsettled: Unsettled | None) -> Attachment:
        """Settle what an earlier holder left behind, and then send until it is settled."""
        if unsettled is not None:
            await self._settle_inherited(unsettled)
        self._resources.retries.earn()
        number, on_new_connection = 0, False
        while self._progress.attachment is None:
            number += 1
            step = await self._step(number, on_new_connection=on_new_connection)
            if isinstance(step, GiveUp):
                raise step.error
            if isinstance(step, SendAgain):
                await self._wait(step)
                on_new_connection = step.on_new_connection
        return self._progress.attachment

    async def _step(self, number: int, *, on_new_connection: bool) -> Step:
        """Send once, and settle what came of it; `number` counts the attempts from 1."""
        attempt, result = await self._send(on_new_connection=on_new_connection)
        self._ids.graph_request_id = request_id_of(result)
        step = outcome.decide(result, self._graph_request, self._situation(number))
        metrics.attempts(step.word).inc()
        match step:
            case Done(attachment=attachment):
                self._progress.create(attachment)
                await self._look_for_surplus(attachment)
            case GiveUp(error=error) | SendAgain(error=error):
                self._progress.refuse(error)
            case LookUp(error=unknown):
                return await self._settle(attempt, unknown, number)
        return step

    async def _send(self, *, on_new_connection: bool) -> tuple[Attempt, Response | NoResponse]:
        """Send once, in a slot of the mailbox, written ahead in the ledger."""
        try:
            async with self._resources.mailboxes.slot(
                self._mailbox,
                upload_bytes=self._graph_request.size_bytes,
                within_s=self._deadline.left_s(),
            ):
                if not await self._lease.record_sending(may_act_s(self._resources)):
                    raise self._lost()
                self._progress.advance(Event.SEND)
                attempt = self._resources.graph.create_attachment(
                    self._graph_request,
                    may_offer=self._may_offer,
                    on_new_connection=on_new_connection,
                )
                return attempt, await attempt.send()
        except MailboxBusy as busy:
            raise self._not_admitted(busy) from None
        except LedgerUnavailable as error:
            raise LedgerUnavailable(error.why, sent_before=self._was_sent_before) from error
        finally:
            self._lease.sent()

    def _may_offer(self) -> bool:
        """Tell whether the last piece may be handed over, which it is then."""
        if not self._lease.holds() or self._deadline.expired.done():
            return False
        self._progress.advance(Event.OFFER)
        return True

    async def _settle(self, attempt: Attempt, unknown: OutcomeUnknown, number: int) -> Step:
        """Find out what an unclear attempt did; raises `unknown` if that can't be known."""
        ended_at = self._loop.time()
        unclear = UnclearAttempt(
            offered_at=attempt.offered_at, settled_at=ended_at + self._resources.settle_s
        )
        self._progress.lose(unclear, created=unknown.created)
        if (found := await self._found(unclear, unknown)) is not None:
            return Done(attachment=found)
        since_s = self._loop.time() - ended_at
        step = outcome.decide_absent(unknown, self._situation(number), since_s=since_s)
        self._progress.rule_out(step.error)
        return step

    async def _settle_inherited(self, unsettled: Unsettled) -> None:
        """Find out what an earlier call's attempt did; raises OutcomeUnknown."""
        unknown = OutcomeUnknown(
            "an earlier call with this request_id was sent, and it isn't settled what came of it",
            created=unsettled.created,
        )
        now = self._loop.time()
        unclear = UnclearAttempt(
            offered_at=now - unsettled.began_ago_s, settled_at=now + unsettled.settles_in_s
        )
        self._progress.inherit(unclear, created=unsettled.created)
        if await self._found(unclear, unknown) is None:
            self._progress.rule_out()

    async def _found(self, unclear: UnclearAttempt, unknown: OutcomeUnknown) -> Attachment | None:
        """Return what an unclear attempt created, None if that is nothing; raises `unknown`."""
        finding = await self._reconciliation.settle(
            unclear, awaited=lambda: not self._deadline.expired.done()
        )
        if isinstance(finding, Found):
            self._progress.create(finding.attachment, found=True)
            return finding.attachment
        if isinstance(finding, CannotTell) or unknown.created:
            raise unknown
        return None

    async def _wait(self, again: SendAgain) -> None:
        """Wait until it may be sent again; raises its error if it may not."""
        if self._deadline.expired.done():
            raise again.error
        if again.asked:  # Graph asks it of every request to that mailbox
            await self._pause(again)
        elif self._resources.retries.spend(self._loop.time()):
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
        if not self._progress.unclear:
            return
        try:
            finding = await self._reconciliation.look_up(
                self._progress.unclear[0].offered_at, besides=attachment.id
            )
        except LookUpError:
            return
        if isinstance(finding, Found):
            metrics.SURPLUS.inc()
            log.error("surplus", attachment_id=finding.attachment.id, **self._ids.known())

    def _situation(self, number: int) -> Situation:
        return Situation(
            attempt=number,
            left_s=self._deadline.left_s(),
            chance=random.random(),  # noqa: S311 spreads callers, keeps no secret
            now=time.time(),
        )

    @property
    def _was_sent_before(self) -> bool:
        """Whether this call has sent something, of which it is known that nothing came."""
        return self._progress.last_error is not None

    def _not_admitted(self, busy: MailboxBusy) -> GatewayError:
        """Return what it means that the mailbox takes no more in the call's time."""
        last_error = self._progress.last_error
        if last_error is None:
            return MailboxLimit(busy.why, retry_delay_s=busy.retry_delay_s)
        last_error.retry_delay_s = busy.retry_delay_s
        return last_error

    def _lost(self) -> GatewayError:
        """Return what it means that another holder has taken the lease over."""
        if self._graph_request.request_id:
            return RequestInProgress(retry_delay_s=LEASE_S, sent_before=self._was_sent_before)
        return LedgerUnavailable("the lease has ended")


def may_act_s(resources: Resources) -> float:
    """Return for how long Graph may act on what is sent from now on, even if this process dies.

    The last piece is offered before the lease ends.
    """
    return max(resources.timeout_s, LEASE_S) + resources.settle_s
