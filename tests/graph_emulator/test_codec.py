"""codec: dataclasses as JSON on the control route."""

from datetime import UTC, datetime

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph_emulator.codec import decode, decode_list, encode
from graph_emulator.faults import Fault, FaultAnswer
from graph_emulator.posts import AttachmentDraft, Post, StoredAttachment, stored
from graph_emulator.request_log import ReceivedRequest
from graph_emulator.throttle import Peaks

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
def test_an_encoded_value_decodes_to_itself(value: object) -> None:
    """An encoded value, with its bytes and times, decodes to an equal one."""
    assert decode(type(value), orjson.loads(encode(value))) == value


def test_an_encoded_list_decodes_to_itself() -> None:
    """An encoded list of one class decodes to an equal one."""
    posts = [Post(), Post(post_id="p")]

    assert decode_list(Post, encode(posts)) == posts


def test_an_unknown_name_is_an_error() -> None:
    """A name that the class doesn't have raises TypeError."""
    with pytest.raises(TypeError, match="colour"):
        decode(StoredAttachment, {"colour": "red"})


def test_other_objects_cannot_be_encoded() -> None:
    """An object without a JSON form raises TypeError."""
    with pytest.raises(TypeError):
        encode([object()])


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"])), st.datetimes())
def test_any_attachment_decodes_to_itself(content: bytes, name: str, at: datetime) -> None:
    """Any attachment, encoded, decodes to an equal one."""
    attachment = stored(AttachmentDraft(kind="file", name=name, content=content), Post(), at)

    assert decode(StoredAttachment, orjson.loads(encode(attachment))) == attachment
