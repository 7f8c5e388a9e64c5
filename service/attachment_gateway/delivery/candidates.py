"""Which of the attachments that Graph lists was created by an attempt. Pure functions: no I/O.

Graph has no idempotency key, and what it shows is not what was sent. So every attachment on the
post is a candidate until something excludes it: the baseline, or the time at which it was stored.
Its content and its name can identify it; a difference in them proves nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from attachment_gateway.delivery.baseline import Baseline, id_of
from attachment_gateway.delivery.names import Name, compare_names
from attachment_gateway.delivery.stamps import ReadClocks, SendClocks
from attachment_gateway.graph.values import JsonObject

_KINDS = frozenset({"fileattachment", "itemattachment", "referenceattachment"})


class Place(Enum):
    """When an attachment came to the post, as far as the baseline or its stamp shows."""

    NEW = "new by the baseline"
    STAMPED = "stamped in the second of the send or later"
    PERHAPS = "stamped earlier by at most clock_skew_s, or not usably"
    OLD = "in the baseline, or stamped earlier"


class Verdict(Enum):
    """Whether a candidate was created by the attempt."""

    OURS = "ours"
    OURS_IF_ONLY = "ours if it is the only new one of that name, and none is alike"
    CANT_TELL = "can't tell"
    NOT_OURS = "not ours"


_BY_NAME = Mapping[Name, Verdict]


def _row(same: Verdict, perhaps: Verdict, other: Verdict) -> _BY_NAME:
    return MappingProxyType({Name.SAME: same, Name.PERHAPS: perhaps, Name.OTHER: other})


_OURS, _IF_ONLY, _CANT, _NOT = Verdict

# By place, and by whether the content is alike; the columns are the names: same, perhaps, other.
TABLE: Mapping[Place, Mapping[bool, _BY_NAME]] = MappingProxyType(
    {
        Place.NEW: {True: _row(_OURS, _OURS, _OURS), False: _row(_IF_ONLY, _CANT, _CANT)},
        Place.STAMPED: {True: _row(_OURS, _CANT, _CANT), False: _row(_CANT, _CANT, _NOT)},
        Place.PERHAPS: {True: _row(_CANT, _CANT, _CANT), False: _row(_CANT, _CANT, _NOT)},
        Place.OLD: {True: _row(_NOT, _NOT, _NOT), False: _row(_NOT, _NOT, _NOT)},
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sought:
    """What an attempt was to create: its kind (`fileAttachment`, …) and the names it may have."""

    kind: str
    names: tuple[object, ...]

    def name(self, listed: JsonObject) -> Name:
        """Compare a listed attachment's name with those that were sent."""
        return compare_names(self.names, listed.get("name"))

    def is_other_kind(self, listed: JsonObject) -> bool:
        """Return whether the type is certainly another one; Graph writes types in many ways."""
        named = listed.get("@odata.type")
        kind = named.rpartition(".")[2].lower() if isinstance(named, str) else ""
        return kind in _KINDS and kind != self.kind.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What there is to place an attachment: the attempt's baseline, its clocks and its window.

    `window_end` is on Graph's clock; None if no stamp shows what is outside the window. `seen` are
    the ids that were listed before the window ended.
    """

    clocks: ReadClocks
    sent: SendClocks | None
    baseline: Baseline | None
    window_end: float | None
    clock_skew_s: float
    seen: frozenset[str] = frozenset()

    def place(self, listed: JsonObject) -> Place:
        """Return when an attachment came to the post."""
        if self.baseline is not None and (attachment_id := id_of(listed)):
            return Place.OLD if attachment_id in self.baseline else Place.NEW
        second = self.clocks.second_of(self.sent)
        stored_s = self.clocks.usable(listed.get("lastModifiedDateTime"))
        if second is None or stored_s is None:
            return Place.PERHAPS
        if stored_s >= second:
            return Place.STAMPED
        return Place.PERHAPS if stored_s >= second - self.clock_skew_s else Place.OLD

    def limit(self, listed: JsonObject, verdict: Verdict) -> Verdict:
        """Return the verdict, as far as the window allows it."""
        if verdict is Verdict.NOT_OURS:
            return verdict
        if self.baseline is not None and self.baseline.without_id:
            return Verdict.CANT_TELL  # an attachment of the baseline may have got its id since
        stored_s = self.clocks.usable(listed.get("lastModifiedDateTime"))
        if stored_s is None or self.window_end is None:
            return verdict if id_of(listed) in self.seen else Verdict.CANT_TELL
        if stored_s > self.window_end + self.clock_skew_s:
            return Verdict.NOT_OURS
        return verdict if stored_s <= self.window_end else Verdict.CANT_TELL


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An attachment that isn't excluded by when it came; its content may have to be compared."""

    listed: JsonObject
    place: Place
    name: Name

    @property
    def id(self) -> str:
        """The attachment's id, "" if it has none that can be used."""
        return id_of(self.listed)


