"""Tests of delivery/baseline.py: which attachments were on the post before."""

from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.delivery.baseline import MAX_IDS, Baseline, digest, id_of
from attachment_gateway.graph.values import JsonObject


def listed(*ids: object) -> list[JsonObject]:
    return [{"id": each, "name": "a"} for each in ids]  # type: ignore[dict-item]  # hostile ids


def test_a_baseline_has_the_ids_of_a_list() -> None:
    """It has the ids that were listed, and the number of attachments without a usable one."""
    baseline = Baseline.of(listed("A", "B", None, "", "\ud800", 7))
    assert baseline == Baseline(frozenset({digest("A"), digest("B")}), 4)
    assert "A" in baseline
    assert "a" not in baseline


def test_a_list_that_is_too_large_is_no_baseline() -> None:
    """A list of more than MAX_IDS attachments is no baseline, never a part of one."""
    ids = [f"id {number}" for number in range(MAX_IDS + 1)]
    assert Baseline.of(listed(*ids[:-1])) is not None
    assert Baseline.of(listed(*ids)) is None


def test_a_baseline_counts_while_one_of_its_ids_is_listed() -> None:
    """If none of its ids is listed any more, Graph may have renamed them."""
    baseline = Baseline(frozenset({digest("A"), digest("B")}))
    assert baseline.counts(["B", "C"])
    assert not baseline.counts(["C"])
    assert not baseline.counts([])
    assert Baseline(frozenset()).counts(["C"])


def test_an_id_that_cannot_be_used_is_none() -> None:
    """An id that isn't a printable text can't be put into a path."""
    ids = ["A=", None, 7, "", "a\nb", "\ud800", "a" * 1025]
    assert [id_of(each) for each in listed(*ids)] == ["A=", "", "", "", "", "", ""]
    assert id_of({"id": "a" * 1024}) == "a" * 1024


@given(st.lists(st.text(st.characters(codec="utf-8")), max_size=30), st.integers(0, 5))
def test_packing_keeps_it(ids: list[str], without_id: int) -> None:
    """A baseline that was packed and unpacked is the same."""
    baseline = Baseline(frozenset(map(digest, ids)), without_id)
    assert Baseline.unpacked(baseline.packed()) == baseline
