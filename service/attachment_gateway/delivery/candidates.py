"""Is it there, and is it ours? Pure judgement over what Graph lists.

Graph has no idempotency key, so an attachment is recognised: by when it was stored, on Graph's own
clock, and by what it holds. Names don't tell, except in the one second in which the stamps don't.
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

# Without `contentId`, which Graph refuses here, and without `contentBytes`: every file's bytes.
SELECT = "?$select=id,name,contentType,size,isInline,lastModifiedDateTime"

EXPAND_ITEM = "?$expand=microsoft.graph.itemattachment/item"

# A post with more pages than this is not looked through.
MAX_PAGES = 200

# `Date` says the second, and so do Graph's stamps.
CLOCK_STEP_S = 1.0

_FILE_TYPE = "microsoft.graph.fileAttachment"
_ITEM_TYPE = "microsoft.graph.itemAttachment"


class Age(Enum):
    """Whether an attachment was stored before a request left, or after."""

    BEFORE = "before"
    PERHAPS = "perhaps"
    AFTER = "after"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """When a request left on Graph's clock: between two times, in seconds since the epoch."""

    earliest: float
    latest: float

    @classmethod
    def by(cls, date: float | None, *, asked_s: float, answered_s: float) -> "Sent":
        """Reckon from a later answer's `Date`: it was asked for, and came, so long after the send.

        Without a `Date` it may have been any time.
        """
        if date is None:
            return cls(earliest=float("-inf"), latest=float("inf"))
        return cls(earliest=date - answered_s, latest=date + CLOCK_STEP_S - asked_s)

    def age(self, stamp: str | None) -> Age:
        """Tell whether what has this stamp was stored before or after."""
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
    """A page of a list: its attachments, and the path of the next, "" on the last."""

    attachments: tuple[JsonObject, ...]
    next_path: str


def page(response: Response, *, root_path: str) -> Page | None:
    """Read a page; None if the response holds none.

    Only path and query of the next page's address are taken, so that a token goes nowhere else.
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
    """Return Graph's time of answering in seconds since the epoch."""
    return http_date(response.headers.get("date", ""))


def id_of(described: JsonObject) -> str:
    """Return an attachment's id."""
    found = described.get("id")
    return found if isinstance(found, str) else ""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An attachment that may be ours, as it was listed."""

    described: JsonObject
    age: Age

    @property
    def id(self) -> str:
        """Its id."""
        return id_of(self.described)


def candidates_among(
    listed: list[JsonObject], sent: Sent, graph_request: GraphRequest, cleared: frozenset[str]
) -> list[Candidate]:
    """Return what may be ours, the likeliest first: of the right kind, new, not `cleared` yet."""
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
    """Tells whether an attachment is what a request makes, from what it holds."""

    def __init__(self, graph_request: GraphRequest) -> None:
        self._is_file = graph_request.kind == FILE
        self._sent = _described(graph_request)
        self._sha256 = file_sha256(graph_request) if self._is_file else b""

    def evidence_path(self, attachments_path: str, candidate: Candidate) -> str:
        """Return the path at which a candidate's content is: raw bytes, or with its item."""
        path = f"{attachments_path}/{quote(candidate.id, safe='')}"
        return f"{path}/$value" if self._is_file else f"{path}{EXPAND_ITEM}"

    def judge(self, candidate: Candidate, evidence: bytes) -> Comparison:
        """Compare content with content.

        In the second of the send what is alike may be a twin that was there before: then the name
        has to be alike, too.
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
    """Return what a request says of its attachment, without a file's bytes."""
    body = graph_request.body
    described: Mapping[str, object] = orjson.loads(
        body[0] + body[-1] if graph_request.kind == FILE else b"".join(body)
    )
    return described


def next_look_s(looked_for_s: float, settled_in_s: float, spacing_s: float) -> float:
    """Return how long to wait between the beginnings of two looks.

    At first soon, for what was stored is mostly there at once; then less and less often, but when
    it is settled; and from then on spaced.
    """
    if settled_in_s <= 0:
        return spacing_s
    return min(max(2 * looked_for_s, spacing_s / 2), settled_in_s)
