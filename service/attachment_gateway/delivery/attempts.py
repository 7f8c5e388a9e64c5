"""The attempts at one request: send, judge, wait, look up and send again until it is settled.

`response_judgement` decides the next step. An unclear attempt stays unclear until `reconciliation`
has settled it, and nothing is sent again before that.
"""

import asyncio
import random
import time
from functools import cached_property

import structlog

from attachment_gateway import metrics
from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery import response_judgement
from attachment_gateway.delivery.held_lease import HeldLease
from attachment_gateway.delivery.reconciliation import (
    CannotTell,
    Found,
    LookUpError,
    Reconciliation,
)
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.delivery.response_judgement import (
    Done,
    GiveUp,
    LookUp,
    SendAgain,
    Situation,
    Step,
)
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
    """The attempts at one request, which advance its progress. Raises GatewayError."""

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
    def _reconciliation(self) -> Reconciliation:  # most calls need no look-up
        return Reconciliation(
            graph=self._resources.graph,
            ledger=self._resources.ledger,
            mailboxes=self._resources.mailboxes,
            mailbox=self._mailbox,
            graph_request=self._graph_request,
            settle_s=self._resources.settle_s,
        )

    async def run(self, unsettled: Unsettled | None) -> Attachment:
        """Settle an earlier lease holder's unclear attempt, then send until this one is settled."""
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
        """Send once and settle the outcome; `number` counts the attempts from 1."""
        attempt, result = await self._send(on_new_connection=on_new_connection)
        self._ids.graph_request_id = request_id_of(result)
        step = response_judgement.decide(result, self._graph_request, self._situation(number))
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
        """Send once in a slot of the mailbox, after recording it in the ledger."""
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
        """Return whether the last piece may be offered; if so, record that it is."""
        if not self._lease.holds() or self._deadline.expired.done():
            return False
        self._progress.advance(Event.OFFER)
        return True

    async def _settle(self, attempt: Attempt, unknown: OutcomeUnknown, number: int) -> Step:
        """Find out what an unclear attempt did. Raises `unknown` if that can't be settled."""
        ended_at = self._loop.time()
        unclear = UnclearAttempt(
            offered_at=attempt.offered_at, settled_at=ended_at + self._resources.settle_s
        )
        self._progress.lose(unclear, created=unknown.created)
        if (found := await self._found(unclear, unknown)) is not None:
            return Done(attachment=found)
        since_s = self._loop.time() - ended_at
        step = response_judgement.decide_absent(unknown, self._situation(number), since_s=since_s)
        self._progress.rule_out(step.error)
        return step

    async def _settle_inherited(self, unsettled: Unsettled) -> None:
        """Find out what an earlier call's unclear attempt did. Raises OutcomeUnknown."""
        unknown = OutcomeUnknown(
            "an earlier call with this request_id sent a request, and its outcome is not settled",
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
        """Return what an unclear attempt created, or None if nothing. Raises `unknown`."""
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
        """Wait until the request may be sent again. Raises `again.error` if it may not."""
        if self._deadline.expired.done():
            raise again.error
        if again.asked:  # the pause holds for all requests to the mailbox
            await self._pause(again)
        elif self._resources.retries.spend(self._loop.time()):
            await asyncio.sleep(again.wait_s)
        else:
            raise again.error

    async def _pause(self, again: SendAgain) -> None:
        try:
            await self._resources.mailboxes.pause(self._mailbox, again.wait_s)
        except LedgerUnavailable:  # other processes get the pause from Graph's responses
            await asyncio.sleep(again.wait_s)

    async def _look_for_surplus(self, attachment: Attachment) -> None:
        """After a success, log and count what an earlier unclear attempt has created as well."""
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
            chance=random.random(),  # noqa: S311 for jitter, not for a secret
            now=time.time(),
        )

    @property
    def _was_sent_before(self) -> bool:
        """Whether this call has sent a request that is known to have created nothing."""
        return self._progress.last_error is not None

    def _not_admitted(self, busy: MailboxBusy) -> GatewayError:
        """Return the error for a mailbox that has no slot within the call's time."""
        last_error = self._progress.last_error
        if last_error is None:
            return MailboxLimit(busy.why, retry_delay_s=busy.retry_delay_s)
        last_error.retry_delay_s = busy.retry_delay_s
        return last_error

    def _lost(self) -> GatewayError:
        """Return the error for a lease that another holder has taken over."""
        if self._graph_request.request_id:
            return RequestInProgress(retry_delay_s=LEASE_S, sent_before=self._was_sent_before)
        return LedgerUnavailable("the lease has ended")


def may_act_s(resources: Resources) -> float:
    """Return for how many seconds Graph may act on a request that is sent now.

    This holds even if this process dies: the last piece is only offered before the lease ends.
    """
    return max(resources.timeout_s, LEASE_S) + resources.settle_s
