"""What callers get of a Graph that answers with as much as it can, over real sockets.

None of the cases asserts a time; each asserts what is told, and what was asked and read of Graph.
"""

import gzip
import json
import re
import threading
from collections.abc import AsyncIterator, Callable
from email.utils import formatdate
from uuid import uuid4

import grpc.aio
import pytest

from attachment_gateway.delivery.listed_page import MAX_LISTED, MAX_PAGE_BYTES
from attachment_gateway.graph import codec
from attachment_gateway.graph.codec import parsed
from attachment_gateway.graph.off_loop import ON_LOOP_BYTES
from attachment_gateway.graph.values import JsonObject
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment, PostRef
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from graphattachments.v1.event_pb2 import Event
from graphattachments.v1.outlook_pb2 import ItemBody
from tests.support.calls import BEARER, AsyncStub, Start, create, failure
from tests.support.raw_graph import CREATED, Exchange, Handler, RawGraph, answer, error

pytestmark = pytest.mark.timeout(60)

FILE = Attachment(name="report.pdf", file_attachment=FileAttachment(content_bytes=b"hello"))

# 1.2 million elements, and a text with 2.8 million of their marks.
TINY = b"{}," * 1_200_000 + b"{}"
MARKS = "{,[:" * 700_000

# Successes that would take a second or a gigabyte.
BODIES: dict[str, bytes] = {
    "tiny elements": b'{"id":"AAMkAD=","name":"n","more":[' + TINY + b"]}",
    "deep": b'{"id":"AAMkAD=","more":' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    "names": b'{"id":"A"' + b"".join(b',"%d":0' % number for number in range(60_000)) + b"}",
    "too many bytes": b'{"id":"AAMkAD=","more":"' + b"a" * 10_000_000 + b'"}',
}

# What comes instead of the head of a response, and goes on without an end.
HEADS: dict[str, tuple[bytes, bytes]] = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"".join(b"a%d:\r\n" % each for each in range(9_000))),
    "the same header": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 10_000),
    "one header": (b"HTTP/1.1 200 OK\r\na: ", b"b" * 65_536),
    "interim responses": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 3_000),
}


@pytest.fixture
def post() -> PostRef:
    """A post of a Graph that is a script."""
    return PostRef(group_id="g", thread_id="t", post_id="p")


@pytest.fixture
async def stub(start: Start) -> AsyncIterator[AsyncStub]:
    """A client of a gateway that lists each post for a baseline."""
    gateway = await start(baseline="always")
    options = [("grpc.max_receive_message_length", 8 * 1024 * 1024)]
    async with grpc.aio.insecure_channel(gateway.address, options) as channel:
        yield AttachmentServiceStub(channel)


def event(text: str) -> Attachment:
    """Return an item with this text."""
    held = Event(subject="Planning", body=ItemBody(content=text))
    return Attachment(name="Planning", item_attachment=ItemAttachment(event=held))


def event_json(text: str) -> dict[str, object]:
    """Return an item with this text as Graph shows it."""
    item = {
        "@odata.type": "#microsoft.graph.event",
        "subject": "Planning",
        "body": {"contentType": "text", "content": text},
    }
    kind = "#microsoft.graph.itemAttachment"
    return {"@odata.type": kind, "id": "A=", "name": "Planning", "item": item}


def endless(begin: bytes, then: bytes) -> Handler:
    """Return a handler that answers without an end."""

    async def handle(exchange: Exchange) -> None:
        await exchange.receive()
        await exchange.send(begin)
        while True:
            await exchange.send(then)

    return handle


def always(graph: RawGraph, respond: Callable[[Exchange], Handler]) -> None:
    """Let each GET be answered by what `respond` returns."""

    async def handle(exchange: Exchange) -> None:
        graph.read_script.append(handle)
        await respond(exchange)(exchange)

    graph.read_script = [handle]


def baseline_first(graph: RawGraph) -> None:
    """Let the first GET be answered by an empty list, before what there is."""
    graph.read_script.insert(0, answer(200, {"value": []}))


