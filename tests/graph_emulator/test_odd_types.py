"""odd_types: the forms of type names and of enum values."""

import pytest

from graph_emulator.odd_types import CASES, odd_type, odd_typed_item

SEEDS = [str(number) for number in range(200)]
EVENT = {
    "@odata.type": "#microsoft.graph.event",
    "subject": "Meeting",
    "showAs": "workingElsewhere",
    "recurrence": {"pattern": {"daysOfWeek": ["monday"], "interval": 2}},
}


def shown_types(sent: str) -> set[object]:
    """Return all forms of a type, None for a missing one."""
    return {odd_type({"@odata.type": sent}, seed).get("@odata.type") for seed in SEEDS}


def test_forms_of_an_attachments_type() -> None:
    """An attachment's type is shown in another case, namespace, without `#`, or not at all."""
    assert shown_types("#microsoft.graph.fileAttachment") == {
        "#microsoft.graph.fileAttachment",
        "microsoft.graph.fileAttachment",
        "#microsoft.graph.fileattachment",
        "#MICROSOFT.GRAPH.FILEATTACHMENT",
        "#Microsoft.OutlookServices.FileAttachment",
        "Microsoft.OutlookServices.FileAttachment",
        None,
    }


def test_a_message_is_also_shown_as_a_derived_type() -> None:
    """A message is also shown as a type that Graph derives from it."""
    assert shown_types("#microsoft.graph.message") == {
        "#microsoft.graph.message",
        "microsoft.graph.message",
        "#MICROSOFT.GRAPH.MESSAGE",
        "#Microsoft.OutlookServices.Message",
        "Microsoft.OutlookServices.Message",
        "#microsoft.graph.eventMessage",
        "#microsoft.graph.eventMessageRequest",
        None,
    }


def test_the_other_properties_stay() -> None:
    """Only the type is changed."""
    shown = odd_type({"@odata.type": "#microsoft.graph.fileAttachment", "id": "1"}, "seed")

    assert shown["id"] == "1"


def test_enum_values_are_shown_in_another_case() -> None:
    """Enum values, also within lists and objects, are in another case, and no other value is."""
    shown = [odd_typed_item(EVENT, seed) for seed in SEEDS]

    assert {one["showAs"] for one in shown} == {
        "workingelsewhere",
        "WORKINGELSEWHERE",
        "WorkingElsewhere",
    }
    assert {str(one["recurrence"]) for one in shown} == {
        "{'pattern': {'daysOfWeek': ['monday'], 'interval': 2}}",
        "{'pattern': {'daysOfWeek': ['MONDAY'], 'interval': 2}}",
        "{'pattern': {'daysOfWeek': ['Monday'], 'interval': 2}}",
    }
    assert {one["subject"] for one in shown} == {"Meeting"}


@pytest.mark.parametrize("seed", SEEDS[:5])
def test_a_seed_always_gives_the_same_form(seed: str) -> None:
    """Two calls with one seed give the same."""
    assert odd_typed_item(EVENT, seed) == odd_typed_item(EVENT, seed)


def test_the_cases_of_an_empty_value() -> None:
    """An empty value has no other case."""
    assert [case("") for case in CASES] == ["", "", ""]
