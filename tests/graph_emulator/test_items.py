"""Which items are taken."""

from typing import Any

import pytest

from graph_emulator.items import check_item, type_name
from graph_emulator.refusals import Refused

HEADER = {"name": "x-h", "value": "v"}


def code(item: dict[str, Any]) -> str | None:
    """Tell what is answered to that item; None if it is taken."""
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
def test_type_name(odata_type: object, name: str | None) -> None:
    """A type's name, with or without `#`."""
    assert type_name({"@odata.type": odata_type}) == name


@pytest.mark.parametrize("odata_type", [None, "", "#microsoft.graph.outlookItem", "#event"])
def test_unknown_type(odata_type: str | None) -> None:
    """An item that is none of the three is refused."""
    assert code({"@odata.type": odata_type}) == "UnprocessableType"


@pytest.mark.parametrize("kind", ["message", "event", "contact"])
@pytest.mark.parametrize("name", ["id", "changeKey", "createdDateTime", "lastModifiedDateTime"])
def test_read_only_everywhere(kind: str, name: str) -> None:
    """What only the service sets is refused in every item."""
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
def test_refused_by_type(name: str, refused_in: set[str]) -> None:
    """Other properties are refused where they mean something; unknown ones are kept."""
    refused = {
        kind
        for kind in ("message", "event", "contact")
        if code({"@odata.type": f"microsoft.graph.{kind}", name: "x"}) == "ErrorInvalidProperty"
    }

    assert refused == refused_in


@pytest.mark.parametrize(("count", "answer"), [(5, None), (6, "ErrorInvalidProperty")])
def test_internet_message_headers(count: int, answer: str | None) -> None:
    """Five headers are taken, six aren't."""
    message = {"@odata.type": "microsoft.graph.message", "internetMessageHeaders": [HEADER] * count}

    assert code(message) == answer
