"""Tests of delivery/names.py: the comparison of names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.delivery.names import Name, compare_names

LONG = "minutes of the meeting of the board " * 8


@pytest.mark.parametrize(
    ("sent", "shown", "result"),
    [
        ("a.txt", "a.txt", Name.SAME),
        ("A.txt", "a.TXT", Name.SAME),
        ("my file.txt", " myfile.txt", Name.SAME),
        ("a:b?.txt", "ab.txt", Name.SAME),
        ("a/b.txt", "a_b.txt", Name.SAME),
        ("a\x07b\u200b.txt", "ab.txt", Name.SAME),
        ("cafe\u0301.txt", "caf\u00e9.txt", Name.SAME),
        (LONG, LONG[:255], Name.SAME),
        ("minutes.txt", "minutes", Name.PERHAPS),
        ("minutes", "minutes.txt", Name.PERHAPS),
        ("a.txt", None, Name.PERHAPS),
        ("a.txt", "", Name.PERHAPS),
        ("a.txt", 7, Name.PERHAPS),
        ("???", "a.txt", Name.PERHAPS),
        ("a.txt", "b.txt", Name.OTHER),
        ("a\ud800.txt", "a\ud801.txt", Name.SAME),
        ("a" * 300 + "b", "a" * 300 + "c", Name.SAME),  # Outlook keeps 255 characters
        ("a" * 100 + "b" * 300, "a" * 100 + "c" * 300, Name.OTHER),
        ("a" * 255 + "e\u0301" * 9, "a" * 255 + "\u00e9" * 9, Name.SAME),
        ("a" * 1_000_000, "a" * 2_000_000, Name.SAME),
        (" " * 1000 + "a.txt", "a.txt", Name.PERHAPS),  # its beginning tells nothing
    ],
)
def test_names_are_compared_without_what_is_changed_on_the_way(
    sent: object, shown: object, result: Name
) -> None:
    """Case, blanks, forbidden characters and a cut make no other name."""
    assert compare_names([sent], shown) is result


def test_the_best_of_several_names_counts() -> None:
    """An item may be listed under its own name or under its subject."""
    assert compare_names(["item", "Planning"], "planning") is Name.SAME
    assert compare_names(["item", "Planning"], "Minutes") is Name.OTHER
    assert compare_names([], "Minutes") is Name.PERHAPS


@given(st.text())
def test_a_name_is_the_same_as_itself(name: str) -> None:
    """Any string can be compared, and with itself it is the same or has nothing to compare."""
    assert compare_names([name], name) in {Name.SAME, Name.PERHAPS}
