"""Compares what Graph stored with what callers were told. No networking code."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from graph_emulator.posts import StoredAttachment
from tests.faults.caller import Ended
from tests.faults.contents import Content

Known = Literal["created", "nothing", "unclear"]


@dataclass(slots=True, kw_only=True)
class Intent:
    """One attachment that a caller wants, and the calls made for it."""

    content: Content
    request_id: str
    ends: list[Ended] = field(default_factory=list)

    @property
    def known(self) -> Known:
        """What the callers know of the attachment, from all that they were told."""
        known: Known = "nothing"
        unclear_until = 0.0
        for end in sorted(self.ends, key=lambda end: end.ended_at):
            if end.says == "created":
                return "created"
            if end.says in ("unknown", "cut off"):
                known, unclear_until = "unclear", end.ended_at
            elif end.says == "nothing" and end.began_at >= unclear_until:
                known = "nothing"
        return known

    @property
    def ids(self) -> set[str]:
        """The attachment ids that the calls returned."""
        return {end.attachment_id for end in self.ends if end.says == "created"}


def violations(
    intents: Sequence[Intent],
    placed: Iterable[str],
    stored: Sequence[StoredAttachment],
    claimable: Iterable[str] = (),
) -> list[str]:
    """Return where what is stored on a post differs from what its callers were told.

    All intents have the same content; `placed` are the ids that others put there, `claimable` those
    of them that a call may take for its own if its own attachment isn't there.
    """
    others = set(placed)
    own = [one for one in stored if one.id not in others]
    answered = set(claimable) & {each for intent in intents for each in intent.ids}
    claimed = [one for one in stored if one.id in answered]
    ours = [*own, *claimed[: max(len(intents) - len(own), 0)]]
    found = [
        *_altered(intents, own),
        *_miscounted(intents, ours),
        *_misnamed(intents, own, answered),
    ]
    if gone := [one.id for one in stored if one.deleted_at is not None]:
        found.append(f"deleted: {len(gone)}")
    return found


def _altered(intents: Sequence[Intent], ours: Sequence[StoredAttachment]) -> Iterable[str]:
    names = {intent.content.name for intent in intents}
    for one in ours:
        if not intents[0].content.is_in(one) or one.name not in names:
            yield f"altered: a {one.kind} of {len(one.content)} bytes, {one.name!r}"


def _miscounted(intents: Sequence[Intent], ours: Sequence[StoredAttachment]) -> Iterable[str]:
    known = [intent.known for intent in intents]
    least, unclear = known.count("created"), known.count("unclear")
    told = ", ".join(known)
    if len(ours) < least:
        yield f"lost: {len(ours)} stored, callers know of: {told}"
    if len(ours) > least + unclear:
        word = "denied" if least + unclear == 0 and len(ours) == 1 else "duplicate"
        yield f"{word}: {len(ours)} stored, callers know of: {told}"


def _misnamed(
    intents: Sequence[Intent], ours: Sequence[StoredAttachment], claimed: Collection[str]
) -> Iterable[str]:
    names = {one.id: one.name for one in ours}
    answered: set[str] = set()
    for intent in intents:
        if len(intent.ids) > 1:
            yield f"two ids for one request id: {len(intent.ids)}"
        for id_ in intent.ids:
            if id_ in claimed:
                continue
            if id_ not in names:
                yield "an id that is nobody's, or another's"
            elif names[id_] != intent.content.name:
                yield f"the id of {names[id_]!r} for {intent.content.name!r}"
        if answered & intent.ids:
            yield "one id for two intents"
        answered |= intent.ids


def in_time(sent_at: Sequence[float], effects_at: Sequence[float], *, settle_s: float) -> bool:
    """Return whether each effect can have its own request, sent at most `settle_s` before.

    The promise holds for a Graph that settles in time, which a machine under load may not.
    """
    left = sorted(sent_at)
    for at in sorted(effects_at):
        fitting = [sent for sent in left if at - settle_s <= sent <= at]
        if not fitting:
            return False
        left.remove(fitting[0])
    return True
