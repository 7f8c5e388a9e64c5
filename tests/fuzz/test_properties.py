"""Properties of what reads others' input, on Hypothesis's examples, which it makes small."""

from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from attachment_gateway.delivery.item_comparison import is_alike
from attachment_gateway.delivery.names import Name, compare_names
from attachment_gateway.delivery.response_judgement import Situation
from attachment_gateway.graph.response import Response
from graphattachments.v1.attachment_pb2 import (
    Attachment,
    FileAttachment,
    ItemAttachment,
    PostRef,
)
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
    UploadFooter,
    UploadHeader,
)
from graphattachments.v1.event_pb2 import Event
from graphattachments.v1.message_pb2 import Message
from graphattachments.v1.outlook_pb2 import ItemBody
from tests.fuzz import answers, http_responses, items, protobuf_messages, upload_streams
from tests.fuzz.messages import REQUEST_ID
from tests.fuzz.target import Outcome

# Always the same examples, since CI must not be red for what it found by chance.
EXAMPLES = settings(derandomize=True, max_examples=200)

# Protobuf's strings have no surrogates.
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

POSTS = st.builds(
    PostRef, group_id=TEXTS, conversation_id=TEXTS, thread_id=TEXTS, post_id=TEXTS
) | st.just(PostRef(group_id="g", thread_id="t", post_id="p"))

REQUEST_IDS = TEXTS | st.sampled_from(["", REQUEST_ID])

# JSON with all that Python's encoder can write.
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner),
    max_leaves=10,
)

# Members of Graph's answers, so that what is read gets any value.
NAMES = st.sampled_from(
    [
        *("@odata.type", "id", "name", "size", "isInline", "lastModifiedDateTime", "item", "error"),
        *("code", "message", "innerError", "subject", "body", "start", "toRecipients", "birthday"),
    ]
)
TYPES = st.sampled_from(["#microsoft.graph.itemAttachment", "#microsoft.graph.event", "x"])
DESCRIBED: st.SearchStrategy[Any] = st.recursive(
    JSON | TYPES, lambda inner: st.dictionaries(NAMES, inner, max_size=6), max_leaves=20
)


def holds(outcome: Outcome) -> None:
    """Assert that an input breaks no rule."""
    assert not outcome.violations


def encoded(value: object) -> bytes:
    """Return JSON, in which texts may have halves of surrogate pairs."""
    try:
        return orjson.dumps(value)
    except TypeError:
        return repr(value).encode("utf-8", "surrogatepass")


@EXAMPLES
@given(st.sampled_from(sorted(protobuf_messages.TYPES)), st.binary(max_size=40))
def test_any_bytes_are_read_as_protobuf_reads_them(method: str, message: bytes) -> None:
    """Any bytes are a message, or the caller's error, as protobuf has it."""
    holds(protobuf_messages.check(protobuf_messages.Sent(method, message)))


MESSAGES: st.SearchStrategy[UploadFileAttachmentRequest] = st.one_of(
    st.builds(
        lambda **fields: UploadFileAttachmentRequest(header=UploadHeader(**fields)),
        post=POSTS,
        attachment=st.builds(Attachment, name=TEXTS, content_type=TEXTS | st.none()),
        size_bytes=st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(0, 3000),
        sha256=st.binary(max_size=33),
        request_id=REQUEST_IDS,
    ),
    st.builds(UploadFileAttachmentRequest, chunk=st.binary(max_size=10)),
    st.builds(
        lambda **fields: UploadFileAttachmentRequest(footer=UploadFooter(**fields)),
        size_bytes=st.none() | st.integers(0, 30),
    ),
    st.just(UploadFileAttachmentRequest()),
)


@EXAMPLES
@given(st.lists(MESSAGES, max_size=6), st.integers(300, 3000))
def test_any_stream_ends_as_the_contract_says(
    sent: list[UploadFileAttachmentRequest], cap_bytes: int
) -> None:
    """Any stream becomes the request that the contract asks for, or has the named fault."""
    wire = tuple(each.SerializeToString() for each in sent)
    holds(upload_streams.check(upload_streams.Stream(wire, cap_bytes)))


