"""rewrites: items as they are read back."""

from datetime import UTC, datetime
from zoneinfo import available_timezones

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph_emulator.rewrites import rewritten

STORED_AT = datetime(2026, 3, 4, 5, 6, 7, 890, tzinfo=UTC)
HEAD = (
    '<html><head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
    "</head><body>"
)
TAIL = "</body></html>"
ANN = {"emailAddress": {"address": "ann@example.org"}}
PROPERTIES = st.sampled_from(["attendees", "birthday", "body", "from", "start", "toRecipients"])
PARTS = st.sampled_from(
    ["address", "content", "contentType", "dateTime", "emailAddress", "timeZone"]
)
ZONES = pytest.mark.skipif(
    "Europe/Berlin" not in available_timezones(), reason="no time zone database"
)
NAMED_ANN = {"emailAddress": {"name": "ann@example.org", "address": "ann@example.org"}}


def read_back(kind: str, name: str, value: object) -> object:
    """Return one property of an item as it is read back."""
    return rewritten({"@odata.type": f"microsoft.graph.{kind}", name: value}, STORED_AT)[name]


def test_graph_adds_type_id_and_times() -> None:
    """Graph adds the type, id and times, and unknown properties are unchanged."""
    assert rewritten({"@odata.type": "microsoft.graph.contact", "x": [1]}, STORED_AT) == {
        "@odata.type": "#microsoft.graph.contact",
        "x": [1],
        "id": "",
        "createdDateTime": "2026-03-04T05:06:07Z",
        "lastModifiedDateTime": "2026-03-04T05:06:07Z",
    }


@pytest.mark.parametrize(
    ("kind", "sent", "back"),
    [
        ("event", ("text", "1 < 2\n3"), ("html", f"{HEAD}1 &lt; 2<br>\n3{TAIL}")),
        ("event", ("html", "<b>x</b>"), ("html", f"{HEAD}<b>x</b>{TAIL}")),
        ("event", ("html", "<HTML>x</HTML>"), ("html", "<HTML>x</HTML>")),
        ("message", ("text", "1 < 2"), ("text", "1 < 2")),
        ("message", ("html", "<b>x</b>"), ("html", f"{HEAD}<b>x</b>{TAIL}")),
    ],
)
def test_bodies_become_html_pages(kind: str, sent: tuple[str, str], back: tuple[str, str]) -> None:
    """HTML is wrapped in a page, and the text of an event becomes HTML."""
    body = {"contentType": sent[0], "content": sent[1]}

    assert read_back(kind, "body", body) == {"contentType": back[0], "content": back[1]}


@pytest.mark.parametrize(
    ("time", "zone", "back"),
    [
        ("2026-01-02T10:00:00", "UTC", "2026-01-02T10:00:00.0000000"),
        ("2026-01-02T10:00:00.25", "UTC", "2026-01-02T10:00:00.2500000"),
        ("2026-01-02T10:00:00+02:00", "UTC", "2026-01-02T08:00:00.0000000"),
        pytest.param(
            "2026-07-02T10:00:00", "Europe/Berlin", "2026-07-02T08:00:00.0000000", marks=ZONES
        ),
        pytest.param(
            "2026-07-02T10:00:00",
            "W. Europe Standard Time",
            "2026-07-02T08:00:00.0000000",
            marks=ZONES,
        ),
        pytest.param(
            "2026-01-02T10:00:00",
            "Pacific Standard Time",
            "2026-01-02T18:00:00.0000000",
            marks=ZONES,
        ),
    ],
)
def test_times_with_a_zone_become_utc(time: str, zone: str, back: str) -> None:
    """A time with a zone is read back in UTC with seven digits."""
    sent = {"dateTime": time, "timeZone": zone}

    assert read_back("event", "start", sent) == {"dateTime": back, "timeZone": "UTC"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", {"dateTime": "soon", "timeZone": "UTC"}),
        ("start", {"dateTime": "2026-01-02T10:00:00", "timeZone": "tzone://Microsoft/Custom"}),
        ("start", {"dateTime": "2026-01-02T10:00:00", "timeZone": "../etc"}),
        ("start", {"dateTime": "0001-01-01T00:00:00+02:00", "timeZone": "UTC"}),
        ("start", {"dateTime": "2026-01-02T10:00:00", "timeZone": "Europe"}),
        ("start", "2026"),
        ("attendees", "ann"),
        ("organizer", {"emailAddress": None}),
        ("body", {"contentType": "html"}),
        ("originalStart", "2026-01-02T10:00:00"),
    ],
)
def test_invalid_values_are_unchanged(name: str, value: object) -> None:
    """A value that can't be rewritten is read back unchanged."""
    assert read_back("event", name, value) == value


@pytest.mark.parametrize(
    ("kind", "name"),
    [("message", "sentDateTime"), ("event", "originalStart"), ("contact", "birthday")],
)
def test_times_with_an_offset_become_utc(kind: str, name: str) -> None:
    """A time with an offset is read back in UTC and whole seconds."""
    assert read_back(kind, name, "2026-01-02T10:00:00.5+02:00") == "2026-01-02T08:00:00Z"


def test_recipients_without_a_name_get_their_address() -> None:
    """A recipient without a name gets the address as its name; a name that was sent is kept."""
    bob = {"emailAddress": {"name": "Bob", "address": "bob@example.org"}}

    assert read_back("message", "toRecipients", [ANN, bob]) == [NAMED_ANN, bob]
    assert read_back("message", "from", ANN) == NAMED_ANN


def test_attendees_get_a_type_and_a_status() -> None:
    """An attendee gets a type, unless one was sent, and the status of no response yet."""
    assert read_back("event", "attendees", [{**ANN, "type": "optional"}, ANN, "x"]) == [
        {
            **NAMED_ANN,
            "type": "optional",
            "status": {"response": "none", "time": "0001-01-01T00:00:00Z"},
        },
        {
            **NAMED_ANN,
            "type": "required",
            "status": {"response": "none", "time": "0001-01-01T00:00:00Z"},
        },
        "x",
    ]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.datetimes().map(str),
    lambda inner: st.lists(inner) | st.dictionaries(PARTS, inner),
)


@given(st.sampled_from(["message", "event", "contact"]), st.dictionaries(PROPERTIES, JSON))
def test_any_item_can_be_rewritten(kind: str, item: dict[str, object]) -> None:
    """Any item can be rewritten, and no property is lost."""
    back = rewritten({**item, "@odata.type": f"#microsoft.graph.{kind}"}, STORED_AT)

    assert set(item) <= set(back)
