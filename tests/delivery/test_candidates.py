"""Tests of delivery/candidates.py: which listed attachments may be ours."""

import json
from typing import Any

import pytest

from attachment_gateway.delivery import candidates
from attachment_gateway.delivery.candidates import Age, Candidate, Recognizer, Sent
from attachment_gateway.delivery.item_comparison import Comparison
from attachment_gateway.errors import Violations
from attachment_gateway.graph.base64_encoder import Base64Stream
from attachment_gateway.graph.request import (
    FileRequest,
    GraphRequest,
)
from attachment_gateway.graph.request import item_request as enclosed
from attachment_gateway.graph.response import Response
from attachment_gateway.graph.values import JsonObject
from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment
from graphattachments.v1.event_pb2 import Event
from tests.support.graph_requests import HEAD

NOON = 1_773_144_000.0  # 2026-03-10T12:00:00Z
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


# Graph's Date is noon in a response that was asked for 9.5 s after the send, and came 10 s after.
SENT = Sent.by(NOON, asked_s=9.5, answered_s=10.0)


@pytest.mark.parametrize(
    ("stamp", "age"),
    [
        ("2026-03-10T11:59:48Z", Age.BEFORE),
        ("2026-03-10T11:59:49Z", Age.BEFORE),  # 11:59:50.0 is the earliest moment of the send
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
def test_the_age_is_uncertain_within_the_second_of_the_send(stamp: str | None, age: Age) -> None:
    """A stamp is before or after the send, or uncertain within Graph's whole seconds."""
    assert SENT.age(stamp) is age


def test_a_response_without_a_date_leaves_the_age_uncertain() -> None:
    """Without a Date in Graph's response the age of every attachment is uncertain."""
    assert Sent.by(None, asked_s=1, answered_s=2).age("2026-03-10T11:59:48Z") is Age.PERHAPS


def test_the_next_page_keeps_only_path_and_query() -> None:
    """Of the next page's address only path and query are used, so the token goes to Graph only."""
    body = {"value": [{"id": "A"}, "x"], "@odata.nextLink": "https://evil.example/v1.0/a/b?$skip=1"}
    assert candidates.page(response(200, body), root_path="/v1.0") == candidates.Page(
        ({"id": "A"},), "/a/b?$skip=1"
    )
    assert candidates.page(response(200, {"value": []}), root_path="") == candidates.Page((), "")


@pytest.mark.parametrize(
    ("status", "body"), [(200, {}), (200, {"value": None}), (200, []), (404, {"value": []})]
)
def test_a_response_without_a_list_is_no_page(status: int, body: object) -> None:
    """A response without a list, or with an error status, is None and not an empty page."""
    assert candidates.page(response(status, body), root_path="") is None


def test_graphs_date_is_read_if_there_is_one() -> None:
    """The Date of a response is read as a Unix time, and is None if there is none."""
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
def test_a_candidate_is_new_of_the_kind_and_unclaimed(
    properties: JsonObject, suspected: bool
) -> None:
    """A candidate is new, of the sent kind and unclaimed; its name doesn't matter."""
    found = candidates.candidates_among(
        [listed(**properties)], SENT, file(b"x"), frozenset({"claimed"})
    )
    assert bool(found) is suspected


def test_candidates_are_sorted_by_age_then_name() -> None:
    """Certainly new candidates come before uncertain ones, and equal names before other names."""
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
def test_a_file_is_compared_by_its_bytes(
    evidence: bytes, age: Age, name: str, comparison: Comparison
) -> None:
    """A file is compared by its bytes, and by its name only in the second of the send."""
    assert Recognizer(file(b"x")).judge(Candidate(listed(name=name), age), evidence) is comparison


def test_an_item_is_compared_as_graph_expands_it() -> None:
    """An item is compared with the item that Graph shows expanded."""
    shown = {"item": {"@odata.type": "#microsoft.graph.event", "subject": "s"}}
    recogniser = Recognizer(item("s"))
    candidate = Candidate(listed(), Age.AFTER)
    assert recogniser.judge(candidate, json.dumps(shown).encode()) is Comparison.ALIKE
    shown["item"]["subject"] = "t"
    assert recogniser.judge(candidate, json.dumps(shown).encode()) is Comparison.OTHER
    assert recogniser.judge(candidate, b"<html>") is Comparison.CANT_TELL


def test_a_file_is_read_raw_and_an_item_expanded() -> None:
    """The evidence of a file is its raw bytes, and that of an item the expanded attachment."""
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
def test_look_ups_become_rarer_and_one_falls_on_the_settling(
    looked_for_s: float, settled_in_s: float, wait_s: float
) -> None:
    """The waits between look-ups grow, end at the moment of settling, and are even after it."""
    assert candidates.next_look_s(looked_for_s, settled_in_s, 1.5) == wait_s
