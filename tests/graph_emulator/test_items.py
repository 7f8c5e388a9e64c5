"""items: which items are accepted."""

from typing import Any

import pytest

from graph_emulator.items import check_item, type_name
from graph_emulator.refusals import Refused

HEADER = {"name": "x-h", "value": "v"}


def code(item: dict[str, Any]) -> str | None:
    """Return the error code for an item; None if it is accepted."""
    try:
        check_item(item)
    except Refused as refused:
        return refused.refusal.code
    return None


@pytest.mark.parametrize(
    ("odata_type", "name"),
    [
        ("#microsoft.graph.event", "microsoft.graph.event"),
        ("microsoft.graph.event", "microsoft.graph.event"),
        ("#", ""),
        (None, None),
        (7, None),
    ],
)
def test_the_type_name_has_no_hash(odata_type: object, name: str | None) -> None:
    """The type's name is the same with and without `#`."""
    assert type_name({"@odata.type": odata_type}) == name


@pytest.mark.parametrize("odata_type", [None, "", "#microsoft.graph.outlookItem", "#event"])
def test_an_item_of_an_unknown_type_is_refused(odata_type: str | None) -> None:
    """An item that is no message, event or contact is refused."""
    assert code({"@odata.type": odata_type}) == "UnprocessableType"


@pytest.mark.parametrize("kind", ["message", "event", "contact"])
@pytest.mark.parametrize("name", ["id", "changeKey", "createdDateTime", "lastModifiedDateTime"])
def test_read_only_properties_are_refused_in_every_item(kind: str, name: str) -> None:
    """A property that only Graph sets is refused in every item."""
    assert code({"@odata.type": f"microsoft.graph.{kind}", name: "x"}) == "ErrorInvalidProperty"


@pytest.mark.parametrize(
    ("name", "refused_in"),
    [
        ("attachments", {"message", "event"}),
        ("hasAttachments", {"message", "event"}),
        ("isDraft", {"message", "event"}),
        ("isOrganizer", {"event"}),
        ("parentFolderId", {"message", "contact"}),
        ("iCalUId", {"event"}),
        ("onlineMeetingUrl", {"event"}),
        ("type", {"event"}),
        ("webLink", {"message", "event"}),
        ("subject", set()),
        ("anything", set()),
    ],
)
def test_read_only_properties_are_refused_by_type(name: str, refused_in: set[str]) -> None:
    """A type's read-only properties are refused in that type, and unknown properties are kept."""
    refused = {
        kind
        for kind in ("message", "event", "contact")
        if code({"@odata.type": f"microsoft.graph.{kind}", name: "x"}) == "ErrorInvalidProperty"
    }

    assert refused == refused_in


@pytest.mark.parametrize(("count", "answer"), [(5, None), (6, "ErrorInvalidProperty")])
def test_at_most_five_internet_message_headers(count: int, answer: str | None) -> None:
    """A message with five internet message headers is accepted, and one with six isn't."""
    message = {"@odata.type": "microsoft.graph.message", "internetMessageHeaders": [HEADER] * count}

    assert code(message) == answer
