"""Tests of delivery/candidates.py: the table that says whose an attachment is, row by row."""

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.delivery.baseline import Baseline
from attachment_gateway.delivery.candidates import (
    Candidate,
    Evidence,
    Ours,
    Place,
    Sought,
    Verdict,
    candidates_among,
    judge,
    next_look_s,
)
from attachment_gateway.delivery.item_comparison import is_alike
from attachment_gateway.delivery.names import Name
from attachment_gateway.delivery.stamps import ReadClocks, SendClocks
from attachment_gateway.graph.values import JsonObject

NOON = 1_773_144_000.0  # 2026-03-10T12:00:00Z

FILE = Sought(kind="fileAttachment", names=("a.txt",))

# Sent at noon, settled 15 s later, listed 4 s later; the baseline has OLD.
BY_STAMP = Evidence(
    clocks=ReadClocks(date_s=NOON + 4, read_at=504.0, wall_s=NOON + 4.2),
    sent=SendClocks(wall_s=NOON + 0.2, boot_s=500.0),
    baseline=None,
    window_end=NOON + 15,
    clock_skew_s=300.0,
    seen=frozenset({"A", "B", "OLD"}),
)
BY_BASELINE = replace(BY_STAMP, baseline=Baseline.of([{"id": "OLD"}]))

NAMES = {Name.SAME: "a.txt", Name.PERHAPS: None, Name.OTHER: "b.txt"}
STAMPS = {
    Place.NEW: "2026-03-10T11:00:00Z",  # a stamp doesn't matter beside a baseline
    Place.STAMPED: "2026-03-10T12:00:00Z",
    Place.PERHAPS: "2026-03-10T11:59:59Z",
    Place.OLD: "2026-03-10T11:54:59Z",
}


def listed(**properties: Any) -> JsonObject:
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "id": "A",
        "name": "a.txt",
        "lastModifiedDateTime": "2026-03-10T12:00:00Z",
        **properties,
    }


def judged(
    *attachments: JsonObject, evidence: Evidence, alike: tuple[str, ...] = ()
) -> Verdict | str:
    """Return the verdict on a list, or the id and the word of what is ours."""
    candidates = candidates_among(attachments, evidence, FILE, frozenset())
    found = judge(candidates, evidence, dict.fromkeys(alike, True))
    return f"{found.candidate.id} by {found.by}" if isinstance(found, Ours) else found


CANT, NOT = Verdict.CANT_TELL, Verdict.NOT_OURS
BASELINE, STAMP, NAME = "A by baseline", "A by stamp", "A by name"

# For each place: content alike, then not alike; under the same, perhaps the same, another name.
ROWS = {
    Place.NEW: ((BASELINE, BASELINE, BASELINE), (NAME, CANT, CANT)),
    Place.STAMPED: ((STAMP, CANT, CANT), (CANT, CANT, NOT)),
    Place.PERHAPS: ((CANT, CANT, CANT), (CANT, CANT, NOT)),
    Place.OLD: ((NOT, NOT, NOT), (NOT, NOT, NOT)),
}
CELLS = [
    (place, alike, name, ROWS[place][not alike][column])
    for place, alike, (column, name) in itertools.product(ROWS, (True, False), enumerate(NAMES))
]


@pytest.mark.parametrize(("place", "alike", "name", "verdict"), CELLS)
def test_every_cell_of_the_table(
    place: Place, alike: bool, name: Name, verdict: Verdict | str
) -> None:
    """The place, the content and the name of an attachment say whose it is."""
    evidence = BY_BASELINE if place is Place.NEW else BY_STAMP
    attachment = listed(name=NAMES[name], lastModifiedDateTime=STAMPS[place])
    old = listed(id="OLD", name="old", lastModifiedDateTime=STAMPS[Place.OLD])
    alike_ids = ("A",) if alike else ()
    assert judged(old, attachment, evidence=evidence, alike=alike_ids) == verdict


@pytest.mark.parametrize("name", NAMES.values())
def test_what_the_baseline_has_is_not_ours(name: object) -> None:
    """An attachment in the baseline is not ours, whatever its content, name and stamp are."""
    assert judged(listed(id="OLD", name=name), evidence=BY_BASELINE, alike=("OLD",)) is NOT