def page(value: bytes, link: str = "") -> Handler:
    more = b',"@odata.nextLink":' + json.dumps(link).encode() if link else b""
    return answer(200, b'{"value":[' + value + b"]" + more + b"}")


async def told(stub: AsyncStub, post: PostRef, *, timeout_s: float = 1) -> str:
    """Create a file, and return its id or the reason of the error."""
    request = create(post, FILE, request_id=str(uuid4()))
    call = stub.CreateAttachment(request, metadata=BEARER, timeout=timeout_s)
    try:
        return (await call).attachment.id
    except grpc.aio.AioRpcError:
        return str((await failure(call)).info.reason)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_a_success_that_is_not_parsed_is_looked_up(
    stub: AsyncStub, graph: RawGraph, post: PostRef, body: bytes
) -> None:
    """An attachment whose 2XX isn't parsed was created, and is named by a list."""
    graph.script = [answer(201, body, request_id="r")]
    graph.read_script = [
        answer(200, {"value": []}),
        answer(200, {"value": [CREATED]}),
        answer(200, b"hello"),
    ]
    assert await told(stub, post) == CREATED["id"]
    assert (len(graph.received), len(graph.reads)) == (1, 3)


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
async def test_an_error_that_is_not_parsed_keeps_its_status(
    stub: AsyncStub, graph: RawGraph, post: PostRef, body: bytes
) -> None:
    """An error whose body isn't parsed is judged by its status."""
    graph.script = [answer(403, body)]
    got = await failure(stub.CreateAttachment(create(post, FILE), metadata=BEARER))
    assert (got.info.reason, got.metadata["graph_code"]) == ("GRAPH_PERMISSION_DENIED", "")


