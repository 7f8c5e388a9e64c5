"""The attempts at one request: send, judge, wait, settle and send again until the outcome is known.

`response_judgement` decides the next step. An unclear attempt stays unclear until `settlement` has
settled it, and nothing is sent again before that.
"""

import asyncio
import random
import time
from contextlib import suppress

import structlog

from attachment_gateway import metrics
from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery import response_judgement
from attachment_gateway.delivery.attempt_baseline import AttemptBaseline
from attachment_gateway.delivery.baseline_policy import BaselineSetting
from attachment_gateway.delivery.held_lease import HeldLease
from attachment_gateway.delivery.prefetch import ListedBaseline
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.delivery.response_judgement import (
    Done,
    GiveUp,
    LookUp,
    SendAgain,
    Situation,
    Step,
)
from attachment_gateway.delivery.settlement import Settlement
from attachment_gateway.delivery.stamps import SendClocks, stamp_identifies
from attachment_gateway.delivery.state import Event, Progress
from attachment_gateway.errors import (
    GatewayError,
    LedgerUnavailable,
    MailboxLimit,
    OutcomeUnknown,
)
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.graph.response import (
    NoResponse,
    Response,
    body_bytes_of,
    http_date,
    request_id_of,
)
from attachment_gateway.ledger import LEASE_S, Acquired, Sending
from attachment_gateway.ledger.boot_clock import boot_time
from attachment_gateway.mailbox import MailboxBusy
from attachment_gateway.mailbox.senders import SenderSlot
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
        self._mailbox = resources.mailbox(graph_request.head)
        self._baseline = AttemptBaseline(settle_s=resources.settle_s)
        self._settlement = Settlement(
            resources, graph_request, deadline, lease, progress, self._baseline
        )
        self._sent = SendClocks(wall_s=0.0, boot_s=0.0)

    async def run(
        self, acquired: Acquired, *, wants_baseline: bool, listed: ListedBaseline | None
    ) -> Attachment:
        """Settle an earlier lease holder's unclear attempts, then send until this one is settled.

        `listed`: the baseline that was recorded when the lease was acquired.
        """
        self._baseline.begin(listed, is_wanted=wants_baseline)
        if acquired.attempts:
            await self._settlement.inherit(acquired)
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
        step = await self._resources.graph.off_loop.run(
            body_bytes_of(result),
            response_judgement.decide,
            result,
            self._graph_request,
            self._situation(number),
        )
        metrics.attempts(step.word).inc()
        self._resources.baselines.note_attempt(
            self._mailbox.name, self._loop.time(), unclear=isinstance(step, LookUp)
        )
        match step:
            case Done(attachment=attachment):
                self._progress.create(attachment)
                self._note_stamp(attachment, result)
                await self._settlement.look_for_surplus(attachment)
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
                if (found := await self._settlement.found_late()) is not None:
                    return Done(attachment=found)
                if not self._baseline.is_ready():
                    self._lease.sent()  # what was recorded with the lease has another baseline
                    reader = self._resources.reader(self._graph_request.head)
                    await self._baseline.refresh(reader, within_s=self._deadline.left_s())
                async with self._mailbox.slot(
                    upload_bytes=self._graph_request.size_bytes,
                    within_s=self._deadline.left_s(),
                ) as slot:
                    if not (self._settlement.has_looked_lately() and self._baseline.is_ready()):
                        continue  # the slot was waited for
                    await self._record_sending()
                    return await self._send_in(slot, on_new_connection=on_new_connection)
        except MailboxBusy as busy:
            raise self._not_admitted(busy) from None
        except LedgerUnavailable as error:
            raise LedgerUnavailable(error.why, sent_before=self._was_sent_before) from error
        finally:
            self._lease.sent()

    async def _send_in(self, slot: SenderSlot, *, on_new_connection: bool) -> Response | NoResponse:
        """Send once, and tell the slot what Graph took and answered."""
        self._progress.advance(Event.SEND)
        attempt = self._resources.graph.create_attachment(
            self._graph_request, may_offer=self._may_offer, on_new_connection=on_new_connection
        )
        slot.sends()
        result = await attempt.send()
        if isinstance(result, Response):
            slot.answered(result.http_status)
        if not result.offered:
            slot.took_nothing()
        return result

    async def _record_sending(self) -> None:
        """Record the attempt with its baseline, unless that was done with the lease."""
        if self._lease.is_sending:
            return
        if not await self._lease.record_sending(sending(self._resources, self._baseline.listed)):
            raise self._lease.lost(sent_before=self._was_sent_before)

    def _may_offer(self) -> bool:
        """Return whether the last piece may be offered; if so, record that it is."""
        if not self._lease.holds() or self._deadline.expired.done():
            return False
        self._sent = SendClocks(wall_s=time.time(), boot_s=boot_time())
        self._progress.advance(Event.OFFER)
        return True

    async def _settle(self, unknown: OutcomeUnknown, number: int) -> Step:
        """Find out what an unclear attempt did. Raises `unknown` if that can't be settled."""
        ended_at = self._loop.time()
        if (found := await self._settlement.settle(unknown, self._sent)) is not None:
            return Done(attachment=found)
        since_s = self._loop.time() - ended_at
        step = response_judgement.decide_absent(unknown, self._situation(number), since_s=since_s)
        self._progress.rule_out(step.error)
        return step

    def _note_stamp(self, attachment: Attachment, result: Response | NoResponse) -> None:
        """Note whether the stamp of a new attachment would have identified it."""
        policy = self._resources.baselines
        if policy.setting is not BaselineSetting.AUTO or isinstance(result, NoResponse):
            return
        stamp_s = None
        if attachment.HasField("last_modified_date_time"):
            stamp = attachment.last_modified_date_time
            stamp_s = stamp.seconds + stamp.nanos / 1e9
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
        with suppress(LedgerUnavailable):  # other processes get the pause from Graph's responses
            if await self._mailbox.pause(again.wait_s):
                return
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
