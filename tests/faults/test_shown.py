"""What Graph's responses tell of an attempt, and what they leave open."""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
import pytest

from tests.faults.shown import outcome_is_told
from tests.faults.traffic import Passage

LIST = "/v1.0/groups/g/threads/t/posts/p/attachments"
SETTLE_S = 1.0
SENT_AT = 10.0
IN_WINDOW, LATE, LATER = 10.1, 11.2, 11.4
OLD = {"id": "old", "name": "a.bin"}
OURS = {"id": "new", "name": "a.bin"}
OTHER = {"id": "new", "name": "b.bin"}


def post(at: float = SENT_AT, *, status: int = 503) -> Passage:
    """A POST whose exchange ended at the moment at which it began."""
    return Passage("POST", LIST, at, ended_at=at, status=status)


def listed(
    at: float,
    *shown: Mapping[str, Any],
    target: str = LIST,
    head: bytes = b"",
    next_link: str | None = None,
) -> Passage:
    """A list that was shown at a time."""
    body = orjson.dumps({"value": shown, "@odata.nextLink": next_link or ""})
    return Passage("GET", target, at, ended_at=at, status=200, head=head, body=body)


def content(id_: str, data: bytes) -> Passage:
    """A file's content, shown in the window."""
    target = f"{LIST}/{id_}/$value"
    return Passage("GET", target, IN_WINDOW, ended_at=IN_WINDOW, status=200, body=data)


TOLD: Mapping[str, Sequence[Passage]] = {
    "new, of the same name": [listed(9.9, OLD), post(), listed(IN_WINDOW, OLD, OURS)],
    "new, with the same bytes": [
        *(listed(9.9), post(), listed(IN_WINDOW, OTHER), content("new", b"data")),
    ],
    "nothing new after it was settled": [
        *(listed(9.9, OLD), post(), listed(IN_WINDOW, OLD)),
        *(listed(LATE, OLD), listed(LATER, OLD)),
    ],
}

OPEN: Mapping[str, Sequence[Passage]] = {
    "no POST": [listed(9.9)],
    "no baseline": [post(), listed(IN_WINDOW, OURS)],
    "a baseline that is too old": [listed(8.9), post(), listed(IN_WINDOW, OURS)],
    "a baseline from a cache": [
        *(listed(9.9, head=b"HTTP/1.1 200 OK\r\nAge: 3\r\n"), post(), listed(IN_WINDOW, OURS)),
    ],
    "a baseline with an id that is none": [
        *(listed(9.9, {"id": None}), post(), listed(IN_WINDOW, OURS)),
    ],
    "a baseline without its second page": [
        listed(9.9, next_link=f"http://graph{LIST}?$skip=1"),
        *(post(), listed(IN_WINDOW, OURS)),
    ],
    "ids that have changed": [
        *(listed(9.9, OLD), post(), listed(IN_WINDOW, {"id": "old 2", "name": "a.bin"})),
    ],
    "new, of another name, with other bytes": [
        *(listed(9.9), post(), listed(IN_WINDOW, OTHER), content("new", b"atad")),
        *(listed(LATE, OTHER), listed(LATER, OTHER)),
    ],
    "two new ones of the name": [
        *(listed(9.9), post(), listed(IN_WINDOW, OURS, {"id": "new 2", "name": "a.bin"})),
    ],
    "first listed after it was settled": [listed(9.9), post(), listed(LATE, OURS)],
    "settled only after the client gave up": [
        *(listed(9.9), post(), listed(LATE), listed(LATER)),
    ],
    "listed and gone": [
        *(listed(9.9), post(), listed(IN_WINDOW, OTHER), listed(LATE), listed(LATER)),
    ],
    "one look after it was settled": [
        *(listed(9.9), post(), listed(IN_WINDOW), listed(LATE)),
    ],
    "acknowledged, and not there": [
        *(listed(9.9), post(status=201), listed(IN_WINDOW), listed(LATE), listed(LATER)),
    ],
    "settled, and sent again": [
        *(listed(9.9), post(), listed(IN_WINDOW), listed(LATE), listed(LATER)),
        *(post(12.1), listed(12.2)),
    ],
}


@pytest.mark.parametrize("case", TOLD)
def test_the_responses_tell_the_outcome(case: str) -> None:
    """What was shown fits only one outcome."""
    assert outcome_is_told(TOLD[case], name="a.bin", data=b"data", settle_s=SETTLE_S)


@pytest.mark.parametrize("case", OPEN)
def test_the_responses_leave_the_outcome_open(case: str) -> None:
    """What was shown fits both outcomes."""
    assert not outcome_is_told(OPEN[case], name="a.bin", data=b"data", settle_s=SETTLE_S)


def test_a_baseline_of_two_pages_is_read_twice() -> None:
    """Two readings of the same pages are a baseline, one is none."""
    link = f"http://graph{LIST}?$skip=1"
    reading = [listed(9.8, OLD, next_link=link), listed(9.9, target=f"{LIST}?$skip=1")]
    then = [post(), listed(IN_WINDOW, OLD, OURS)]
    for readings, is_told in ((reading, False), (reading * 2, True)):
        passages = [*readings, *then]
        assert is_told is outcome_is_told(passages, name="a.bin", data=None, settle_s=SETTLE_S)
