"""Tests of delivery/item_comparison.py: whether a shown item is the one that was sent."""

import pytest

from attachment_gateway.delivery.item_comparison import is_alike
from attachment_gateway.graph.values import JsonObject

MESSAGE = {"@odata.type": "#microsoft.graph.message", "subject": "Minutes"}
EVENT = {"@odata.type": "#microsoft.graph.event", "subject": "Planning"}
PAGE = '<html><head>\r\n<meta charset="utf-8"></head><body>{}</body></html>'


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({}, {}),
        ({}, {"@odata.type": "microsoft.graph.message"}),
        ({}, {"id": "", "lastModifiedDateTime": "2026-03-02T09:00:00Z"}),
        ({"subject": " Minutes "}, {}),
        ({"importance": "high"}, {"importance": "high"}),
        ({"isRead": False}, {"isRead": False}),
        ({"categories": ["a"]}, {"categories": ["a"]}),
        (
            {"body": {"contentType": "text", "content": "All\nagreed & done"}},
            {"body": {"contentType": "html", "content": PAGE.format("All<br>\nagreed &amp; done")}},
        ),
        (
            {"body": {"contentType": "html", "content": "<b>All</b> agreed"}},
            {"body": {"contentType": "html", "content": PAGE.format("<b>All</b> agreed")}},
        ),
        (
            {"sentDateTime": "2026-03-02T10:00:00.5+01:00"},
            {"sentDateTime": "2026-03-02T09:00:00Z"},
        ),
        (
            {"start": {"dateTime": "2026-03-02T10:00:00", "timeZone": "Europe/Berlin"}},
            {"start": {"dateTime": "2026-03-02T09:00:00.0000000", "timeZone": "UTC"}},
        ),
        (
            {"toRecipients": [{"emailAddress": {"address": "Ada@Contoso.com"}}]},
            {"toRecipients": [{"emailAddress": {"name": "Ada", "address": "ada@contoso.com"}}]},
        ),
        (
            {"from": {"emailAddress": {"address": "ada@contoso.com"}}},
            {"from": {"emailAddress": {"name": "Ada", "address": "ada@contoso.com"}}},
        ),
    ],
)
def test_what_graph_rewrites_makes_no_other_item(sent: JsonObject, shown: JsonObject) -> None:
    """Items that differ only by Graph's known rewritings are alike."""
    assert is_alike({**MESSAGE, **sent}, {**MESSAGE, **shown})


BERLIN = {"dateTime": "2026-03-02T10:00:00", "timeZone": "Europe/Berlin"}
LONG = "Planning of everything that is to be planned in the year to come, " * 6


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ({"isOnlineMeeting": True}, {"isOnlineMeeting": False}),
        ({"onlineMeetingProvider": "teamsForBusiness"}, {"onlineMeetingProvider": "unknown"}),
        (
            {"originalStartTimeZone": "Europe/Berlin"},
            {"originalStartTimeZone": "W. Europe Standard Time"},
        ),
        ({"originalStartTimeZone": "UTC"}, {"originalStartTimeZone": "tzone://Microsoft/Custom"}),
        ({"transactionId": "1"}, {"transactionId": None}),
        ({"showAs": "free"}, {"showAs": "busy"}),
        ({"isDeliveryReceiptRequested": False}, {"isDeliveryReceiptRequested": None}),
        ({"isAllDay": False}, {"isAllDay": None}),
        ({"importance": "high"}, {"importance": "High"}),
        ({"subject": LONG}, {"subject": LONG[:255]}),
        ({"subject": "Cafe\u0301 at\nnoon"}, {"subject": "Caf\u00e9 at noon"}),
        ({"fileAs": "Lovelace, Ada"}, {"fileAs": "Ada Lovelace"}),
        ({"displayName": "Ada L."}, {"displayName": "Ada Lovelace"}),
        ({"personalNotes": "One\nTwo"}, {"personalNotes": "One\r\nTwo"}),
        ({"mobilePhone": "+49 30 1234"}, {"mobilePhone": "+49 (30) 1234"}),
        ({"businessPhones": ["1-2", "3"]}, {"businessPhones": ["3", "12"]}),
        ({"categories": ["a", "b"]}, {"categories": ["b", "a"]}),
        (
            {"start": BERLIN},
            {
                "start": {
                    "dateTime": "2026-03-02T10:00:00.0000000",
                    "timeZone": "W. Europe Standard Time",
                }
            },
        ),
        ({}, {"@odata.type": "#Microsoft.OutlookServices.Event"}),
        ({}, {"@odata.type": "microsoft.graph.eventMessageRequest"}),
        ({"subject": "Planning \ud800"}, {"subject": "Planning \ud800"}),
    ],
)
def test_what_users_report_of_graph_makes_no_other_item(
    sent: JsonObject, shown: JsonObject
) -> None:
    """Items that Graph is reported to change are alike."""
    assert is_alike({**EVENT, **sent}, {**EVENT, **shown})


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (None, MESSAGE),
        (MESSAGE, None),
        ({"@odata.type": "#microsoft.graph.message"}, MESSAGE),
        # Nothing that tells one item from another.
        ({"isAllDay": True, "isOnlineMeeting": True}, {"isAllDay": True, "isOnlineMeeting": True}),
        (MESSAGE, {**MESSAGE, "subject": "minutes"}),
        (MESSAGE, {**MESSAGE, "subject": "Minutes, again"}),
        ({**MESSAGE, "subject": "Minutes, again"}, MESSAGE),
        ({**MESSAGE, "importance": "high"}, {**MESSAGE, "importance": "low"}),
        ({**EVENT, "isAllDay": True}, {**EVENT, "isAllDay": False}),
        ({**MESSAGE, "extra": "dropped"}, MESSAGE),
        ({**MESSAGE, "body": {"content": "a"}}, {**MESSAGE, "body": {"content": "b"}}),
        ({**MESSAGE, "body": "a"}, {**MESSAGE, "body": None}),
        ({**MESSAGE, "categories": ["a", "b"]}, {**MESSAGE, "categories": ["a"]}),
        ({**EVENT, "start": BERLIN}, {**EVENT, "start": {**BERLIN, "timeZone": "UTC"}}),
        (
            {**EVENT, "start": {"dateTime": "2026-03-02T09:00:00", "timeZone": "My Time"}},
            {**EVENT, "start": {"dateTime": "2026-03-02T17:00:00.0000000", "timeZone": "UTC"}},
        ),
        ({**MESSAGE, "sentDateTime": "soon"}, {**MESSAGE, "sentDateTime": "later"}),
        ({**MESSAGE, "toRecipients": [{}]}, {**MESSAGE, "toRecipients": []}),
        ({**MESSAGE, "toRecipients": 1}, {**MESSAGE, "toRecipients": 2}),
    ],
)
def test_an_unexplained_difference_is_not_alike(sent: object, shown: object) -> None:
    """An item with an unexplained difference, or with nothing to recognise, is not alike."""
    assert not is_alike(sent, shown)