@pytest.mark.parametrize("stamp", [None, "2026-03-10T12:00:00", "0001-01-01T00:00:00Z"])
def test_without_a_usable_stamp_nothing_is_identified(stamp: object) -> None:
    """An attachment without a usable stamp may be ours if content or name are like ours."""
    unstamped = listed(lastModifiedDateTime=stamp)
    assert judged(unstamped, evidence=BY_STAMP, alike=("A",)) is CANT
    assert judged(unstamped, evidence=BY_STAMP) is CANT


@pytest.mark.parametrize(
    "evidence",
    [
        replace(BY_STAMP, sent=None),
        replace(BY_STAMP, clocks=replace(BY_STAMP.clocks, date_s=None)),
        replace(BY_STAMP, clocks=replace(BY_STAMP.clocks, wall_s=NOON + 124)),
    ],
    ids=["another machine", "no Date", "a wall clock that stepped"],
)
def test_without_clocks_that_agree_nothing_is_identified_by_its_stamp(evidence: Evidence) -> None:
    """While the clocks don't agree, an attachment is neither ours nor excluded by its stamp."""
    old = listed(lastModifiedDateTime="2026-03-09T12:00:00Z")
    assert judged(listed(), evidence=evidence, alike=("A",)) is CANT
    assert judged(old, evidence=evidence, alike=("A",)) is CANT


@pytest.mark.parametrize(
    ("stamp", "by_baseline", "by_stamp"),
    [
        ("2026-03-10T12:00:15Z", BASELINE, STAMP),
        ("2026-03-10T12:00:16Z", CANT, CANT),
        ("2026-03-10T12:05:15Z", CANT, CANT),
        ("2026-03-10T12:05:16Z", NOT, NOT),
    ],
)
def test_the_window_ends_what_can_be_ours(
    stamp: str, by_baseline: Verdict | str, by_stamp: Verdict | str
) -> None:
    """After the window it is at best unknown, and by more than clock_skew_s after it not ours."""
    clocks = ReadClocks(date_s=NOON + 400, read_at=900.0, wall_s=NOON + 400.2)
    late = listed(lastModifiedDateTime=stamp)
    old = listed(id="OLD", name="old", lastModifiedDateTime=STAMPS[Place.OLD])
    for evidence, verdict in ((BY_BASELINE, by_baseline), (BY_STAMP, by_stamp)):
        at_noon = replace(evidence, clocks=clocks)
        assert judged(old, late, evidence=at_noon, alike=("A",)) == verdict


def test_what_is_first_listed_after_the_window_without_a_stamp_cannot_be_told() -> None:
    """Without a usable stamp, only what was listed before the window ended can be ours."""
    unstamped = listed(lastModifiedDateTime=None)
    old = listed(id="OLD", name="old")
    assert judged(old, unstamped, evidence=BY_BASELINE, alike=("A",)) == BASELINE
    late = replace(BY_BASELINE, seen=frozenset({"OLD"}))
    assert judged(old, unstamped, evidence=late, alike=("A",)) is CANT
    unknown_end = replace(late, window_end=None)
    assert judged(old, listed(), evidence=unknown_end, alike=("A",)) is CANT


def test_the_only_new_one_of_the_name_is_ours() -> None:
    """By its name, only one is ours; with a second one of the name, neither can be told."""
    old, other = listed(id="OLD", name="old"), listed(id="B", name="b.txt")
    assert judged(old, listed(), other, evidence=BY_BASELINE) == NAME
    assert judged(old, listed(), listed(id="B"), evidence=BY_BASELINE) is CANT
    assert judged(old, listed(), listed(id="B", name=None), evidence=BY_BASELINE) is CANT
    second = judged(old, listed(), listed(id="B"), evidence=BY_BASELINE, alike=("B",))
    assert second == "B by baseline"


