"""What Graph's responses tell of an attempt that had a baseline, judged without the gateway's code.

The rules are simpler than the gateway's, and only go by ids, names and bytes. So where they tell an
outcome, the gateway could have told it, too.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import orjson

from tests.faults.traffic import Passage

OK = 200
SUCCESSES = range(200, 300)
MAX_BASELINE_PAGES = 3


@dataclass(slots=True, kw_only=True)
class Reading:
    """One reading of a list, page by page; `names` has the name of each id."""

    began_at: float
    ended_at: float
    names: dict[str, str] = field(default_factory=dict)
    pages: int = 1
    next_link: str = ""
    is_broken: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every page came, with an id in each element, and none from a cache."""
        return not (self.is_broken or self.next_link)

    def add(self, passage: Passage) -> None:
        """Add a page."""
        self.ended_at = passage.ended_at
        self.is_broken |= passage.status != OK or b"\r\nage:" in passage.head.lower()
        try:
            page: Any = orjson.loads(passage.body)
            elements = page["value"]
            found = {each["id"]: str(each.get("name")) for each in elements}
            self.next_link = page.get("@odata.nextLink", "")
        except (ValueError, KeyError, TypeError, AttributeError):
            self.is_broken, self.next_link = True, ""
            return
        self.is_broken |= (
            None in found or len(found) < len(elements) or bool(found.keys() & self.names)
        )
        self.names |= found


def outcome_is_told(
    passages: Sequence[Passage], *, name: str, data: bytes | None, settle_s: float
) -> bool:
    """Return whether the responses tell whether the last POST created an attachment.

    `passages` are those up to the call's end, `name` and `data` what was sent; `data` is None for
    an item.
    """
    posts = [each for each in passages if each.method == "POST"]
    readings = _readings(passages)
    baseline = _baseline(readings, posts[0].began_at, settle_s) if posts else None
    if baseline is None:
        return False
    after = [each for each in readings if each.began_at >= posts[0].began_at]
    whole = [each for each in after if each.is_whole]
    if baseline and whole and not baseline & whole[-1].names.keys():
        return False  # the ids have changed, so none tells anything
    in_window = [each for each in after if each.ended_at <= posts[-1].ended_at + settle_s]
    if _shows_it(in_window, baseline, _contents(passages), name, data):
        return True
    # A client that was left waiting ended the exchange later, and then looked for the outcome.
    looked_at = next((each.began_at for each in after if each.began_at > posts[-1].began_at), 0.0)
    settled_at = max(posts[-1].ended_at, looked_at) + settle_s
    late = [each for each in whole if each.began_at >= settled_at and each.pages == 1]
    is_acknowledged = any(each.status in SUCCESSES for each in posts)
    has_new = any(_new(each, baseline) for each in after)
    return len(late) > 1 and not has_new and not is_acknowledged


def _shows_it(
    readings: Sequence[Reading],
    baseline: Collection[str],
    contents: Mapping[str, bytes],
    name: str,
    data: bytes | None,
) -> bool:
    """Return whether a new attachment has the bytes that were sent, or alone has the name."""
    new = [id_ for each in readings for id_ in _new(each, baseline)]
    if data is not None and any(contents.get(id_) == data for id_ in new):
        return True
    whole = [each for each in readings if each.is_whole]
    return bool(whole) and list(_new(whole[-1], baseline).values()).count(name) == 1


def _readings(passages: Sequence[Passage]) -> Sequence[Reading]:
    readings: list[Reading] = []
    for passage in passages:
        if passage.method != "GET" or not _path(passage).endswith("/attachments"):
            continue
        last = readings[-1] if readings else None
        if last and last.next_link.endswith(passage.target):
            last.pages += 1
        else:
            last = Reading(began_at=passage.began_at, ended_at=passage.ended_at)
            readings.append(last)
        last.add(passage)
    return readings


def _baseline(readings: Sequence[Reading], sent_at: float, settle_s: float) -> set[str] | None:
    """Return the ids of the last list before the first POST, if it counts as a baseline."""
    before = [each for each in readings if each.ended_at <= sent_at]
    if not before or not before[-1].is_whole or before[-1].began_at < sent_at - settle_s:
        return None
    last = before[-1]
    if last.pages > 1 and (
        last.pages > MAX_BASELINE_PAGES or len(before) == 1 or before[-2].names != last.names
    ):
        return None
    return set(last.names)


def _new(reading: Reading, baseline: Collection[str]) -> Mapping[str, str]:
    return {id_: name for id_, name in reading.names.items() if id_ not in baseline}


def _contents(passages: Sequence[Passage]) -> Mapping[str, bytes]:
    """Return the contents of files that were fetched, by id."""
    paths = [(_path(each).split("/"), each) for each in passages if each.status == OK]
    return {path[-2]: each.body for path, each in paths if path[-1] == "$value"}


def _path(passage: Passage) -> str:
    return unquote(passage.target.partition("?")[0])
