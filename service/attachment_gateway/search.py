"""Find out what became of an unclear attempt: look for it in Graph until that is settled.

Drives `graph` by `lookup`. Absence takes time: an empty list proves nothing while Graph may still
be at work on the request.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

import orjson

from attachment_gateway import graph_json, lookup, metrics
from attachment_gateway.envelope import FILE, Envelope
from attachment_gateway.errors import LedgerUnavailable
from attachment_gateway.fingerprint import post_key
from attachment_gateway.graph import Graph
from attachment_gateway.graph_values import JsonObject
from attachment_gateway.ledger import Ledger
from attachment_gateway.likeness import Likeness
from attachment_gateway.lookup import Recogniser, Sent, Suspect
from attachment_gateway.mailbox import MailboxBusy, Mailboxes
from attachment_gateway.reply import Reply, retry_after_s
from graphattachments.v1.attachment_pb2 import Attachment

# How far apart the two looks are that have to agree, as a share of the time of settling.
SPACING_SHARE = 0.1
SPACING_MIN_S = 0.05

# How long looks that fail are repeated when the time of settling is over and nobody waits.
PATIENCE_MIN_S = 5.0

# How long to wait after a look that failed, doubled each time.
BLIND_FIRST_S = 0.1
BLIND_MAX_S = 5.0

# These won't change for this token and post, so the looks end with the patience.
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
    """It is there."""

    attachment: Attachment


@dataclass(frozen=True, slots=True)
class Nothing:
    """Nothing there can be it."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """Something there may be it, or another's."""


class BlindError(Exception):
    """Graph doesn't show what is there."""

    def __init__(self, *, hopeless: bool = False, wait_s: float = 0.0) -> None:
        super().__init__()
        self.hopeless = hopeless
        self.wait_s = wait_s


Sight = Found | Nothing | Doubt


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What has to be settled, on the loop's clock: when it left, and when it is settled."""

    left_at: float
    settled_at: float


