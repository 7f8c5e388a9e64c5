"""Dataclasses over the control route."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph_emulator.codec import decode, decode_list, encode
from graph_emulator.faults import Fault, FaultAnswer
from graph_emulator.request_log import ReceivedRequest
from graph_emulator.throttle import Peaks
from graph_emulator.world import AttachmentDraft, Post, StoredAttachment, stored

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
ITEM = {"@odata.type": "microsoft.graph.event", "kind": "x", "nested": {"post": {}}}


@pytest.mark.parametrize(
    "value",
    [
        Post(),
        Peaks(groups={"g": 3}),
        Fault(answer=FaultAnswer(status=502, body=b"\xff\x00"), headers={"a": "b"}),
        Fault(store="before"),
        stored(AttachmentDraft(kind="file", name="ü", content=b"\xff"), Post(), NOON),
        stored(AttachmentDraft(kind="item", name="n", item=ITEM), Post(post_id="p"), NOON),
        ReceivedRequest(
            method="POST", path="/", headers={"a": "b"}, connection=1, received_at=NOON, status=201
        ),
    ],
)
def test_there_and_back(value: object) -> None:
    """What is written reads as it was, bytes and times included."""
    assert decode(type(value), orjson.loads(encode(value))) == value


def test_lists() -> None:
    """A list is one of the same kind."""
    posts = [Post(), Post(post_id="p")]

    assert decode_list(Post, encode(posts)) == posts


def test_unknown_name() -> None:
    """A name that the class hasn't is an error, not a silence."""
    with pytest.raises(TypeError, match="colour"):
        decode(StoredAttachment, {"colour": "red"})


def test_other_things_have_no_json() -> None:
    """Only what has a place in JSON is written."""
    with pytest.raises(TypeError):
        encode([object()])


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"])), st.datetimes())
def test_any_attachment_survives(content: bytes, name: str, at: datetime) -> None:
    """Whatever an attachment holds, it arrives."""
    attachment = stored(AttachmentDraft(kind="file", name=name, content=content), Post(), at)

    assert decode(StoredAttachment, orjson.loads(encode(attachment))) == attachment
