"""The reconciliation of an unclear attempt: look-ups in Graph until its outcome is settled.

`candidates` decides which attachment is ours. A look-up that finds nothing proves nothing while
Graph may still act on the request.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import ClassVar

import orjson

from attachment_gateway import metrics
from attachment_gateway.delivery import candidates
from attachment_gateway.delivery.candidates import Candidate, Recognizer, Sent
from attachment_gateway.delivery.fingerprint import post_key
from attachment_gateway.delivery.item_comparison import Comparison
from attachment_gateway.delivery.state import UnclearAttempt
from attachment_gateway.errors import LedgerUnavailable
from attachment_gateway.graph import codec
from attachment_gateway.graph.client import GraphClient
from attachment_gateway.graph.request import FILE, GraphRequest
from attachment_gateway.graph.response import Response, retry_after_s
from attachment_gateway.graph.values import JsonObject
from attachment_gateway.ledger import Ledger
from attachment_gateway.mailbox import MailboxBusy, Mailboxes
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

# These won't change for this token and post, so a waiting caller doesn't prolong the look-ups.
_HOPELESS = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.GONE,
    HTTPStatus.NOT_IMPLEMENTED,
}


@dataclass(frozen=True, slots=True)
class Found:
    """The attachment is on the post."""

    word: ClassVar = "found"

    attachment: Attachment


@dataclass(frozen=True, slots=True)
class Absent:
    """No attachment on the post can be ours."""

    word: ClassVar = "absent"


@dataclass(frozen=True, slots=True)
class CannotTell:
    """An attachment on the post may be ours or another's, or the look-ups failed."""

    word: ClassVar = "cannot_tell"


class LookUpError(Exception):
    """A look-up failed: the post's attachments could not be read."""

    def __init__(self, *, hopeless: bool = False, wait_s: float = 0.0) -> None:
        super().__init__()
        self.hopeless = hopeless
        self.wait_s = wait_s


Finding = Found | Absent | CannotTell