@dataclass(slots=True, kw_only=True)
class Search:
    """The search for one envelope's attachment; remembers what it has seen is another's."""

    graph: Graph
    ledger: Ledger
    mailboxes: Mailboxes
    mailbox: str
    envelope: Envelope
    settle_s: float
    _cleared: set[str] = field(default_factory=set)
    _recogniser: Recogniser | None = None

    async def settle(self, attempt: Attempt, *, awaited: Callable[[], bool]) -> Sight:
        """Look until it is found, or settled that it isn't there; Doubt if that can't be told.

        Looks that fail are repeated: as long as the answer is `awaited`, or the patience lasts.
        """
        loop = asyncio.get_running_loop()
        spacing_s = max(self.settle_s * SPACING_SHARE, SPACING_MIN_S)
        began_at, absent_at, blind_s = loop.time(), None, BLIND_FIRST_S
        while True:
            asked_at = loop.time()
            settled = asked_at >= attempt.settled_at
            wait_s = lookup.next_look_s(
                asked_at - began_at, attempt.settled_at - asked_at, spacing_s
            )
            try:
                sight = await self.look(attempt.left_at)
                metrics.looks(type(sight).__name__).inc()
            except BlindError as blind:
                metrics.looks("Blind").inc()
                if settled and not self._worthwhile(attempt, blind, awaited):
                    return Doubt()
                wait_s = max(blind.wait_s, blind_s)
                blind_s = min(blind_s * 2, BLIND_MAX_S)
            else:
                agreed = absent_at is not None and asked_at - absent_at >= spacing_s
                if isinstance(sight, Found) or (settled and (agreed or isinstance(sight, Doubt))):
                    return sight
                if settled and absent_at is None:
                    absent_at = asked_at
            await asyncio.sleep(wait_s)

    def _worthwhile(self, attempt: Attempt, blind: BlindError, awaited: Callable[[], bool]) -> bool:
        patience_s = max(self.settle_s, PATIENCE_MIN_S)
        if awaited() and not blind.hopeless:
            return True
        return asyncio.get_running_loop().time() < attempt.settled_at + patience_s

    async def look(self, left_at: float, *, besides: str = "") -> Sight:
        """Look once for what was sent at a time of the loop's clock; raises BlindError.

        `besides` is the id of one that is known.
        """
        listed, sent = await self._list(left_at)
        try:
            claimed = await self.ledger.claimed(post_key(self.envelope.head.post))
        except LedgerUnavailable:
            raise BlindError from None
        cleared = frozenset(self._cleared | claimed | {besides})
        verdict: Sight = Nothing()
        for suspect in lookup.suspects(listed, sent, self.envelope, cleared):
            sight = await self._examined(suspect)
            if isinstance(sight, Found):
                return sight
            if isinstance(sight, Doubt):
                verdict = sight
        return verdict

    async def _list(self, left_at: float) -> tuple[list[JsonObject], Sent]:
        """Return what is on the post, and when the request left on Graph's clock."""
        loop = asyncio.get_running_loop()
        listed: list[JsonObject] = []
        path = self.envelope.head.path + lookup.SELECT
        sent = None
        for _ in range(lookup.MAX_PAGES):
            asked_at = loop.time()
            reply = await self._get(path)
            page = lookup.page(reply, root_path=self.graph.root.path)
            if page is None:
                raise BlindError
            sent = sent or Sent.by(
                lookup.date_of(reply),
                asked_s=asked_at - left_at,
                answered_s=loop.time() - left_at,
            )
            listed += page.attachments
            path = page.next_path
            if not path:
                return listed, sent
        raise BlindError(hopeless=True)

    async def _examined(self, suspect: Suspect) -> Sight:
        if self._recogniser is None:
            self._recogniser = Recogniser(self.envelope)
        reply = await self._get(
            self._recogniser.evidence_path(self.envelope.head.path, suspect),
            or_none=HTTPStatus.NOT_FOUND,
        )
        if reply.http_status == HTTPStatus.NOT_FOUND:  # deleted meanwhile, or not to be seen yet
            return Nothing()
        evidence = reply.body or b""
        match self._recogniser.judge(suspect, evidence):
            case Likeness.ALIKE:
                shown = orjson.dumps(suspect.described) if self.envelope.kind == FILE else evidence
                found = graph_json.attachment_from_json(shown, kind=self.envelope.kind)
                return Found(found or Attachment(id=suspect.id))
            case Likeness.OTHER:
                self._cleared.add(suspect.id)
                return Nothing()
            case Likeness.CANT_TELL:
                return Doubt()

    async def _get(self, path: str, *, or_none: int = 200) -> Reply:
        """Read, within the mailbox's limits; raises BlindError for what isn't a whole answer."""
        try:
            async with self.mailboxes.turn(self.mailbox, within_s=self.settle_s):
                reply = await self.graph.get(path, self.envelope.head.sender)
        except (MailboxBusy, LedgerUnavailable) as busy:
            raise BlindError(wait_s=getattr(busy, "retry_delay_s", 0.0)) from None
        if isinstance(reply, Reply) and reply.http_status in {HTTPStatus.OK, or_none}:
            if reply.http_status == HTTPStatus.OK and reply.body is None:
                raise BlindError
            return reply
        raise await self._blinded(reply)

    async def _blinded(self, reply: object) -> BlindError:
        if not isinstance(reply, Reply):
            return BlindError()
        if reply.http_status != HTTPStatus.TOO_MANY_REQUESTS:
            return BlindError(hopeless=reply.http_status in _HOPELESS)
        wait_s = retry_after_s(reply.headers, now=time.time()) or BLIND_FIRST_S
        with suppress(LedgerUnavailable):
            await self.mailboxes.hold(self.mailbox, wait_s)
        return BlindError(wait_s=wait_s)
