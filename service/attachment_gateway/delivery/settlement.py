"""Settles the unclear attempts of one delivery, those of earlier calls included.

Nothing is sent again before it is settled that they created nothing, and a look-up just before the
next attempt has shown that nothing came since.
"""

import asyncio
from functools import cached_property

import structlog

from attachment_gateway import metrics
from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery.attempt_baseline import AttemptBaseline
from attachment_gateway.delivery.baseline import NOTHING, Baseline
from attachment_gateway.delivery.baseline_policy import BaselineSetting
from attachment_gateway.delivery.held_lease import HeldLease
from attachment_gateway.delivery.post_reader import Listing, ReadError
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
from attachment_gateway.delivery.response_judgement import DEFAULT_RETRY_DELAY_S
from attachment_gateway.delivery.stamps import SendClocks
from attachment_gateway.delivery.state import Event, Progress, UnclearAttempt
from attachment_gateway.errors import GraphUnavailable, LedgerUnavailable, OutcomeUnknown
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.ledger import Acquired, SentAttempt
from attachment_gateway.ledger.boot_clock import boot_time
from graphattachments.v1.attachment_pb2 import Attachment

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Settlement:
    """Finds out what unclear attempts did, and advances the delivery's progress by it."""

    def __init__(
        self,
        resources: Resources,
        graph_request: GraphRequest,
        deadline: Deadline,
        lease: HeldLease,
        progress: Progress,
        baseline: AttemptBaseline,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._resources = resources
        self._graph_request = graph_request
        self._deadline = deadline
        self._lease = lease
        self._progress = progress
        self._baseline = baseline
        self._ids = graph_request.head.sender.ids
        self._looked_at: float | None = None

    @cached_property
    def _reconciliation(self) -> Reconciliation:  # most calls need no look-up
        return Reconciliation(
            reader=self._resources.reader(self._graph_request.head),
            ledger=self._resources.ledger,
            graph_request=self._graph_request,
            settle_s=self._resources.settle_s,
            clock_skew_s=self._resources.clock_skew_s,
        )

    async def settle(self, unknown: OutcomeUnknown, clocks: SendClocks) -> Attachment | None:
        """Return what an attempt that has just ended created; None if nothing. Raises `unknown`.

        `clocks`: when its last piece was offered.
        """
        unclear = UnclearAttempt(
            settled_at=self._loop.time() + self._resources.settle_s,
            clocks=clocks,
            baseline=self._baseline.value,
        )
        self._progress.lose(unclear, created=unknown.created)
        return await self._found(unknown)

    async def inherit(self, acquired: Acquired) -> None:
        """Find out what the earlier calls' attempts did. Raises OutcomeUnknown.

        If all of them were settled, the post is only listed before the next attempt.
        """
        unsettled = acquired.unsettled
        created = unsettled is not None and unsettled.created
        unknown = OutcomeUnknown(
            "an earlier call with this request_id sent a request, and its outcome is not settled",
            created=created,
        )
        self._progress.inherit(map(self._inherited, acquired.attempts), created=created)
        if unsettled is None:
            self._looked_at = float("-inf")
        elif await self._found(unknown) is not None:
            return
        self._progress.rule_out()

    def has_looked_lately(self) -> bool:
        """Return whether nothing was unclear, or a look-up has just shown that nothing came."""
        looked_at = self._looked_at
        return looked_at is None or self._loop.time() - looked_at <= self._reconciliation.spacing_s

    async def found_late(self) -> Attachment | None:
        """Look once more before sending again, unless the last look-up was just now.

        Returns what came after its absence was settled. Raises OutcomeUnknown if that can't be
        told, and GraphUnavailable if the look-up fails: nothing is sent then.
        """
        if self.has_looked_lately():
            return None
        try:
            finding = await self._reconciliation.look_up(self._progress.unclear)
        except ReadError as error:
            raise self._progress.last_error or GraphUnavailable(
                "Graph did not list the post, as is needed after an earlier request",
                retry_delay_s=DEFAULT_RETRY_DELAY_S,
                response=error.response,
            ) from None
        if isinstance(finding, Absent):
            self._note_absence(finding.listing)
            return None
        self._progress.advance(Event.REOPEN)
        late = OutcomeUnknown("an earlier request may have been carried out after it was settled")
        return self._judged(finding, late)

    async def look_for_surplus(self, attachment: Attachment) -> None:
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

    def _inherited(self, attempt: SentAttempt) -> UnclearAttempt:
        clocks = None
        if attempt.wall_s is not None:
            clocks = SendClocks(wall_s=attempt.wall_s, boot_s=boot_time() - attempt.began_ago_s)
        return UnclearAttempt(
            settled_at=self._loop.time() + attempt.settles_in_s,
            clocks=clocks,
            baseline=None if attempt.baseline is None else Baseline.unpacked(attempt.baseline),
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
            raise self._lease.lost(sent_before=True)

    def _note_absence(self, listing: Listing) -> None:
        """Note when a list showed that nothing came, and use it as the next attempt's baseline."""
        self._looked_at = self._loop.time()
        if self._resources.baselines.setting is not BaselineSetting.NEVER:
            self._baseline.take(listing, asked_at=self._looked_at)
