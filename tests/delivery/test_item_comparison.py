"""Tests of delivery/item_comparison.py: whether a shown item is the one that was sent."""

import pytest

from attachment_gateway.delivery.item_comparison import Comparison, compare_items
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
    assert compare_items({**MESSAGE, **sent}, {**MESSAGE, **shown}) is Comparison.ALIKE


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (MESSAGE, {**MESSAGE, "@odata.type": "#microsoft.graph.event"}),
        (MESSAGE, {**MESSAGE, "subject": "minutes"}),
        ({**MESSAGE, "importance": "high"}, {**MESSAGE, "importance": "low"}),
        ({**MESSAGE, "isRead": True}, {**MESSAGE, "isRead": False}),
        # A different plain value decides, also where another property can't be compared.
        (
            {**MESSAGE, "body": {"content": "a"}},
            {**MESSAGE, "subject": "x", "body": {"content": "b"}},
        ),
    ],
)
def test_another_plain_value_makes_another_item(sent: JsonObject, shown: JsonObject) -> None:
    """An item with another type, text, enum or boolean is another item."""
    assert compare_items(sent, shown) is Comparison.OTHER


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        (None, MESSAGE),
        (MESSAGE, None),
        ({"@odata.type": "#microsoft.graph.message"}, MESSAGE),
        ({**MESSAGE, "extra": "dropped"}, MESSAGE),
        ({**MESSAGE, "body": {"content": "a"}}, {**MESSAGE, "body": {"content": "b"}}),
        ({**MESSAGE, "body": "a"}, {**MESSAGE, "body": None}),
        ({**MESSAGE, "categories": ["a", "b"]}, {**MESSAGE, "categories": ["b", "a"]}),
        (
            {**EVENT, "start": {"dateTime": "2026-03-02T09:00:00", "timeZone": "Pacific Time"}},
            {**EVENT, "start": {"dateTime": "2026-03-02T17:00:00.0000000", "timeZone": "UTC"}},
        ),
        ({**MESSAGE, "sentDateTime": "soon"}, {**MESSAGE, "sentDateTime": "later"}),
        ({**MESSAGE, "toRecipients": [{}]}, {**MESSAGE, "toRecipients": []}),
        ({**MESSAGE, "toRecipients": 1}, {**MESSAGE, "toRecipients": 2}),
    ],
)
def test_an_unexplained_difference_cannot_be_told(sent: object, shown: object) -> None:
    """A difference that may be an unknown rewriting is neither alike nor another item."""
    assert compare_items(sent, shown) is Comparison.CANT_TELL


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
    assert compare_items(item, item) is Comparison.ALIKE


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
    assert compare_items(sent, shown) is Comparison.ALIKE