MANY = 1_000_000


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "content",
    [
        "<!--" * MANY,
        "<style" * MANY,
        "<style>" + "</style" * MANY,
        "</style>" + "</style " * MANY,
        "<" * MANY,
        "<!-" * MANY + ">",
        "&#" + "9" * MANY + ";",
        "&" * MANY,
    ],
    ids=lambda content: content[:10],
)
def test_html_is_compared_in_linear_time(content: str) -> None:
    """A body of some MB is compared in time proportional to its length, and never fails."""
    item = {**MESSAGE, "body": {"contentType": "html", "content": content}}
    assert is_alike(item, item)


@pytest.mark.parametrize(
    ("markup", "words"),
    [
        ("All <!-- <b>not</b> --> agreed", "All agreed"),
        ("All <!-- not > --> agreed", "All agreed"),
        ("All <!-- not <!-- nor --> agreed", "All agreed"),
        ("<STYLE>p {}</style ><title>x</title>All agreed", "All agreed"),
        ("<script>if (a < b) {}</script>All agreed", "All agreed"),
        ('<a title="<">All</a> agreed', "All agreed"),
        ("<title>All agreed", "All agreed"),
        ("All &lt; agreed <", "All &lt; agreed &lt;"),
    ],
)
def test_html_is_compared_by_its_visible_words(markup: str, words: str) -> None:
    """Comments, styles, scripts, titles and tags don't count in a comparison of HTML."""
    sent = {**MESSAGE, "body": {"contentType": "html", "content": markup}}
    shown = {**MESSAGE, "body": {"contentType": "html", "content": f"<p>{words}</p>"}}
    assert is_alike(sent, shown)


def reordered(count: int) -> tuple[dict[str, object], dict[str, object]]:
    """Return an event with so many categories, and one with them in the reverse order."""
    names = [f"category {number}" for number in range(count)]
    event = {"@odata.type": "#microsoft.graph.event", "subject": "Planning"}
    return {**event, "categories": names}, {**event, "categories": names[::-1]}


@pytest.mark.timeout(30)
def test_a_long_list_is_compared_in_its_order() -> None:
    """A list of 40,000 is recognised in its order, and one of 500 in any order."""
    sent, _ = reordered(40_000)
    assert is_alike(sent, sent)
    assert is_alike(*reordered(500))


@pytest.mark.timeout(30)
@pytest.mark.parametrize("count", [2_000, 40_000])
def test_a_comparison_without_end_finds_no_likeness(count: int) -> None:
    """A list that would take more than MAX_COMPARISONS isn't recognised."""
    assert not is_alike(*reordered(count))


@pytest.mark.timeout(30)
def test_lists_within_lists_are_compared_in_bounded_time() -> None:
    """Lists within lists, each in another order, end after MAX_COMPARISONS as well."""
    inner = [[[f"{outer} {number}" for number in range(20)]] * 20 for outer in range(20)]
    sent = {"subject": "Planning", "a": inner}
    shown = {"subject": "Planning", "a": [[[each[::-1] for each in two] for two in inner[::-1]]]}
    assert not is_alike(sent, {**shown, "a": [*shown["a"], *inner[1:]]})


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "text", ["a" + "\u0345" * 500_000 + "\u0316" * 500_000, "\u0f73" * 1_000_000, "a " * 2_000_000]
)
def test_a_text_is_compared_in_linear_time(text: str) -> None:
    """A text of some MB, with any characters, is compared in time proportional to its length."""
    item = {"@odata.type": "#microsoft.graph.message", "subject": text, "mobilePhone": text}
    assert is_alike(item, item)


@pytest.mark.parametrize("name", ["a/" * 2000 + "b", "x" * 4_000_000, "a." * 3000 + "b/c", "..", 7])
def test_a_time_zone_can_be_any_value(name: object) -> None:
    """A time zone that is none, however long, leaves the time as it stands."""
    event = {"subject": "s", "start": {"dateTime": "2026-03-02T10:00:00", "timeZone": name}}
    assert is_alike(event, event)
    assert not is_alike({**event, "start": {"dateTime": "2026-03-02T10:00:00Z"}}, event)