@pytest.mark.parametrize(
    ("kind", "name", "verdict"),
    [
        ("#microsoft.graph.itemAttachment", "b.txt", NOT),
        ("#Microsoft.OutlookServices.ItemAttachment", "b.txt", NOT),
        ("#microsoft.graph.itemAttachment", "a.txt", NAME),
        ("#microsoft.graph.FILEATTACHMENT", "b.txt", CANT),
        ("#microsoft.graph.strangeAttachment", "b.txt", CANT),
        (None, "b.txt", CANT),
        (7, "b.txt", CANT),
    ],
)
def test_a_kind_excludes_only_with_another_name(
    kind: object, name: str, verdict: Verdict | str
) -> None:
    """A type in any case or namespace excludes only if it is another known kind."""
    old = listed(id="OLD", name="old")
    attachment = listed(name=name, **{"@odata.type": kind})
    assert judged(old, attachment, evidence=BY_BASELINE) == verdict


def test_an_attachment_without_an_id_cannot_be_told() -> None:
    """Without a usable id it can't be told, unless the baseline had as many of them."""
    nameless = listed(id=None, name="b.txt")
    old = listed(id="OLD", name="old")
    assert judged(old, nameless, evidence=BY_BASELINE) is CANT
    assert judged(nameless, evidence=BY_STAMP) is CANT
    had_one = replace(BY_STAMP, baseline=Baseline.of([{"id": "OLD"}, {"id": None}]))
    assert judged(old, nameless, evidence=had_one) is NOT
    # The attachment without an id may have got one since, and be this one.
    assert judged(old, nameless, listed(), evidence=had_one, alike=("A",)) is CANT
    assert judged(old, nameless, nameless, evidence=had_one) is CANT


def test_what_is_claimed_is_no_candidate() -> None:
    """An attachment that another call has created is no candidate."""
    claimed = frozenset({"A"})
    found = candidates_among([listed(), listed(id="B")], BY_STAMP, FILE, claimed)
    assert [each.id for each in found] == ["B"]


def test_the_likeliest_candidate_is_first() -> None:
    """Candidates are in the order of their place, and then of their name."""
    attachments = [
        listed(id="other", name="b.txt"),
        listed(id="early", lastModifiedDateTime=STAMPS[Place.PERHAPS]),
        listed(id="same"),
    ]
    found = candidates_among(attachments, BY_STAMP, FILE, frozenset())
    assert found == [
        Candidate(listed=attachments[2], place=Place.STAMPED, name=Name.SAME),
        Candidate(listed=attachments[0], place=Place.STAMPED, name=Name.OTHER),
        Candidate(listed=attachments[1], place=Place.PERHAPS, name=Name.SAME),
    ]


@pytest.mark.parametrize(
    ("looked_for_s", "settled_in_s", "wait_s"),
    [
        (0.0, 15.0, 0.75),
        (0.75, 14.25, 1.5),
        (2.25, 12.75, 4.5),
        (6.75, 8.25, 7.5),
        (14.25, 0.75, 0.75),
        (15.0, 0.0, 1.5),
        (16.5, -1.5, 1.5),
    ],
)
def test_looks_become_rarer_until_settled(
    looked_for_s: float, settled_in_s: float, wait_s: float
) -> None:
    """Each wait is longer than the one before, and none passes the settling time."""
    assert next_look_s(looked_for_s, settled_in_s, spacing_s=1.5) == wait_s


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(("@odata.type", "id", "name", "size", "lastModifiedDateTime")), JSON
    )
)
def test_any_json_is_survived(attachment: JsonObject) -> None:
    """Whatever a list holds is judged, and nothing raises."""
    for evidence in (BY_STAMP, BY_BASELINE):
        for found in candidates_among([attachment], evidence, FILE, frozenset()):
            judge([found], evidence, {found.id: True})
            judge([found], evidence, {})


@given(st.dictionaries(st.sampled_from(("subject", "body", "start", "toRecipients")), JSON), JSON)
def test_any_item_is_survived(sent: JsonObject, shown: object) -> None:
    """Whatever Graph shows of an item is compared, and nothing raises."""
    is_alike(sent, shown)
    is_alike(sent, dict.fromkeys(sent, shown))
    assert is_alike(sent, sent) in (True, False)
