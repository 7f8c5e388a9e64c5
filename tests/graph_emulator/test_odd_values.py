"""odd_values: what single values become."""

from zoneinfo import available_timezones

import pytest

from graph_emulator import odd_values as odd

NINE_UTC = {"dateTime": "2026-07-02T08:00:00", "timeZone": "UTC"}
ZONES = pytest.mark.skipif(
    "Europe/Berlin" not in available_timezones(), reason="no time zone database"
)


@pytest.mark.parametrize(
    ("change", "value", "shown"),
    [
        (odd.always("unknown"), "teamsForBusiness", "unknown"),
        (odd.backwards, ["a", "b", "c"], ["c", "b", "a"]),
        (odd.rotated, ["a", "b", "c"], ["b", "c", "a"]),
        (odd.rotated, [], []),
        (odd.with_seven_digits, NINE_UTC, {**NINE_UTC, "dateTime": "2026-07-02T08:00:00.0000000"}),
        (odd.with_seven_digits, {"dateTime": "soon"}, {"dateTime": "soon"}),
        (odd.in_windows_words, "Europe/Berlin", "W. Europe Standard Time"),
        (odd.in_windows_words, "My/Zone", "tzone://Microsoft/Custom"),
        (odd.shortened, "x" * 256, "x" * 255),
        (odd.on_one_line, "a\r\nb\nc", "a b c"),
        (odd.normalised, "u\u0308", "\u00fc"),
        (odd.trimmed, " a ", "a"),
        (odd.with_crlf, "a\nb\r\nc", "a\r\nb\r\nc"),
        (odd.phone_digits, ["+49 (30) 123-45"], ["+493012345"]),
        (odd.phone_dashes, "+49 (30) 123-45", "+49-30-123-45"),
        (
            odd.another_message_id,
            "<1@example.org>",
            "<c0723f335f0367840f98117daed935d3@graph-emulator.example>",
        ),
    ],
)
def test_a_value_is_changed(change: odd.Change, value: object, shown: object) -> None:
    """Each change gives what is reported."""
    assert change(value) == shown


@ZONES
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (
            {"dateTime": "2026-07-02T08:00:00", "timeZone": "UTC"},
            {"dateTime": "2026-07-02T10:00:00.0000000", "timeZone": "W. Europe Standard Time"},
        ),
        (
            {"dateTime": "2026-01-02T10:00:00", "timeZone": "Pacific Standard Time"},
            {"dateTime": "2026-01-02T19:00:00.0000000", "timeZone": "W. Europe Standard Time"},
        ),
        (
            {"dateTime": "9999-12-31T23:59:59", "timeZone": "UTC"},
            {"dateTime": "9999-12-31T23:59:59", "timeZone": "UTC"},
        ),
        ({"dateTime": "soon"}, {"dateTime": "soon"}),
        ("soon", "soon"),
    ],
)
def test_a_time_is_shown_in_a_windows_zone(value: object, shown: object) -> None:
    """A time is converted to a zone with a Windows name; an impossible one is unchanged."""
    assert odd.in_a_windows_zone(value) == shown


@pytest.mark.parametrize(
    "change",
    [
        odd.backwards,
        odd.in_windows_words,
        odd.on_one_line,
        odd.phone_digits,
        odd.rotated,
        odd.trimmed,
        odd.with_seven_digits,
    ],
)
def test_a_value_of_another_kind_is_unchanged(change: odd.Change) -> None:
    """A value of a kind that a change doesn't expect is unchanged."""
    assert change(7) == 7


@pytest.mark.parametrize(
    ("value", "shown"),
    [(True, False), (7, 8), (0.5, 1.5), ("a", "a (1)"), (None, ""), ([1], [1]), ({}, {})],
)
def test_a_different_value_of_the_same_kind(value: object, shown: object) -> None:
    """A plain value becomes another one."""
    assert odd.different(value) == shown


@pytest.mark.parametrize(
    ("item", "shown"),
    [
        ({"givenName": "Ann", "surname": "Lee"}, "Lee, Ann"),
        ({"givenName": "Ann", "surname": None}, "Ann"),
        ({"surname": "Lee"}, "Lee"),
        ({}, None),
    ],
)
def test_a_contacts_name_is_composed(item: dict[str, object], shown: object) -> None:
    """A contact's name is composed of the parts that it has."""
    assert odd.recomposed(item, "{surname}, {given}") == shown
