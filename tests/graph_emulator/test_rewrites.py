"""Items as they read back."""

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
NAMED_ANN = {"emailAddress": {"name": "ann@example.org", "address": "ann@example.org"}}


def read_back(kind: str, name: str, value: object) -> object:
    """One property of such an item, as it reads back."""
    return rewritten({"@odata.type": f"microsoft.graph.{kind}", name: value}, STORED_AT)[name]


def test_the_service_adds_its_own() -> None:
    """Type, id and times are the service's; the rest of an item that it doesn't rewrite stays."""
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
def test_bodies(kind: str, sent: tuple[str, str], back: tuple[str, str]) -> None:
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
            "2026-07-02T10:00:00",
            "Europe/Berlin",
            "2026-07-02T08:00:00.0000000",
            marks=pytest.mark.skipif(
                "Europe/Berlin" not in available_timezones(), reason="no time zone database"
            ),
        ),
    ],
)
def test_date_time_time_zone(time: str, zone: str, back: str) -> None:
    """A time with a zone comes back in UTC with seven digits."""
    sent = {"dateTime": time, "timeZone": zone}

    assert read_back("event", "start", sent) == {"dateTime": back, "timeZone": "UTC"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", {"dateTime": "soon", "timeZone": "UTC"}),
        ("start", {"dateTime": "2026-01-02T10:00:00", "timeZone": "W. Europe Standard Time"}),
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
def test_what_it_does_not_understand_stays(name: str, value: object) -> None:
    """A value that makes no sense is no reason to fail."""
    assert read_back("event", name, value) == value


@pytest.mark.parametrize(
    ("kind", "name"),
    [("message", "sentDateTime"), ("event", "originalStart"), ("contact", "birthday")],
)
def test_date_time_offset(kind: str, name: str) -> None:
    """A point in time comes back in UTC and whole seconds."""
    assert read_back(kind, name, "2026-01-02T10:00:00.5+02:00") == "2026-01-02T08:00:00Z"


def test_recipients_get_a_name() -> None:
    """Whoever has no name goes by the address; a name that was sent stays."""
    bob = {"emailAddress": {"name": "Bob", "address": "bob@example.org"}}

    assert read_back("message", "toRecipients", [ANN, bob]) == [NAMED_ANN, bob]
    assert read_back("message", "from", ANN) == NAMED_ANN


def test_attendees_get_a_status() -> None:
    """An attendee has a type and an answer, which is none yet."""
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
def test_any_item_reads_back(kind: str, item: dict[str, object]) -> None:
    """No item is too strange to be read, and none loses a property."""
    back = rewritten({**item, "@odata.type": f"#microsoft.graph.{kind}"}, STORED_AT)

    assert set(item) <= set(back)
