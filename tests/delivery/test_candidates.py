"""lookup: whether it is there, and ours."""

import json
from typing import Any

import pytest

from attachment_gateway.delivery import candidates
from attachment_gateway.delivery.candidates import Age, Candidate, Recognizer, Sent
from attachment_gateway.delivery.item_comparison import Comparison
from attachment_gateway.errors import Violations
from attachment_gateway.graph.base64_encoder import Base64Stream
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import (
    FileRequest,
    GraphRequest,
    RequestHead,
    Sender,
    SupportIds,
)
from attachment_gateway.graph.request import item_request as enclosed
from attachment_gateway.graph.response import Response
from attachment_gateway.graph.values import JsonObject
from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment
from graphattachments.v1.event_pb2 import Event

NOON = 1_773_144_000.0  # 2026-03-10T12:00:00Z
HEAD = RequestHead(
    Sender(
        root=GraphRoot.parse("https://graph.example/v1.0"),
        token="tok",
        ids=SupportIds("id"),
        max_request_bytes=4194304,
    ),
    "/groups/g/threads/t/posts/p/attachments",
)
FILE_TYPE = "#microsoft.graph.fileAttachment"


def file(content: bytes, name: str = "a.txt") -> GraphRequest:
    encoded = Base64Stream()
    encoded.feed(content)
    return FileRequest(HEAD, Attachment(name=name), Violations()).seal(
        encoded.finish(), file_bytes=len(content)
    )


def item(subject: str) -> GraphRequest:
    holder = ItemAttachment(event=Event(subject=subject))
    return enclosed(HEAD, Attachment(name="a.txt", item_attachment=holder), Violations())


def listed(**properties: Any) -> JsonObject:
    return {
        "@odata.type": FILE_TYPE,
        "id": "A",
        "name": "a.txt",
        "lastModifiedDateTime": "2026-03-10T12:00:05Z",
        **properties,
    }


def response(status: int, body: object, **headers: str) -> Response:
    return Response(
        http_status=status, headers=headers, body=json.dumps(body).encode(), offered=True
    )


# A Graph that says noon, asked 9.5 s after the send, answering 10 s after it.
SENT = Sent.by(NOON, asked_s=9.5, answered_s=10.0)


@pytest.mark.parametrize(
    ("stamp", "age"),
    [
        ("2026-03-10T11:59:48Z", Age.BEFORE),
        ("2026-03-10T11:59:49Z", Age.BEFORE),  # until 50.0, which is when it left at the earliest
        ("2026-03-10T11:59:50Z", Age.PERHAPS),
        ("2026-03-10T11:59:51Z", Age.PERHAPS),
        ("2026-03-10T11:59:52Z", Age.AFTER),
        ("2026-03-10T11:59:49.999Z", Age.BEFORE),
        ("2026-03-10T11:59:50.001Z", Age.PERHAPS),
        ("2026-03-10T11:59:51.5Z", Age.AFTER),
        ("2026-03-10T12:59:52+01:00", Age.AFTER),
        ("", Age.PERHAPS),
        ("yesterday", Age.PERHAPS),
        (None, Age.PERHAPS),
    ],
)
def test_age(stamp: str | None, age: Age) -> None:
    """Graph's clock, and its stamps, have whole seconds: in between nobody knows."""
    assert SENT.age(stamp) is age


def test_age_without_a_clock() -> None:
    """An answer without a Date tells nothing."""
    assert Sent.by(None, asked_s=1, answered_s=2).age("2026-03-10T11:59:48Z") is Age.PERHAPS


def test_a_page() -> None:
    """Of the next page's address only path and query count: a token goes nowhere else."""
    body = {"value": [{"id": "A"}, "x"], "@odata.nextLink": "https://evil.example/v1.0/a/b?$skip=1"}
    assert candidates.page(response(200, body), root_path="/v1.0") == candidates.Page(
        ({"id": "A"},), "/a/b?$skip=1"
    )
    assert candidates.page(response(200, {"value": []}), root_path="") == candidates.Page((), "")


@pytest.mark.parametrize(
    ("status", "body"), [(200, {}), (200, {"value": None}), (200, []), (404, {"value": []})]
)
def test_no_page(status: int, body: object) -> None:
    """What isn't a list shows nothing, and is no empty list."""
    assert candidates.page(response(status, body), root_path="") is None