def candidates_among(
    listed: Sequence[JsonObject], evidence: Evidence, sought: Sought, claimed: frozenset[str]
) -> list[Candidate]:
    """Return the candidates, the most likely first.

    Left out are those that `claimed` has, that the table excludes whatever their content is, and,
    up to the baseline's number, those without an id.
    """
    found = []
    known_without_id = 0 if evidence.baseline is None else evidence.baseline.without_id
    for each in listed:
        candidate = Candidate(listed=each, place=evidence.place(each), name=sought.name(each))
        if not candidate.id and known_without_id:
            known_without_id -= 1
            continue
        other = candidate.name is Name.OTHER and sought.is_other_kind(each)
        if candidate.id in claimed or other or candidate.place is Place.OLD:
            continue
        if evidence.limit(each, Verdict.CANT_TELL) is not Verdict.NOT_OURS:
            found.append(candidate)
    order = list(Place), list(Name)
    return sorted(found, key=lambda one: (order[0].index(one.place), order[1].index(one.name)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A candidate that the attempt has created, and by what it was recognised."""

    candidate: Candidate
    by: str


def judge(
    candidates: Sequence[Candidate], evidence: Evidence, alike: Mapping[str, bool]
) -> Ours | Verdict:
    """Return the attachment that is ours; else CANT_TELL if one may be, else NOT_OURS.

    `alike`, by id: whether the content is alike. What could not be examined is missing from it, and
    counts as not alike.
    """
    verdicts = [
        (each, evidence.limit(each.listed, _verdict(each, alike.get(each.id, False))))
        for each in candidates
    ]
    for candidate, verdict in verdicts:
        if verdict is Verdict.OURS:
            by = "baseline" if candidate.place is Place.NEW else "stamp"
            return Ours(candidate=candidate, by=by)
    named = [
        candidate
        for candidate in candidates
        if candidate.place is Place.NEW and candidate.name is not Name.OTHER
    ]
    for candidate, verdict in verdicts:
        if verdict is Verdict.OURS_IF_ONLY and named == [candidate]:
            return Ours(candidate=candidate, by="name")
    is_excluded = all(verdict is Verdict.NOT_OURS for _, verdict in verdicts)
    return Verdict.NOT_OURS if is_excluded else Verdict.CANT_TELL


def _verdict(candidate: Candidate, alike: bool) -> Verdict:  # noqa: FBT001
    if not candidate.id:
        return Verdict.CANT_TELL
    return TABLE[candidate.place][alike][candidate.name]


def next_look_s(looked_for_s: float, settled_in_s: float, spacing_s: float) -> float:
    """Return how long to wait until the next look-up, in seconds.

    The first waits are short, because most attachments are listed at once. Each is longer than the
    one before, but none passes the settling time, nor half a `spacing_s` before it: what is listed
    then came in the window, even without a stamp. After that they are `spacing_s`.
    """
    if settled_in_s <= 0:
        return spacing_s
    last_s = settled_in_s - spacing_s / 2
    return min(max(2 * looked_for_s, spacing_s / 2), last_s if last_s > 0 else settled_in_s)
