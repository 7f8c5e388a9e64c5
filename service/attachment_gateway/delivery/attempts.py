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
from attachment_gateway.delivery.attempt_baseline import AttemptBaseline
from attachment_gateway.delivery.baseline import NOTHING, Baseline
from attachment_gateway.delivery.baseline_policy import BaselineSetting
from attachment_gateway.delivery.held_lease import HeldLease
from attachment_gateway.delivery.post_reader import Listing, ReadError
from attachment_gateway.delivery.prefetch import ListedBaseline
from attachment_gateway.delivery.reconciliation import (
    MAX_PAGES,
    Absent,
    CannotTell,
    Finding,
    Found,
    Reconciliation,
    besides,
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
from attachment_gateway.delivery.stamps import SendClocks, stamp_identifies
from attachment_gateway.delivery.state import Event, Progress, UnclearAttempt
from attachment_gateway.errors import (
    GatewayError,
    GraphUnavailable,
    LedgerUnavailable,
    MailboxLimit,
    OutcomeUnknown,
    RequestInProgress,
)
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.graph.response import NoResponse, Response, http_date, request_id_of
from attachment_gateway.ledger import LEASE_S, Acquired, Sending, SentAttempt
from attachment_gateway.ledger.boot_clock import boot_time
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
        self._baseline = AttemptBaseline(
            resources.reader(graph_request.head), settle_s=resources.settle_s
        )
        self._looked_at: float | None = None
        self._sent = SendClocks(wall_s=0.0, boot_s=0.0)

    @cached_property
    def _reconciliation(self) -> Reconciliation:  # most calls need no look-up
        return Reconciliation(
            reader=self._resources.reader(self._graph_request.head),
            ledger=self._resources.ledger,
            graph_request=self._graph_request,
            settle_s=self._resources.settle_s,
            clock_skew_s=self._resources.clock_skew_s,
        )

    async def run(
        self, acquired: Acquired, *, wants_baseline: bool, listed: ListedBaseline | None
    ) -> Attachment:
        """Settle an earlier lease holder's unclear attempts, then send until this one is settled.

        `listed`: the baseline that was recorded when the lease was acquired.
        """
        self._baseline.begin(listed, is_wanted=wants_baseline)
        if acquired.attempts:
            await self._settle_inherited(acquired)
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
        result = await self._send(on_new_connection=on_new_connection)
        if isinstance(result, Done):
            return result
        self._ids.graph_request_id = request_id_of(result)
        step = response_judgement.decide(result, self._graph_request, self._situation(number))
        metrics.attempts(step.word).inc()
        self._resources.baselines.note_attempt(
            self._mailbox, self._loop.time(), unclear=isinstance(step, LookUp)
        )
        match step:
            case Done(attachment=attachment):
                self._progress.create(attachment)
                self._note_stamp(attachment, result)
                await self._look_for_surplus(attachment)
            case GiveUp(error=error) | SendAgain(error=error):
                self._progress.refuse(error)
            case LookUp(error=unknown):
                return await self._settle(unknown, number)
        return step

    async def _send(self, *, on_new_connection: bool) -> Response | NoResponse | Done:
        """Send once in a slot of the mailbox, after recording it in the ledger.

        Done if it turns out that an earlier attempt has created the attachment.
        """
        try:
            while True:
                if (found := await self._found_late()) is not None:
                    return Done(attachment=found)
                if not self._baseline.is_ready():
                    self._lease.sent()  # what was recorded with the lease has another baseline
                    await self._baseline.refresh(within_s=self._deadline.left_s())
                async with self._resources.mailboxes.slot(
                    self._mailbox,
                    upload_bytes=self._graph_request.size_bytes,
                    within_s=self._deadline.left_s(),
                ):
                    if not (self._has_looked_lately() and self._baseline.is_ready()):
                        continue  # the slot was waited for
                    await self._record_sending()
                    self._progress.advance(Event.SEND)
                    attempt = self._resources.graph.create_attachment(
                        self._graph_request,
                        may_offer=self._may_offer,
                        on_new_connection=on_new_connection,
                    )
                    return await attempt.send()
        except MailboxBusy as busy:
            raise self._not_admitted(busy) from None
        except LedgerUnavailable as error:
            raise LedgerUnavailable(error.why, sent_before=self._was_sent_before) from error
        finally:
            self._lease.sent()

    async def _record_sending(self) -> None:
        """Record the attempt with its baseline, unless that was done with the lease."""
        if self._lease.is_sending:
            return
        if not await self._lease.record_sending(sending(self._resources, self._baseline.listed)):
            raise self._lost(sent_before=self._was_sent_before)

    def _may_offer(self) -> bool:
        """Return whether the last piece may be offered; if so, record that it is."""
        if not self._lease.holds() or self._deadline.expired.done():
            return False
        self._sent = SendClocks(wall_s=time.time(), boot_s=boot_time())
        self._progress.advance(Event.OFFER)
        return True

    def _has_looked_lately(self) -> bool:
        """Return whether nothing was unclear, or a look-up has just shown that nothing came."""
        looked_at = self._looked_at
        return looked_at is None or self._loop.time() - looked_at <= self._reconciliation.spacing_s

    # Settling.

    async def _settle(self, unknown: OutcomeUnknown, number: int) -> Step:
        """Find out what an unclear attempt did. Raises `unknown` if that can't be settled."""
        ended_at = self._loop.time()
        unclear = UnclearAttempt(
            settled_at=ended_at + self._resources.settle_s,
            clocks=self._sent,
            baseline=self._baseline.value,
        )
        self._progress.lose(unclear, created=unknown.created)
        if (found := await self._found(unknown)) is not None:
            return Done(attachment=found)
        since_s = self._loop.time() - ended_at
        step = response_judgement.decide_absent(unknown, self._situation(number), since_s=since_s)
        self._progress.rule_out(step.error)
        return step

    async def _settle_inherited(self, acquired: Acquired) -> None:
        """Find out what the earlier calls' attempts did. Raises OutcomeUnknown.

        If all of them were settled, look once more: what is found undoes the absence.
        """
        unsettled = acquired.unsettled
        created = unsettled is not None and unsettled.created
        unknown = OutcomeUnknown(
            "an earlier call with this request_id sent a request, and its outcome is not settled",
            created=created,
        )
        self._progress.inherit(map(self._inherited, acquired.attempts), created=created)
        if unsettled is not None:
            if await self._found(unknown) is None:
                self._progress.rule_out()
            return
        self._progress.rule_out()
        self._looked_at = float("-inf")

    def _inherited(self, attempt: SentAttempt) -> UnclearAttempt:
        clocks = None
        if attempt.wall_s is not None:
            clocks = SendClocks(wall_s=attempt.wall_s, boot_s=boot_time() - attempt.began_ago_s)
        baseline = None if attempt.baseline is None else Baseline.unpacked(attempt.baseline)
        return UnclearAttempt(
            settled_at=self._loop.time() + attempt.settles_in_s,
            clocks=clocks,
            baseline=baseline,
            seen=Baseline.unpacked(attempt.seen) if attempt.seen else NOTHING,
        )

    async def _found(self, unknown: OutcomeUnknown) -> Attachment | None:
        """Return what the unclear attempts created, or None if nothing. Raises `unknown`."""
        finding = await self._reconciliation.settle(
            self._progress.unclear, awaited=lambda: not self._deadline.expired.done()
        )
        if isinstance(finding, Absent) and not unknown.created:
            await self._record_absent(finding.listing)
            return None
        return self._judged(finding, unknown)

    def _judged(self, finding: Finding, unknown: OutcomeUnknown) -> Attachment:
        """Return what was found. Raises `unknown` if nothing was."""
        if isinstance(finding, Found):
            self._progress.create(finding.attachment, found=True)
            self._ids.recognised_by = finding.by
            return finding.attachment
        self._progress.seen = self._reconciliation.possible
        if isinstance(finding, CannotTell) and finding.response is not None:
            unknown.response = finding.response
        raise unknown

    async def _record_absent(self, listing: Listing) -> None:
        """Record that the unclear attempts created nothing; `listing` showed it."""
        self._note_absence(listing)
        try:
            is_held = await self._lease.record_absent()
        except LedgerUnavailable as error:
            raise LedgerUnavailable(error.why, sent_before=True) from error
        if not is_held:
            raise self._lost(sent_before=True)

    def _note_absence(self, listing: Listing) -> None:
        """Note when a list showed that nothing came, and use it as the next attempt's baseline."""
        self._looked_at = self._loop.time()
        if self._resources.baselines.setting is not BaselineSetting.NEVER:
            self._baseline.take(listing, asked_at=self._looked_at)

    async def _found_late(self) -> Attachment | None:
        """Look once more before sending again, unless the last look-up was just now.

        Returns what came after its absence was settled. Raises OutcomeUnknown if that can't be
        told, and GraphUnavailable if the look-up fails: nothing is sent then.
        """
        if self._has_looked_lately():
            return None
        try:
            finding = await self._reconciliation.look_up(self._progress.unclear)
        except ReadError as error:
            raise self._progress.last_error or GraphUnavailable(
                "Graph did not list the post, as is needed after an earlier request",
                retry_delay_s=response_judgement.DEFAULT_RETRY_DELAY_S,
                response=error.response,
            ) from None
        if isinstance(finding, Absent):
            self._note_absence(finding.listing)
            return None
        self._progress.advance(Event.REOPEN)
        late = OutcomeUnknown("an earlier request may have been carried out after it was settled")
        return self._judged(finding, late)

    async def _look_for_surplus(self, attachment: Attachment) -> None:
        """After a success, log and count what an earlier unclear attempt has created as well."""
        if not self._progress.unclear:
            return
        try:
            listing = await self._reconciliation.reader.listing(max_pages=MAX_PAGES)
            finding = await self._reconciliation.judge(
                self._progress.unclear, besides(listing, attachment.id)
            )
        except ReadError:
            return
        if isinstance(finding, Found):
            metrics.SURPLUS.inc()
            log.error("surplus", attachment_id=finding.attachment.id, **self._ids.known())

    def _note_stamp(self, attachment: Attachment, result: Response | NoResponse) -> None:
        """Note whether the stamp of a new attachment would have identified it."""
        policy = self._resources.baselines
        if policy.setting is not BaselineSetting.AUTO or isinstance(result, NoResponse):
            return
        stamp_s = None
        if attachment.HasField("last_modified_date_time"):
            stamp_s = attachment.last_modified_date_time.ToNanoseconds() / 1e9
        identifies = stamp_identifies(
            stamp_s,
            http_date(result.headers.get("date", "")),
            self._sent,
            took_s=boot_time() - self._sent.boot_s,
        )
        policy.note_stamp(self._loop.time(), identifies=identifies)

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

    def _lost(self, *, sent_before: bool) -> GatewayError:
        """Return the error for a lease that another holder has taken over."""
        if self._graph_request.request_id:
            return RequestInProgress(retry_delay_s=LEASE_S, sent_before=sent_before)
        return LedgerUnavailable("the lease has ended", sent_before=sent_before)


def may_act_s(resources: Resources) -> float:
    """Return for how many seconds Graph may act on a request that is sent now.

    This holds even if this process dies: the last piece is only offered before the lease ends.
    """
    return max(resources.timeout_s, LEASE_S) + resources.settle_s


def sending(resources: Resources, listed: ListedBaseline | None) -> Sending:
    """Return what the ledger records of an attempt that is about to be sent."""
    return Sending(
        settles_in_s=may_act_s(resources),
        wall_s=time.time(),
        baseline=None if listed is None else listed.baseline.packed(),
        turn=None if listed is None else listed.turn,
    )