def test_graphs_date() -> None:
    """The time of an answer, where it has one."""
    assert candidates.date_of(response(200, {}, date="Tue, 10 Mar 2026 12:00:00 GMT")) == NOON
    assert candidates.date_of(response(200, {})) is None


@pytest.mark.parametrize(
    ("properties", "suspected"),
    [
        ({}, True),
        ({"name": "other"}, True),
        ({"@odata.type": "microsoft.graph.fileAttachment"}, True),
        ({"@odata.type": None}, True),
        ({"lastModifiedDateTime": None}, True),
        ({"@odata.type": "#microsoft.graph.itemAttachment"}, False),
        ({"@odata.type": "#microsoft.graph.referenceAttachment"}, False),
        ({"lastModifiedDateTime": "2026-03-10T11:59:00Z"}, False),
        ({"id": "claimed"}, False),
    ],
)
def test_who_is_suspected(properties: JsonObject, suspected: bool) -> None:
    """All that is new, of the kind, and not known to be another's; by no means by its name."""
    found = candidates.candidates_among(
        [listed(**properties)], SENT, file(b"x"), frozenset({"claimed"})
    )
    assert bool(found) is suspected


def test_the_likeliest_first() -> None:
    """Surely new before perhaps new, the name before other names."""
    doubtful = "2026-03-10T11:59:51Z"
    listed_ones = [
        listed(id="1", name="x", lastModifiedDateTime=doubtful),
        listed(id="2", lastModifiedDateTime=doubtful),
        listed(id="3", name="x"),
        listed(id="4"),
    ]
    found = candidates.candidates_among(listed_ones, SENT, file(b"x"), frozenset())
    assert [one.id for one in found] == ["4", "3", "2", "1"]


@pytest.mark.parametrize(
    ("evidence", "age", "name", "comparison"),
    [
        (b"x", Age.AFTER, "a.txt", Comparison.ALIKE),
        (b"x", Age.AFTER, "other", Comparison.ALIKE),
        (b"x", Age.PERHAPS, "a.txt", Comparison.ALIKE),
        (b"x", Age.PERHAPS, "other", Comparison.CANT_TELL),
        (b"y", Age.PERHAPS, "other", Comparison.OTHER),
        (b"y", Age.AFTER, "a.txt", Comparison.OTHER),
    ],
)
def test_a_file_is_told_by_its_bytes(
    evidence: bytes, age: Age, name: str, comparison: Comparison
) -> None:
    """Only in the second of the send does the name matter."""
    assert Recognizer(file(b"x")).judge(Candidate(listed(name=name), age), evidence) is comparison


def test_an_item_is_told_by_what_it_says() -> None:
    """As Graph shows it expanded."""
    shown = {"item": {"@odata.type": "#microsoft.graph.event", "subject": "s"}}
    recogniser = Recognizer(item("s"))
    candidate = Candidate(listed(), Age.AFTER)
    assert recogniser.judge(candidate, json.dumps(shown).encode()) is Comparison.ALIKE
    shown["item"]["subject"] = "t"
    assert recogniser.judge(candidate, json.dumps(shown).encode()) is Comparison.OTHER
    assert recogniser.judge(candidate, b"<html>") is Comparison.CANT_TELL


def test_where_the_evidence_is() -> None:
    """A file's raw bytes; an item expanded."""
    candidate = Candidate(listed(id="A/="), Age.AFTER)
    assert Recognizer(file(b"x")).evidence_path("/p", candidate) == "/p/A%2F%3D/$value"
    assert Recognizer(item("s")).evidence_path("/p", candidate) == (
        "/p/A%2F%3D?$expand=microsoft.graph.itemattachment/item"
    )


@pytest.mark.parametrize(
    ("looked_for_s", "settled_in_s", "wait_s"),
    [
        (0.0, 15.0, 0.75),
        (0.75, 14.25, 1.5),
        (2.25, 12.75, 4.5),
        (6.75, 8.25, 8.25),
        (15.0, 0.0, 1.5),
        (99.0, -84.0, 1.5),
    ],
)
def test_when_to_look(looked_for_s: float, settled_in_s: float, wait_s: float) -> None:
    """Soon at first, then less often, when it is settled, and spaced from then on."""
    assert candidates.next_look_s(looked_for_s, settled_in_s, 1.5) == wait_s
