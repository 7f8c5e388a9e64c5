"""errors: what an error says, and no more than is known."""

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
def test_nothing_was_sent_is_only_said_of_a_call_that_sent_nothing(sent_before: bool) -> None:
    """A call that sent something, of which nothing came, says just that."""
    for error in (
        LedgerUnavailable("away", sent_before=sent_before),
        RequestInProgress(retry_delay_s=1, sent_before=sent_before),
    ):
        assert ("nothing was sent to Graph" in str(error)) is not sent_before
        assert ("nothing was created by this call" in str(error)) is sent_before


def test_wrong_fields_are_collected() -> None:
    """The first is in the sentence, and how many more there are."""
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
    """The others are counted."""
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
        ("x" * 20, "x" * 10),
        ("é" * 5, "é" * 5),
        ("é" * 6, "ééé…"),
        ("\ud800", "?"),
    ],
)
def test_texts_from_elsewhere_are_one_line_and_short(text: str, expected: str) -> None:
    """At most so many bytes of UTF-8, cut between characters."""
    shown = quoted(text, 10)
    assert shown == expected if len(text) != 20 else shown == "x" * 7 + "…"
