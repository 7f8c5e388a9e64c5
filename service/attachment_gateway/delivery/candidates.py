"""Which of the attachments that Graph lists is ours. Pure functions: no I/O.

Graph has no idempotency key, so an attachment is recognised by the time at which it was stored, on
Graph's own clock, and by its content. The name must match as well if the times don't show whether
the attachment was stored before or after the send.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from urllib.parse import quote, urlsplit

import orjson

from attachment_gateway.delivery.fingerprint import file_sha256
from attachment_gateway.delivery.item_comparison import Comparison, compare_items
from attachment_gateway.graph import codec
from attachment_gateway.graph.request import FILE, GraphRequest
from attachment_gateway.graph.response import Response, http_date
from attachment_gateway.graph.values import JsonObject

# `contentId` is missing because Graph refuses it here; `contentBytes`, because it is every file's
# content.
SELECT = "?$select=id,name,contentType,size,isInline,lastModifiedDateTime"

EXPAND_ITEM = "?$expand=microsoft.graph.itemattachment/item"

# The look-up of a post with more pages than this fails.
MAX_PAGES = 200

# The resolution of the `Date` header and of Graph's timestamps.
CLOCK_STEP_S = 1.0

_FILE_TYPE = "microsoft.graph.fileAttachment"
_ITEM_TYPE = "microsoft.graph.itemAttachment"


class Age(Enum):
    """Whether an attachment was stored before or after a request was sent."""

    BEFORE = "before"
    PERHAPS = "perhaps"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """The times on Graph's clock between which a request was sent, in seconds since the epoch."""

    earliest: float
    latest: float

    @classmethod
    def by(cls, date: float | None, *, asked_s: float, answered_s: float) -> "Sent":
        """Return the times, computed from the `Date` of a later response.

        `asked_s` and `answered_s`: how long after the send that response was requested and
        received. Without a `Date` (None) the request may have been sent at any time.
        """
        if date is None:
            return cls(earliest=float("-inf"), latest=float("inf"))
        return cls(earliest=date - answered_s, latest=date + CLOCK_STEP_S - asked_s)

    def age(self, stamp: str | None) -> Age:
        """Return whether an attachment with this timestamp was stored before or after the send."""
        try:
            stored = datetime.fromisoformat(stamp or "").timestamp()
        except ValueError:
            return Age.PERHAPS
        if stored >= self.latest:
            return Age.AFTER
        step_s = 0.0 if "." in (stamp or "") else CLOCK_STEP_S
        return Age.BEFORE if stored + step_s <= self.earliest else Age.PERHAPS


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list: its attachments, and the path of the next page, "" on the last."""

    attachments: tuple[JsonObject, ...]
    next_path: str


def page(response: Response, *, root_path: str) -> Page | None:
    """Read a page; None if the response holds none.

    Only the path and query of the next page's URL are used, so that the token is sent to no other
    origin.
    """
    body = codec.parsed(response.body or b"")
    value = body.get("value")
    if response.http_status != 200 or not isinstance(value, list):
        return None
    link = body.get("@odata.nextLink")
    next_path = ""
    if isinstance(link, str):
        parts = urlsplit(link)
        next_path = f"{parts.path.removeprefix(root_path)}?{parts.query}"
    return Page(tuple(one for one in value if isinstance(one, dict)), next_path)


def date_of(response: Response) -> float | None:
    """Return the response's `Date` in seconds since the epoch; None if it has none."""
    return http_date(response.headers.get("date", ""))


def id_of(described: JsonObject) -> str:
    """Return an attachment's id, or "" if it has none."""
    found = described.get("id")
    return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An attachment that may be ours, as it was listed."""

    described: JsonObject
    age: Age

    @property
    def id(self) -> str:
        """The attachment's id."""
        return id_of(self.described)


def candidates_among(
    listed: list[JsonObject], sent: Sent, graph_request: GraphRequest, cleared: frozenset[str]
) -> list[Candidate]:
    """Return the candidates, most likely first: of the request's kind, not older, not `cleared`."""
    wanted = _FILE_TYPE if graph_request.kind == FILE else _ITEM_TYPE
    found = []
    for described in listed:
        stamp = described.get("lastModifiedDateTime")
        candidate = Candidate(described, sent.age(stamp if isinstance(stamp, str) else None))
        kind = described.get("@odata.type")
        if (
            candidate.age is not Age.BEFORE
            and candidate.id not in cleared
            and (not isinstance(kind, str) or kind.removeprefix("#") == wanted)
        ):
            found.append(candidate)
    name = _described(graph_request).get("name")
    return sorted(
        found, key=lambda one: (one.age is not Age.AFTER, one.described.get("name") != name)
    )


class Recognizer:
    """Compares an attachment's content with what a request creates."""

    def __init__(self, graph_request: GraphRequest) -> None:
        self._is_file = graph_request.kind == FILE
        self._sent = _described(graph_request)
        self._sha256 = file_sha256(graph_request) if self._is_file else b""

    def evidence_path(self, attachments_path: str, candidate: Candidate) -> str:
        """Return the path of a candidate's content: a file's raw bytes, or JSON with the item."""
        path = f"{attachments_path}/{quote(candidate.id, safe='')}"
        return f"{path}/$value" if self._is_file else f"{path}{EXPAND_ITEM}"

    def judge(self, candidate: Candidate, evidence: bytes) -> Comparison:
        """Compare a candidate's content, `evidence`, with the request's.

        A candidate whose age is PERHAPS may be an older attachment with the same content, so it is
        only ALIKE if its name is the same, too.
        """
        comparison = self._compare(evidence)
        named_otherwise = candidate.described.get("name") != self._sent.get("name")
        if comparison is Comparison.ALIKE and candidate.age is Age.PERHAPS and named_otherwise:
            return Comparison.CANT_TELL
        return comparison

    def _compare(self, evidence: bytes) -> Comparison:
        if self._is_file:
            same = hashlib.sha256(evidence).digest() == self._sha256
            return Comparison.ALIKE if same else Comparison.OTHER
        return compare_items(self._sent.get("item"), codec.parsed(evidence).get("item"))


def _described(graph_request: GraphRequest) -> Mapping[str, object]:
    """Return a request's JSON, without a file's bytes."""
    body = graph_request.body
    described: Mapping[str, object] = orjson.loads(
        body[0] + body[-1] if graph_request.kind == FILE else b"".join(body)
    )
    return described


def next_look_s(looked_for_s: float, settled_in_s: float, spacing_s: float) -> float:
    """Return how long to wait until the next look-up, in seconds.

    The first waits are short, because most attachments are listed at once. Each is longer than the
    one before, but none passes the settling time; after that they are `spacing_s`.
    """
    if settled_in_s <= 0:
        return spacing_s
    return min(max(2 * looked_for_s, spacing_s / 2), settled_in_s)