@dataclass(slots=True, kw_only=True)
class Reconciliation:
    """Looks up one request's attachment, and remembers which of the post's aren't ours."""

    graph: GraphClient
    ledger: Ledger
    mailboxes: Mailboxes
    mailbox: str
    graph_request: GraphRequest
    settle_s: float
    _cleared: set[str] = field(default_factory=set)
    _recognizer: Recognizer | None = None

    async def settle(self, attempt: UnclearAttempt, *, awaited: Callable[[], bool]) -> Finding:
        """Look up the attachment until it is found or its absence is settled.

        Returns CannotTell if neither can be settled. Look-ups that fail in passing are repeated
        while `awaited()` is true, and for at least GIVE_UP_AFTER_MIN_S after the settling time.
        """
        loop = asyncio.get_running_loop()
        spacing_s = max(self.settle_s * SPACING_SHARE, SPACING_MIN_S)
        began_at, absent_at, failed_s = loop.time(), None, FAILED_WAIT_FIRST_S
        while True:
            asked_at = loop.time()
            settled = asked_at >= attempt.settled_at
            wait_s = candidates.next_look_s(
                asked_at - began_at, attempt.settled_at - asked_at, spacing_s
            )
            try:
                finding = await self.look_up(attempt.offered_at)
                metrics.look_ups(finding.word).inc()
            except LookUpError as failure:
                metrics.look_ups("failed").inc()
                if settled and not self._is_worthwhile(attempt, failure, awaited):
                    return CannotTell()
                wait_s = max(failure.wait_s, failed_s)
                failed_s = min(failed_s * 2, FAILED_WAIT_MAX_S)
            else:
                agreed = absent_at is not None and asked_at - absent_at >= spacing_s
                if isinstance(finding, Found) or (
                    settled and (agreed or isinstance(finding, CannotTell))
                ):
                    return finding
                if settled and absent_at is None:
                    absent_at = asked_at
            await asyncio.sleep(wait_s)

    def _is_worthwhile(
        self, attempt: UnclearAttempt, failure: LookUpError, awaited: Callable[[], bool]
    ) -> bool:
        give_up_after_s = max(self.settle_s, GIVE_UP_AFTER_MIN_S)
        if awaited() and not failure.hopeless:
            return True
        return asyncio.get_running_loop().time() < attempt.settled_at + give_up_after_s

    async def look_up(self, offered_at: float, *, besides: str = "") -> Finding:
        """Look up once what was offered at `offered_at`, on the loop's clock. Raises LookUpError.

        `besides`: the id of an attachment to leave out.
        """
        listed, sent = await self._list(offered_at)
        try:
            claimed = await self.ledger.claimed(post_key(self.graph_request.head.post))
        except LedgerUnavailable:
            raise LookUpError from None
        cleared = frozenset(self._cleared | claimed | {besides})
        verdict: Finding = Absent()
        for candidate in candidates.candidates_among(listed, sent, self.graph_request, cleared):
            finding = await self._examined(candidate)
            if isinstance(finding, Found):
                return finding
            if isinstance(finding, CannotTell):
                verdict = finding
        return verdict

    async def _list(self, offered_at: float) -> tuple[list[JsonObject], Sent]:
        """Return the post's attachments, and when the request was sent on Graph's clock."""
        loop = asyncio.get_running_loop()
        listed: list[JsonObject] = []
        path = self.graph_request.head.path + candidates.SELECT
        sent = None
        for _ in range(candidates.MAX_PAGES):
            asked_at = loop.time()
            response = await self._get(path)
            page = candidates.page(response, root_path=self.graph.root.path)
            if page is None:
                raise LookUpError
            sent = sent or Sent.by(
                candidates.date_of(response),
                asked_s=asked_at - offered_at,
                answered_s=loop.time() - offered_at,
            )
            listed += page.attachments
            path = page.next_path
            if not path:
                return listed, sent
        raise LookUpError(hopeless=True)

    async def _examined(self, candidate: Candidate) -> Finding:
        if self._recognizer is None:
            self._recognizer = Recognizer(self.graph_request)
        response = await self._get(
            self._recognizer.evidence_path(self.graph_request.head.path, candidate),
            or_none=HTTPStatus.NOT_FOUND,
        )
        if response.http_status == HTTPStatus.NOT_FOUND:  # deleted, or not visible yet
            return Absent()
        evidence = response.body or b""
        match self._recognizer.judge(candidate, evidence):
            case Comparison.ALIKE:
                shown = (
                    orjson.dumps(candidate.described)
                    if self.graph_request.kind == FILE
                    else evidence
                )
                found = codec.attachment_from_json(shown, kind=self.graph_request.kind)
                return Found(found or Attachment(id=candidate.id))
            case Comparison.OTHER:
                self._cleared.add(candidate.id)
                return Absent()
            case Comparison.CANT_TELL:
                return CannotTell()

    async def _get(self, path: str, *, or_none: int = 200) -> Response:
        """Read in a slot of the mailbox. Raises LookUpError unless a 200 (or `or_none`) arrives."""
        try:
            async with self.mailboxes.slot(self.mailbox, within_s=self.settle_s):
                response = await self.graph.get(path, self.graph_request.head.sender)
        except (MailboxBusy, LedgerUnavailable) as busy:
            raise LookUpError(wait_s=getattr(busy, "retry_delay_s", 0.0)) from None
        if isinstance(response, Response) and response.http_status in {HTTPStatus.OK, or_none}:
            if response.http_status == HTTPStatus.OK and response.body is None:
                raise LookUpError
            return response
        raise await self._failure(response)

    async def _failure(self, response: object) -> LookUpError:
        if not isinstance(response, Response):
            return LookUpError()
        if response.http_status != HTTPStatus.TOO_MANY_REQUESTS:
            return LookUpError(hopeless=response.http_status in _HOPELESS)
        wait_s = retry_after_s(response.headers, now=time.time()) or FAILED_WAIT_FIRST_S
        with suppress(LedgerUnavailable):
            await self.mailboxes.pause(self.mailbox, wait_s)
        return LookUpError(wait_s=wait_s)
