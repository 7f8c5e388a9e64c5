"""validation: the body of a create, what it asks for, and what is refused in it."""

from base64 import b64encode
from collections.abc import Mapping

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph_emulator.posts import AttachmentDraft
from graph_emulator.refusals import Refused
from graph_emulator.validation import parse_attachment

FILE = {"@odata.type": "#microsoft.graph.fileAttachment", "name": "n", "contentBytes": "AA=="}
EVENT = {"@odata.type": "#microsoft.graph.event", "subject": "s"}
ITEM = {"@odata.type": "#microsoft.graph.itemAttachment", "name": "n", "item": EVENT}


def parsed(document: object) -> AttachmentDraft:
    """Return the attachment that a document asks for."""
    return parse_attachment("application/json", orjson.dumps(document))


def refusal(content_type: str | None, body: bytes) -> tuple[int, str, str]:
    """Return the status, code and message with which a body is refused."""
    with pytest.raises(Refused) as caught:
        parse_attachment(content_type, body)
    return caught.value.refusal.status, caught.value.refusal.code, caught.value.message


def test_the_smallest_file() -> None:
    """A type, a name and content make a file."""
    assert parsed(FILE) == AttachmentDraft(kind="file", name="n", content=b"\x00")


def test_a_file_keeps_every_property() -> None:
    """A file keeps every property that may be set."""
    whole = {**FILE, "contentType": "a/b", "isInline": True, "contentId": "c"}

    assert parsed(whole) == AttachmentDraft(
        kind="file", name="n", content_type="a/b", is_inline=True, content_id="c", content=b"\x00"
    )


def test_an_item_is_kept_as_sent() -> None:
    """An item is kept as it was sent, with properties that the metadata doesn't name."""
    item = {**EVENT, "anything": [1, {"else": None}]}

    assert parsed({**ITEM, "item": item}) == AttachmentDraft(
        kind="item", name="n", content=orjson.dumps(item), item=item
    )


def test_the_type_may_lack_its_hash() -> None:
    """`@odata.type` means the same without its `#`."""
    bare = {**ITEM, "@odata.type": "microsoft.graph.itemAttachment"}

    assert parsed(bare) == parsed(ITEM)


def test_annotations_are_ignored() -> None:
    """A name that begins with `@odata.` is ignored."""
    assert parsed({**FILE, "@odata.mediaContentType": "a/b"}) == parsed(FILE)


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_content_type_ignores_case_and_parameters(content_type: str) -> None:
    """A content type is compared without its case and parameters."""
    assert parse_attachment(content_type, orjson.dumps(FILE)) == parsed(FILE)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (None, orjson.dumps(FILE)),
        ("text/plain", orjson.dumps(FILE)),
        ("application/json", b""),
        ("application/json", b'{"name":'),
        ("application/json", b"[]"),
        ("application/json", b'"text"'),
    ],
)
def test_a_body_that_is_not_json_is_refused(content_type: str | None, body: bytes) -> None:
    """A body that isn't a JSON object, or doesn't have JSON's content type, is refused."""
    status, code, message = refusal(content_type, body)

    assert (status, code) == (400, "RequestBodyRead")
    assert message.startswith("Unable to read JSON request payload.")


def without(document: Mapping[str, object], name: str) -> dict[str, object]:
    """Return the document without a property."""
    return {key: value for key, value in document.items() if key != name}


@pytest.mark.parametrize(
    ("document", "status", "code", "named"),
    [
        (without(FILE, "@odata.type"), 400, "RequestBodyRead", "abstract"),
        ({**FILE, "@odata.type": 7}, 400, "RequestBodyRead", "abstract"),
        (
            {**FILE, "@odata.type": "#microsoft.graph.x"},
            400,
            "RequestBodyRead",
            "'microsoft.graph.x'",
        ),
        ({**FILE, "@odata.type": "#fileAttachment"}, 400, "RequestBodyRead", "'fileAttachment'"),
        ({**FILE, "colour": "red"}, 400, "RequestBodyRead", "'colour'"),
        ({**FILE, "item": EVENT}, 400, "RequestBodyRead", "'item'"),
        ({**FILE, "isInline": "yes"}, 400, "RequestBodyRead", "'isInline'"),
        ({**FILE, "isInline": None}, 400, "RequestBodyRead", "'isInline'"),
        ({**FILE, "name": 7}, 400, "RequestBodyRead", "'name'"),
        (without(FILE, "name"), 400, "ErrorRequiredPropertyMissing", "name"),
        ({**FILE, "name": ""}, 400, "ErrorRequiredPropertyMissing", "name"),
        (without(FILE, "contentBytes"), 400, "ErrorRequiredPropertyMissing", "contentBytes"),
        ({**FILE, "contentBytes": 7}, 400, "UnableToDeserializePostBody", "contentBytes"),
        ({**FILE, "contentBytes": "AA"}, 400, "UnableToDeserializePostBody", "contentBytes"),
        ({**FILE, "contentBytes": "A_=="}, 400, "UnableToDeserializePostBody", "contentBytes"),
        ({**FILE, "contentBytes": "AA==AA=="}, 400, "UnableToDeserializePostBody", "contentBytes"),
        ({**FILE, "contentBytes": "AAAA\n"}, 400, "UnableToDeserializePostBody", "contentBytes"),
        ({**FILE, "contentBytes": "ää=="}, 400, "UnableToDeserializePostBody", "contentBytes"),
        (without(ITEM, "name"), 400, "ErrorRequiredPropertyMissing", "name"),
        (without(ITEM, "item"), 400, "ErrorRequiredPropertyMissing", "item"),
        ({**ITEM, "item": []}, 400, "RequestBodyRead", "'item'"),
        ({**ITEM, "item": {}}, 422, "UnprocessableType", "abstract"),
        ({**ITEM, "contentId": "c"}, 400, "RequestBodyRead", "'contentId'"),
        ({**ITEM, "contentLocation": "c"}, 400, "RequestBodyRead", "'contentLocation'"),
        ({**ITEM, "contentBytes": "AA=="}, 400, "RequestBodyRead", "'contentBytes'"),
        (
            {"@odata.type": "#microsoft.graph.referenceAttachment", "name": "n"},
            400,
            "ErrorRequiredPropertyMissing",
            "sourceUrl",
        ),
        (
            {"@odata.type": "#microsoft.graph.referenceAttachment", "sourceUrl": "u"},
            400,
            "RequestBodyRead",
            "'sourceUrl'",
        ),
    ],
)
def test_each_flaw_has_its_code_and_name(
    document: dict[str, object], status: int, code: str, named: str
) -> None:
    """Each flaw has its own code, and the message names the property or type."""
    answer = refusal("application/json", orjson.dumps(document))

    assert answer[:2] == (status, code)
    assert named in answer[2]


@given(st.binary(), st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_any_file_is_accepted(content: bytes, name: str) -> None:
    """Any content with any name is accepted unchanged."""
    document = {**FILE, "name": name, "contentBytes": b64encode(content).decode()}

    assert parsed(document) == AttachmentDraft(kind="file", name=name, content=content)
