"""The reconciliation of an unclear attempt: look-ups in Graph until its outcome is settled.

`candidates` decides which attachment is ours. A look-up that finds nothing proves nothing while
Graph may still act on the request, and a list that isn't whole proves nothing at any time.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from attachment_gateway import metrics
from attachment_gateway.delivery.baseline import Baseline, digest
from attachment_gateway.delivery.candidates import (
    Candidate,
    Evidence,
    Ours,
    Verdict,
    candidates_among,
    judge,
    next_look_s,
)
from attachment_gateway.delivery.content_comparison import ContentComparison
from attachment_gateway.delivery.fingerprint import post_key
from attachment_gateway.delivery.post_reader import Listing, PostReader, ReadError
from attachment_gateway.delivery.state import UnclearAttempt
from attachment_gateway.errors import ErrorResponse, LedgerUnavailable
from attachment_gateway.graph import codec
from attachment_gateway.graph.request import ITEM, GraphRequest
from attachment_gateway.ledger import Ledger
from attachment_gateway.ledger.boot_clock import boot_time
from graphattachments.v1.attachment_pb2 import Attachment

# The least time between the two look-ups that have to agree that there is nothing: this share of
# `settle_s`, but at least SPACING_MIN_S.
SPACING_SHARE = 0.1
SPACING_MIN_S = 0.05

# How long failing look-ups are repeated after the settling time if no caller waits: `settle_s`, but
# at least this.
GIVE_UP_AFTER_MIN_S = 5.0

# How long to wait after a look-up that failed, doubled each time.
FAILED_WAIT_FIRST_S = 0.1
FAILED_WAIT_MAX_S = 5.0

# A look-up of a post with more pages than this fails.
MAX_PAGES = 200


@dataclass(frozen=True, slots=True)
class Found:
    """The attachment is on the post; `by`: the word for what it was recognised by."""

    word: ClassVar = "found"

    attachment: Attachment
    by: str


@dataclass(frozen=True, slots=True)
class Absent:
    """No attachment on the post can be ours; `listing` is the last look-up's."""

    word: ClassVar = "absent"

    listing: Listing


@dataclass(frozen=True, slots=True)
class CannotTell:
    """An attachment on the post may be ours or another's, or the look-ups failed.

    `response`: Graph's refusal of the last look-up, if there is one.
    """

    word: ClassVar = "cannot_tell"

    response: ErrorResponse | None = None


Finding = Found | Absent | CannotTell