async def test_an_item_full_of_marks_is_created_and_shown(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """An honest item with 2.8 million commas and braces in its text is created and described."""
    graph.script = [answer(201, event_json(MARKS), request_id="r")]
    response = await stub.CreateAttachment(create(post, event(MARKS)), metadata=BEARER)
    assert response.attachment.item_attachment.event.body.content == MARKS
    assert graph.reads == []


async def test_an_item_full_of_marks_is_recognised(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """Such an item is also recognised by its content if the create's answer was lost."""
    graph.script = [error(503, "UnknownError")]
    graph.read_script = [
        answer(200, {"value": []}),
        answer(200, {"value": [{"id": "A=", "name": "Planning"}]}),
        *[answer(200, event_json(MARKS))] * 2,
    ]
    request = create(post, event(MARKS), request_id=str(uuid4()))
    response = await stub.CreateAttachment(request, metadata=BEARER, timeout=20)
    assert response.attachment.item_attachment.event.body.content == MARKS
    assert (len(graph.received), len(graph.reads)) == (1, 4)


LISTS: dict[str, Handler] = {
    "tiny elements": page(b"{}," * 24_000 + b"{}"),
    "more elements than are parsed": page(TINY),
    "a page of too many bytes": page(b" " * MAX_PAGE_BYTES),
    "compressed": answer(
        200, gzip.compress(b'{"value":[' + b" " * 30_000_000 + b"]}"), Content_Encoding="gzip"
    ),
    "deep": page(b"[" * 200 + b"]" * 200),
    "a page without an end": endless(
        b'HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{"value":[', b"{}," * 20_000
    ),
    "chunks": endless(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n" * 10_000
    ),
    **{f"{name} without an end": endless(*head) for name, head in HEADS.items()},
}


@pytest.mark.parametrize("handler", LISTS.values(), ids=LISTS)
async def test_a_list_that_is_not_read_proves_no_absence(
    stub: AsyncStub, graph: RawGraph, post: PostRef, handler: Handler
) -> None:
    """A list beyond a bound is never taken for one without our attachment: nothing is resent."""
    graph.script = [error(503, "UnknownError")]
    always(graph, lambda _: handler)
    baseline_first(graph)
    assert await told(stub, post) == "OUTCOME_UNKNOWN"
    assert len(graph.received) == 1


@pytest.mark.parametrize(
    ("count", "name_chars", "pages"),
    [(1000, 10, MAX_LISTED // 1000 + 1), (1000, 1990, 5), (1, 10, 200)],
)
async def test_a_list_without_an_end_is_read_up_to_its_bounds(
    start: Start, graph: RawGraph, post: PostRef, count: int, name_chars: int, pages: int
) -> None:
    """A list is read up to 10,000 attachments, 8 MiB or 200 pages, and proves no absence.

    By their stamps, all of its attachments were there before.
    """
    graph.script = [error(503, "UnknownError")]
    tokens = set[int]()

    def respond(exchange: Exchange) -> Handler:
        found = re.search(rb"skiptoken=(\d+)", exchange.head)
        number = int(found[1]) if found else 0
        tokens.add(number)
        name = "n" * name_chars
        value = [
            {"id": f"{number} {each}", "name": name, "lastModifiedDateTime": "2020-01-01T00:00:00Z"}
            for each in range(count)
        ]
        link = f"{graph.url}/groups/g/more?$skiptoken={number + 1}"
        return answer(200, {"value": value, "@odata.nextLink": link}, Date=formatdate(usegmt=True))

    always(graph, respond)
    gateway = await start(baseline="never")
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        reason = await told(AttachmentServiceStub(channel), post, timeout_s=6)
    assert reason == "OUTCOME_UNKNOWN"
    assert (len(tokens), len(graph.received)) == (pages, 1)


async def test_a_content_that_is_larger_than_ours_is_read_once(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """Of a content no more is read than ours has, and once, however often it is listed."""
    graph.script = [error(503, "UnknownError")]
    listed = {"id": "B=", "name": "other.pdf", "size": 9_999}
    contents = list[bytes]()

    def respond(exchange: Exchange) -> Handler:
        if b"$value" not in exchange.head:
            return answer(200, {"value": [listed]})
        contents.append(exchange.head)
        return answer(200, b"hello!")

    always(graph, respond)
    baseline_first(graph)
    assert await told(stub, post) == "OUTCOME_UNKNOWN"
    assert (len(contents), len(graph.received)) == (1, 1)


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
async def test_a_head_without_an_end_is_no_answer(
    stub: AsyncStub, graph: RawGraph, post: PostRef, head: tuple[bytes, bytes]
) -> None:
    """A create's answer whose head is beyond its bounds is unclear, and is looked up."""
    graph.script = [endless(*head)]
    graph.read_script = [
        answer(200, {"value": []}),
        answer(200, {"value": [CREATED]}),
        answer(200, b"hello"),
    ]
    assert await told(stub, post) == CREATED["id"]
    assert len(graph.received) == 1


async def test_large_answers_are_parsed_beside_the_event_loop(
    stub: AsyncStub, graph: RawGraph, post: PostRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a create, a list, a content and a replay, the large answers are parsed on a thread."""
    parsed_on: list[tuple[bool, bool]] = []

    def noted(body: bytes) -> JsonObject:
        is_large = len(body) > ON_LOOP_BYTES
        parsed_on.append((is_large, threading.current_thread() is threading.main_thread()))
        return parsed(body)

    monkeypatch.setattr(codec, "parsed", noted)
    item, padding = event_json("a" * 20_000), b" " * 20_000
    whole = json.dumps(item).encode()
    graph.script = [answer(200, b'{"error":{}' + padding + b"}", request_id="r")]
    graph.read_script = [
        answer(200, {"value": []}),
        page(b'{"id":"A=","name":"Planning"}' + padding),
        *[answer(200, whole)] * 4,
    ]
    request = create(post, event("a" * 20_000), request_id=str(uuid4()))
    for _ in range(2):
        response = await stub.CreateAttachment(request, metadata=BEARER, timeout=20)
        assert response.attachment.item_attachment.event.body.content == "a" * 20_000
    assert {True, False} == {is_large for is_large, _ in parsed_on}
    assert all(on_main != is_large for is_large, on_main in parsed_on)
    assert len(graph.reads) == 5
