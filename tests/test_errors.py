"""Tests of errors.py: an error says what is known, and no more."""

import pytest

from attachment_gateway.errors import (
    MAX_VIOLATIONS,
    FieldViolation,
    InvalidRequest,
    LedgerUnavailable,
    RequestInProgress,
    Violations,
    quoted,
)


@pytest.mark.parametrize("sent_before", [False, True])
def test_nothing_was_sent_is_said_only_if_nothing_was(sent_before: bool) -> None:
    """An error says that nothing was sent, or after an attempt that nothing was created."""
    for error in (
        LedgerUnavailable("away", sent_before=sent_before),
        RequestInProgress(retry_delay_s=1, sent_before=sent_before),
    ):
        assert ("nothing was sent to Graph" in str(error)) is not sent_before
        assert ("nothing was created by this call" in str(error)) is sent_before


def test_wrong_fields_are_collected() -> None:
    """The error names the first wrong field, counts the others and has all of them."""
    violations = Violations()
    violations.check()
    violations.add("post", "missing")
    with pytest.raises(InvalidRequest) as one:
        violations.check()
    assert str(one.value) == "post: missing"
    violations.add("name", "empty")
    with pytest.raises(InvalidRequest) as two:
        violations.check()
    assert str(two.value) == "post: missing (and 1 more)"
    assert two.value.violations == (
        FieldViolation("post", "missing"),
        FieldViolation("name", "empty"),
    )


def test_twenty_wrong_fields_are_kept() -> None:
    """The error keeps at most MAX_VIOLATIONS wrong fields, and counts the others."""
    violations = Violations()
    for number in range(1000):
        violations.add(f"field {number}", "wrong")
    error = violations.error()
    assert [each.field for each in error.violations] == [f"field {n}" for n in range(20)]
    assert (len(error.violations), error.more) == (MAX_VIOLATIONS, 980)
    assert str(error) == "field 0: wrong (and 999 more)"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\r\nb\tc", "a b c"),
        ("x" * 20, "x" * 7 + "…"),
        ("é" * 5, "é" * 5),
        ("é" * 6, "ééé…"),
        ("\ud800", "?"),
    ],
)
def test_a_quoted_text_is_one_short_line(text: str, expected: str) -> None:
    """A quoted text is one line of at most the given bytes of UTF-8, cut between characters."""
    assert quoted(text, 10) == expected