ITEMS: st.SearchStrategy[ItemAttachment] = st.one_of(
    st.builds(
        lambda **fields: ItemAttachment(message=Message(**fields)),
        subject=TEXTS,
        body=st.builds(ItemBody, content=TEXTS),
        categories=st.lists(TEXTS, max_size=3),
    ),
    st.builds(
        lambda **fields: ItemAttachment(event=Event(**fields)),
        subject=TEXTS,
        additional_properties=st.dictionaries(TEXTS, TEXTS, max_size=3),
    ),
)


@EXAMPLES
@given(
    POSTS,
    REQUEST_IDS,
    TEXTS,
    ITEMS | st.builds(FileAttachment, content_bytes=st.binary(max_size=50)),
)
def test_any_text_arrives_as_it_was_sent(
    post: PostRef, request_id: str, name: str, held: ItemAttachment | FileAttachment
) -> None:
    """Any text of a create is refused, or is in the REST request as it was sent."""
    attachment = Attachment(name=name)
    is_file = isinstance(held, FileAttachment)
    getattr(attachment, "file_attachment" if is_file else "item_attachment").CopyFrom(held)
    request = CreateAttachmentRequest(post=post, attachment=attachment, request_id=request_id)
    holds(items.check(request))


@EXAMPLES
@given(st.data())
def test_any_cut_of_a_response_is_read_alike(data: st.DataObject) -> None:
    """Any bytes are read alike, however they are cut."""
    head = data.draw(st.sampled_from([b"", b"HTTP/1.1 200 X\r\n", b"HTTP/1.1 201 X\r\n\r\n{"]))
    parts = st.sampled_from(
        [
            *(b"\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked", b"5\r\nabcde\r\n"),
            *(b"0\r\n\r\n", b'"contentBytes":"', b'QUJD"', b"HTTP/1.1 100 X\r\n\r\n", b"X: y"),
        ]
    )
    wire = head + b"".join(data.draw(st.lists(parts | st.binary(max_size=5), max_size=8)))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(len(wire) - 1, 1)), max_size=5)))
    pieces = [wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    skipped_after = data.draw(st.sampled_from([b"", http_responses.SKIPPED_AFTER]))
    received = http_responses.Received(
        wire, tuple(filter(None, pieces)), skipped_after, data.draw(st.booleans())
    )
    holds(http_responses.check(received))


@EXAMPLES
@given(
    DESCRIBED,
    st.integers(200, 599),
    st.dictionaries(st.sampled_from(["retry-after", "date", "request-id"]), st.text(max_size=10)),
    st.sampled_from(answers.REQUESTS),
    st.booleans(),
)
def test_any_answer_is_judged(
    described: object, status: int, headers: dict[str, str], request: Any, offered: bool
) -> None:
    """Any answer has a meaning, and a 2XX never that nothing was created."""
    response = Response(
        http_status=status,
        headers=headers,
        body=encoded(described),
        offered=offered or status < 300,
    )
    at = Situation(attempt=1, left_s=10.0, chance=0.5, now=answers.NOW)
    holds(answers.check(answers.Answer(response, request, at)))


ITEM_JSON = st.dictionaries(
    st.sampled_from(
        [
            *("subject", "body", "start", "toRecipients", "businessPhones", "birthday", "from"),
            *("importance", "categories", "personalNotes", "attendees", "custom"),
        ]
    ),
    JSON | st.dictionaries(st.sampled_from(["dateTime", "timeZone", "content", "address"]), JSON),
)


@settings(EXAMPLES, max_examples=60)
@given(ITEM_JSON, ITEM_JSON)
def test_any_two_items_are_compared(sent: dict[str, Any], shown: dict[str, Any]) -> None:
    """Any two items are compared without an error."""
    assert is_alike(sent, shown) in {True, False}


@EXAMPLES
@given(st.text(max_size=300))
def test_any_name_is_the_same_as_itself(name: str) -> None:
    """Any name is the same as itself, or may be if nothing of it is compared."""
    assert compare_names([name], name) in {Name.SAME, Name.PERHAPS}
