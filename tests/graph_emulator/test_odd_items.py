"""odd_items: which properties of an item are changed, how, and how often."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph_emulator.odd_items import BY_TYPE, changes_of, odd_item

SEEDS = [f"seed {number}" for number in range(400)]
MISSING = "(missing)"


def all_shown(kind: str, name: str, value: object, **others: object) -> list[object]:
    """Return what each seed shows of a property."""
    item = {"@odata.type": f"#microsoft.graph.{kind}", name: value, **others}
    return [odd_item(item, seed).get(name, MISSING) for seed in SEEDS]


@pytest.mark.parametrize(
    ("kind", "name", "value", "shown"),
    [
        ("event", "isOnlineMeeting", True, [True, False, MISSING]),
        (
            "event",
            "onlineMeetingProvider",
            "teamsForBusiness",
            [
                *("teamsForBusiness", "unknown", "teamsforbusiness", "TEAMSFORBUSINESS"),
                *("TeamsForBusiness", "teamsForBusiness (1)", MISSING),
            ],
        ),
        (
            "event",
            "originalStartTimeZone",
            "Europe/Berlin",
            [
                *("Europe/Berlin", "W. Europe Standard Time", "tzone://Microsoft/Custom"),
                *("Europe/Berlin (1)", MISSING),
            ],
        ),
        ("event", "transactionId", "t1", ["t1", None, "t1 (1)", MISSING]),
        ("event", "isReminderOn", True, [True, False, None, MISSING]),
        ("event", "reminderMinutesBeforeStart", 30, [30, 31, 15, 0, None, MISSING]),
        (
            "event",
            "showAs",
            "oof",
            ["oof", "busy", None, "OOF", "Oof", "oof (1)", MISSING],
        ),
        (
            "event",
            "sensitivity",
            "private",
            ["private", "normal", None, "PRIVATE", "Private", "private (1)", MISSING],
        ),
        ("message", "isDeliveryReceiptRequested", True, [True, None, False, MISSING]),
        (
            "message",
            "subject",
            "u\u0308\nb",
            ["u\u0308\nb", "u\u0308 b", "\u00fc\nb", "u\u0308\nb (1)", MISSING],
        ),
        (
            "message",
            "conversationId",
            "c1",
            ["c1", "AAQkAGd0f631ca1ddba8db3bcfcb9e057cdc98=", "c1 (1)", MISSING],
        ),
        ("contact", "personalNotes", "a\nb", ["a\nb", "a\r\nb", "a\nb (1)", MISSING]),
        (
            "contact",
            "mobilePhone",
            "+1 (2) 3",
            ["+1 (2) 3", "+123", "+1-2-3", "+1 (2) 3 (1)", MISSING],
        ),
        ("contact", "jobTitle", " x ", [" x ", "x", None, " x  (1)", MISSING]),
        ("event", "extra", 1.5, [1.5, 2.5, MISSING]),
    ],
)
def test_what_a_property_is_shown_as(
    kind: str, name: str, value: object, shown: list[object]
) -> None:
    """A property is shown as it was sent, as reported, as another value, and not at all."""
    assert {repr(one) for one in all_shown(kind, name, value)} == {repr(one) for one in shown}


def test_half_of_the_values_are_changed_as_reported() -> None:
    """A property is changed as its table says with a probability of one half."""
    shown = all_shown("event", "transactionId", "t1")

    assert 160 < shown.count(None) < 240
    assert 5 < shown.count(MISSING) < 40
    assert 5 < shown.count("t1 (1)") < 40


def test_a_long_subject_is_cut() -> None:
    """A subject is cut at 255 characters."""
    assert "s" * 255 in all_shown("message", "subject", "s" * 300)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("fileAs", {"Lee, Ann", "Ann Lee"}),
        ("displayName", {"Ann Lee"}),
    ],
)
def test_a_contacts_names_are_composed(name: str, shown: set[str]) -> None:
    """A contact's names are composed of given name and surname."""
    all_ = all_shown("contact", name, "The Boss", givenName="Ann", surname="Lee")

    assert set(all_) == shown | {"The Boss", "The Boss (1)", MISSING}


@pytest.mark.parametrize(
    ("kind", "name"),
    [("message", "toRecipients"), ("event", "attendees"), ("contact", "categories")],
)
def test_lists_are_reordered(kind: str, name: str) -> None:
    """A list is shown in other orders."""
    shown = [str(one) for one in all_shown(kind, name, ["a", "b", "c"])]

    assert {"['a', 'b', 'c']", "['c', 'b', 'a']", "['b', 'c', 'a']"} <= set(shown)


def test_times_are_shown_with_seven_digits() -> None:
    """A start is shown with seven digits."""
    sent = {"dateTime": "2026-01-02T10:00:00", "timeZone": "UTC"}

    assert {**sent, "dateTime": "2026-01-02T10:00:00.0000000"} in all_shown("event", "start", sent)


def test_a_value_inside_of_a_property_is_seldom_changed() -> None:
    """A value within an object is changed seldom, and an enum there is in another case."""
    body = {"contentType": "html", "content": "x"}
    shown = [one for one in all_shown("event", "body", body) if isinstance(one, dict)]

    changed = [one for one in shown if one["content"] == "x (1)"]
    assert 10 < len(changed) < 100
    assert {"html", "HTML", "Html"} <= {one["contentType"] for one in shown}


@pytest.mark.parametrize("kind", ["message", "event", "contact"])
def test_the_type_stays(kind: str) -> None:
    """An item's type is as it was."""
    item = {"@odata.type": f"#microsoft.graph.{kind}"}

    assert all(odd_item(item, seed) == item for seed in SEEDS)


def test_a_property_has_its_own_chance() -> None:
    """What a property is shown as doesn't depend on the other properties."""
    alone = all_shown("event", "transactionId", "t1")

    assert alone == all_shown("event", "transactionId", "t1", showAs="oof", subject="x")


def test_each_row_has_a_change() -> None:
    """Each property of a table has at least one change."""
    for kind, table in BY_TYPE.items():
        for name in table:
            assert changes_of({"@odata.type": f"#{kind}", name: None}, name)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
NAMES = st.sampled_from([*(name for table in BY_TYPE.values() for name in table), "fileAs", "x"])


@given(st.sampled_from(["message", "event", "contact"]), st.dictionaries(NAMES, JSON), st.text())
def test_any_item_can_be_shown(kind: str, item: dict[str, object], seed: str) -> None:
    """Any item can be shown, twice the same, with no property that it didn't have."""
    item = {**item, "@odata.type": f"#microsoft.graph.{kind}"}
    shown = odd_item(item, seed)

    assert shown == odd_item(item, seed)
    assert set(shown) <= set(item)