@dataclass(slots=True, kw_only=True)
class Reconciliation:
    """Looks up one request's attachment, and remembers what it has seen of the post."""

    reader: PostReader
    ledger: Ledger
    graph_request: GraphRequest
    settle_s: float
    clock_skew_s: float
    _comparison: ContentComparison = field(init=False)
    _alike: dict[str, bool] = field(default_factory=dict)
    _seen: dict[float, set[str]] = field(default_factory=dict)
    """For each attempt's end of settling, the ids that were listed before."""
    _possible: set[bytes] = field(default_factory=set)
    """The digests of the ids of candidates that could be ours when they were listed."""

    def __post_init__(self) -> None:
        self._comparison = ContentComparison(self.graph_request)

    @property
    def possible(self) -> Baseline:
        """The attachments that may be ours, as far as they were listed."""
        return Baseline.of_digests(self._possible)

    @property
    def spacing_s(self) -> float:
        """The least time between two look-ups that have to agree."""
        return max(self.settle_s * SPACING_SHARE, SPACING_MIN_S)

    async def settle(
        self, attempts: Sequence[UnclearAttempt], *, awaited: Callable[[], bool]
    ) -> Finding:
        """Look up the attachment until it is found or its absence is settled.

        `attempts`: every unclear attempt of the request id, of which the last isn't settled.
        Returns CannotTell if it can't be settled. Look-ups that fail in passing are repeated while
        `awaited()` is true, and for at least GIVE_UP_AFTER_MIN_S after the settling time.
        """
        finding = await self._settle(attempts, awaited)
        metrics.reconciliations(finding.by if isinstance(finding, Found) else finding.word).inc()
        return finding

    async def _settle(
        self, attempts: Sequence[UnclearAttempt], awaited: Callable[[], bool]
    ) -> Finding:
        loop = asyncio.get_running_loop()
        began_at, failed_s = loop.time(), FAILED_WAIT_FIRST_S
        settled_at = attempts[-1].settled_at
        agreed: tuple[str, float] | None = None
        while True:
            asked_at = loop.time()
            is_settled = asked_at >= settled_at
            wait_s = next_look_s(asked_at - began_at, settled_at - asked_at, self.spacing_s)
            try:
                finding = await self.look_up(attempts)
                metrics.look_ups(finding.word).inc()
            except ReadError as error:
                metrics.look_ups("failed").inc()
                if is_settled and not self._is_worthwhile(settled_at, error, awaited):
                    return CannotTell(error.response)
                wait_s = max(error.wait_s, failed_s)
                failed_s = min(failed_s * 2, FAILED_WAIT_MAX_S)
            else:
                if isinstance(finding, Found):
                    return finding
                word, since = agreed or ("", 0.0)
                if word == finding.word and asked_at - since >= self.spacing_s:
                    return finding
                if is_settled and word != finding.word:
                    agreed = finding.word, asked_at
            await asyncio.sleep(wait_s)

    def _is_worthwhile(
        self, settled_at: float, error: ReadError, awaited: Callable[[], bool]
    ) -> bool:
        if awaited() and not error.is_lasting:
            return True
        give_up_after_s = max(self.settle_s, GIVE_UP_AFTER_MIN_S)
        return asyncio.get_running_loop().time() < settled_at + give_up_after_s

    async def look_up(self, attempts: Sequence[UnclearAttempt]) -> Finding:
        """Look once for what any of the attempts has created. Raises ReadError.

        It is also raised if a list that isn't whole shows nothing that can be ours.
        """
        listing = await self.reader.listing(max_pages=MAX_PAGES)
        finding = await self.judge(attempts, listing)
        if isinstance(finding, Absent) and not listing.is_whole:
            raise ReadError
        return finding

    async def judge(self, attempts: Sequence[UnclearAttempt], listing: Listing) -> Finding:
        """Return what a list shows of the attempts, the earliest first. Raises ReadError."""
        now = asyncio.get_running_loop().time()
        try:
            claimed = await self.ledger.claimed(post_key(self.graph_request.head.post))
        except LedgerUnavailable:
            raise ReadError from None
        listed = set(map(digest, listing.ids))
        # What is listed is judged anew; what has vanished stays possible, unless it was another's.
        self._possible.update(*(attempt.seen.digests for attempt in attempts))
        self._possible -= listed | set(map(digest, claimed))
        has_vanished = bool(self._possible)
        verdict = Verdict.NOT_OURS
        for attempt in attempts:
            if now < attempt.settled_at:
                self._seen.setdefault(attempt.settled_at, set()).update(listing.ids)
            evidence = self._evidence(attempt, listing, now)
            found = candidates_among(listing.listed, evidence, self._comparison.sought, claimed)
            judged = judge(found, evidence, await self._compared(found))
            if isinstance(judged, Ours):
                return Found(await self._described(judged.candidate), judged.by)
            if judged is Verdict.CANT_TELL:
                verdict = judged
                self._possible |= {digest(each.id) for each in found if each.id}
        is_absent = verdict is Verdict.NOT_OURS and not has_vanished
        return Absent(listing) if is_absent else CannotTell()

    def _evidence(self, attempt: UnclearAttempt, listing: Listing, now: float) -> Evidence:
        baseline = attempt.baseline
        clocks = listing.clocks
        read_at = now - (boot_time() - clocks.read_at)  # on the loop's clock
        return Evidence(
            clocks=clocks,
            sent=attempt.clocks,
            baseline=baseline if baseline is None or baseline.counts(listing.ids) else None,
            window_end=clocks.window_end(attempt.settled_at - read_at, self.clock_skew_s),
            clock_skew_s=self.clock_skew_s,
            seen=frozenset(self._seen.get(attempt.settled_at, ())),
        )

    async def _compared(self, candidates: Sequence[Candidate]) -> dict[str, bool]:
        """Return, by id, whether the content is alike; what can't be read is missing.

        Each content is read once, and none after one that is alike.
        """
        for candidate in candidates:
            if candidate.id in self._alike or not self._comparison.needs_content(candidate):
                continue
            content = await self.reader.content(self._comparison.path(candidate))
            if content is not None:
                self._alike[candidate.id] = self._comparison.is_alike(content)
            if self._alike.get(candidate.id):
                break
        return self._alike

    async def _described(self, candidate: Candidate) -> Attachment:
        """Return the attachment as Graph describes it, an item with its properties."""
        kind = self.graph_request.kind
        shown = None
        if kind == ITEM:
            shown = await self.reader.content(self._comparison.path(candidate))
        # All that is read of a listed attachment is plain values; others may be nested too deeply
        # to be written. Not by orjson, which refuses half a surrogate pair.
        plain = {
            name: value
            for name, value in candidate.listed.items()
            if name != "@odata.type" and not isinstance(value, list | dict)
        }
        listed = json.dumps(plain).encode()
        for described in filter(None, (shown, listed)):
            found = codec.attachment_from_json(described, kind=kind)
            if found is not None and found.id == candidate.id:
                return found
        return Attachment(id=candidate.id)


def besides(listing: Listing, attachment_id: str) -> Listing:
    """Return a list without one attachment."""
    listed = tuple(each for each in listing.listed if each.get("id") != attachment_id)
    return replace(listing, listed=listed)
