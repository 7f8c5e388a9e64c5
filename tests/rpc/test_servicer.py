"""Tests of rpc/servicer.py over a real grpc.aio server and a real HTTP server."""

import asyncio
import base64
import json
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import RFC_4122, UUID

import grpc.aio
import pytest
from google.rpc.error_details_pb2 import BadRequest, ResourceInfo, RetryInfo
from structlog.testing import capture_logs

from attachment_gateway.errors import LedgerUnavailable
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.rpc import servicer
from attachment_gateway.translation.create import graph_request_of
from graphattachments.v1.attachment_pb2 import (
    Attachment,
    FileAttachment,
    ItemAttachment,
    PostRef,
)
from graphattachments.v1.attachment_service_pb2 import (
    UploadFileAttachmentRequest,
    UploadHeader,
)
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from graphattachments.v1.event_pb2 import Attendee, AttendeeType, Event
from graphattachments.v1.message_pb2 import Message as OutlookMessage
from graphattachments.v1.outlook_pb2 import Recipient
from tests.support.calls import BEARER, TOKEN, AsyncStub, Start, create, failure, upload
from tests.support.raw_graph import CREATED, Exchange, Handler, RawGraph, answer, error, hang

CAP = 4194304
MORE_THAN_SOCKETS_HOLD = 40_000_000


@pytest.mark.parametrize("request_id", ["", "5e6d9a2c-4b7f-4c1e-9a53-0c2f6b8d7e10"])
async def test_an_attachment_is_in_the_ledger_before_the_response(
    start: Start, post: PostRef, tmp_path: Path, request_id: str
) -> None:
    """The ledger has the attachment's id before the response, so no other call claims it."""
    file = tmp_path / "ledger.sqlite3"
    gateway = await start(ledger=f"sqlite:///{file}")
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        made = await AttachmentServiceStub(channel).UploadFileAttachment(
            upload(post, [b"x"], request_id=request_id), metadata=BEARER
        )
    with closing(sqlite3.connect(file)) as ledger:
        assert ledger.execute("SELECT attachment_id FROM claimed").fetchall() == [
            (made.attachment.id,)
        ]
        held = "SELECT * FROM queue WHERE lease_until IS NOT NULL"
        assert ledger.execute(held).fetchall() == []


async def test_a_large_item_is_translated_in_another_thread(
    stub: AsyncStub,
    graph: RawGraph,
    post: PostRef,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An item of 40,000 parts is translated outside the event loop's thread, a small one in it."""
    threads = []

    def noted(*args: Any) -> GraphRequest:
        threads.append(threading.get_ident())
        return graph_request_of(*args)

    monkeypatch.setattr(servicer, "graph_request_of", noted)
    for count in (100, 40_000):
        message = OutlookMessage(bcc_recipients=[Recipient()] * count)
        item = Attachment(name="n", item_attachment=ItemAttachment(message=message))
        await stub.CreateAttachment(create(post, item), metadata=BEARER)
        assert len(json.loads(graph.received[-1].body)["item"]["bccRecipients"]) == count
    few, many = threads
    assert few == threading.get_ident() != many


async def test_an_upload_becomes_one_post(stub: AsyncStub, graph: RawGraph, post: PostRef) -> None:
    """Chunks become one POST with the caller's token and the body that Graph's page shows."""
    call = stub.UploadFileAttachment(upload(post, [b"hello,", b" world"]), metadata=BEARER)
    response = await call
    [received] = graph.received
    assert received.request_line == (
        "POST /v1.0/groups/g-1/threads/AAQkAD%3D/posts/AAMkAG_-%3D/attachments HTTP/1.1"
    )
    assert received.headers["Authorization"] == f"Bearer {TOKEN}"
    assert received.body == (
        b'{"@odata.type":"#microsoft.graph.fileAttachment","name":"report.pdf",'
        b'"contentBytes":"aGVsbG8sIHdvcmxk"}'
    )
    assert response.attachment == Attachment(
        id="AAMkAD=",
        name="report.pdf",
        size=1053,
        is_inline=False,
        last_modified_date_time=response.attachment.last_modified_date_time,
        file_attachment=FileAttachment(),
    )
    assert response.attachment.last_modified_date_time.ToJsonString() == "2026-03-01T09:00:00Z"


async def test_a_conversation_selects_the_long_route(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """With a conversation both RPCs use the route through it."""
    post.conversation_id = "c/1"
    await stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
    file = Attachment(name="n", file_attachment=FileAttachment(content_bytes=b"x"))
    await stub.CreateAttachment(create(post, file), metadata=BEARER)
    paths = {received.request_line.split()[1] for received in graph.received}
    assert paths == {
        "/v1.0/groups/g-1/conversations/c%2F1/threads/AAQkAD%3D/posts/AAMkAG_-%3D/attachments"
    }


async def test_create_attachment_takes_a_file_and_an_item(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """CreateAttachment takes a file with its bytes, and an item."""
    file = Attachment(name="n", file_attachment=FileAttachment(content_bytes=b"abc"))
    item = Attachment(name="n", item_attachment=ItemAttachment(event=Event(subject="s")))
    await stub.CreateAttachment(create(post, file), metadata=BEARER)
    await stub.CreateAttachment(create(post, item), metadata=BEARER)
    assert [received.json for received in graph.received] == [
        {"@odata.type": "#microsoft.graph.fileAttachment", "name": "n", "contentBytes": "YWJj"},
        {
            "@odata.type": "#microsoft.graph.itemAttachment",
            "name": "n",
            "item": {"@odata.type": "#microsoft.graph.event", "subject": "s"},
        },
    ]


async def largest(stub: AsyncStub, post: PostRef) -> int:
    """Return the size of the largest file that fits, from the error for a larger one."""
    failed = await failure(
        stub.UploadFileAttachment(upload(post, [], size_bytes=CAP), metadata=BEARER)
    )
    return int(failed.metadata["max_size_bytes"])


@pytest.mark.parametrize("name", ["report.pdf", "r"])
@pytest.mark.parametrize("declared", [True, False])
async def test_the_largest_file_is_uploaded_and_one_byte_more_refused(
    stub: AsyncStub, graph: RawGraph, post: PostRef, name: str, declared: bool
) -> None:
    """The largest file is sent within the cap as counted on the wire, and one byte more refused."""
    named = Attachment(name=name)
    failed = await failure(
        stub.UploadFileAttachment(
            upload(post, [], size_bytes=CAP, attachment=named), metadata=BEARER
        )
    )
    most = int(failed.metadata["max_size_bytes"])
    content = bytes(range(256)) * (most // 256) + b"x" * (most % 256)
    chunks = [content[at : at + 262144] for at in range(0, most, 262144)]
    size: dict[str, Any] = {"size_bytes": most} if declared else {}
    requests = upload(post, chunks, attachment=named, **size)
    await stub.UploadFileAttachment(requests, metadata=BEARER)
    [received] = graph.received
    assert CAP - 4 < len(received.raw) <= CAP
    assert base64.b64decode(received.json["contentBytes"]) == content
    size = {"size_bytes": most + 1} if declared else {}
    requests = upload(post, [*chunks, b"x"], attachment=named, **size)
    failed = await failure(stub.UploadFileAttachment(requests, metadata=BEARER))
    assert (failed.code, failed.info.reason) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "ATTACHMENT_TOO_LARGE",
    )
    assert failed.metadata == {"size_bytes": str(most + 1), "max_size_bytes": str(most)}
    assert len(graph.received) == 1


async def test_create_attachment_takes_the_largest_file(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """CreateAttachment takes as large a file as an upload, and refuses more with our error."""
    most = await largest(stub, post)
    file = FileAttachment(content_bytes=bytes(most))
    await stub.CreateAttachment(
        create(post, Attachment(name="report.pdf", file_attachment=file)), metadata=BEARER
    )
    assert CAP - 4 < len(graph.received[0].raw) <= CAP
    for size in (most + 1, 8_000_000):
        file = FileAttachment(content_bytes=bytes(size))
        attachment = Attachment(name="report.pdf", file_attachment=file)
        failed = await failure(stub.CreateAttachment(create(post, attachment), metadata=BEARER))
        assert failed.metadata == {"size_bytes": str(size), "max_size_bytes": str(most)}


async def test_a_longer_token_leaves_less_room_for_the_file(stub: AsyncStub, post: PostRef) -> None:
    """A token that is 4,000 bytes longer leaves 3,000 bytes less for the file."""
    longer = (("authorization", f"Bearer {'x' * (len(TOKEN) + 4000)}"),)
    failed = await failure(
        stub.UploadFileAttachment(upload(post, [], size_bytes=CAP), metadata=longer)
    )
    assert await largest(stub, post) - int(failed.metadata["max_size_bytes"]) == 3000


async def test_an_item_over_the_cap_is_refused(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """An item over the cap is refused with the request's size and the cap."""
    item = ItemAttachment(event=Event(subject="s" * CAP))
    attachment = Attachment(name="n", item_attachment=item)
    failed = await failure(stub.CreateAttachment(create(post, attachment), metadata=BEARER))
    assert failed.info.reason == "ATTACHMENT_TOO_LARGE"
    assert failed.metadata["max_size_bytes"] == str(CAP)
    assert int(failed.metadata["size_bytes"]) > CAP
    assert graph.received == []


async def test_the_trailers_have_both_request_ids(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """The trailers of every response have Graph's request id and ours, a UUID for each call."""
    graph.script = [answer(request_id="g-1"), error(400, "c", request_id="g-2")]
    call = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
    await call
    trailers = dict(await call.trailing_metadata())
    assert trailers["graph-request-id"] == "g-1"
    assert trailers["client-request-id"] == graph.received[0].headers["client-request-id"]
    failed = await failure(stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER))
    assert failed.trailers["graph-request-id"] == failed.info.metadata["graph_request_id"] == "g-2"
    assert failed.info.metadata["client_request_id"] == failed.trailers["client-request-id"]
    assert failed.trailers["client-request-id"] == graph.received[1].headers["client-request-id"]
    ids = {UUID(str(each["client-request-id"])) for each in (trailers, failed.trailers)}
    assert [(each.version, each.variant) for each in ids] == [(4, RFC_4122)] * 2


async def test_a_malformed_request_id_of_graph_is_left_out(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """A request id of Graph that is too long is left out of the trailers."""
    graph.script = [answer(request_id="x" * 200)]
    call = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
    assert (await call).attachment.id == "AAMkAD="
    assert "graph-request-id" not in dict(await call.trailing_metadata())


async def test_a_response_may_echo_the_file(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """A response with the file's bytes is read up to the cap and 64 KiB, and they are left out."""
    frame = len(json.dumps({**CREATED, "contentBytes": ""}))
    echo = {**CREATED, "contentBytes": "x" * (CAP + 65536 - frame)}
    graph.script = [answer(201, echo)]
    response = await stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
    assert response.attachment.file_attachment == FileAttachment()
    too_long = {**echo, "contentBytes": echo["contentBytes"] + "x"}
    graph.script = [answer(201, too_long, request_id="r-1")]
    failed = await failure(stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER))
    assert failed.info.reason == "OUTCOME_UNKNOWN"


async def test_an_item_over_the_response_limit_is_left_out(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """An item that would pass a client's default limit is left out of the response."""
    item = {"@odata.type": "#microsoft.graph.event", "subject": "s" * CAP}
    described = {"@odata.type": "#microsoft.graph.itemAttachment", "id": "A=", "item": item}
    graph.script = [answer(201, described)]
    attachment = Attachment(name="n", item_attachment=ItemAttachment(event=Event()))
    response = await stub.CreateAttachment(create(post, attachment), metadata=BEARER)
    assert response.attachment == Attachment(id="A=", item_attachment=ItemAttachment())


@pytest.mark.parametrize(
    ("status", "graph_code", "headers", "code", "reason", "extra"),
    [
        (400, "RequestBodyRead", {}, "INVALID_ARGUMENT", "GRAPH_REJECTED", {}),
        (401, "InvalidAuthenticationToken", {}, "UNAUTHENTICATED", "GRAPH_UNAUTHENTICATED", {}),
        (
            401,
            "InvalidAuthenticationToken",
            {"WWW_Authenticate": 'Bearer claims="eyJ9"'},
            *("UNAUTHENTICATED", "GRAPH_UNAUTHENTICATED", {"claims": "eyJ9"}),
        ),
        (403, "ErrorAccessDenied", {}, "PERMISSION_DENIED", "GRAPH_PERMISSION_DENIED", {}),
        (404, "ErrorItemNotFound", {}, "NOT_FOUND", "GRAPH_NOT_FOUND", {}),
        (405, "x", {}, "UNIMPLEMENTED", "GRAPH_UNSUPPORTED", {}),
        (409, "x", {}, "ABORTED", "GRAPH_CONFLICT", {}),
        (412, "ErrorIrresolvableConflict", {}, "ABORTED", "GRAPH_CONFLICT", {}),
        (413, "x", {}, "INVALID_ARGUMENT", "ATTACHMENT_TOO_LARGE", {"size_bytes": "3"}),
        (423, "x", {}, "FAILED_PRECONDITION", "GRAPH_LOCKED", {}),
        (429, "x", {"Retry_After": "25"}, "RESOURCE_EXHAUSTED", "GRAPH_THROTTLED", {}),
        (507, "x", {}, "RESOURCE_EXHAUSTED", "GRAPH_QUOTA_EXCEEDED", {}),
        (302, "x", {"Location": "http://127.0.0.1:9/"}, "INTERNAL", "GATEWAY_ERROR", {}),
    ],
)
async def test_graphs_errors_reach_the_caller(  # noqa: PLR0917 a row of the table
    stub: AsyncStub,
    graph: RawGraph,
    post: PostRef,
    status: int,
    graph_code: str,
    headers: dict[str, str],
    code: str,
    reason: str,
    extra: dict[str, str],
) -> None:
    """Graph's errors reach the caller whole, and conflicts are sent again while there is time."""
    graph.script = [error(status, graph_code, "words", **headers)] * 9
    call = stub.UploadFileAttachment(upload(post, [b"abc"]), metadata=BEARER, timeout=1)
    failed = await failure(call)
    assert (failed.code.name, failed.info.reason) == (code, reason)
    assert failed.metadata == {"http_status": str(status), "graph_code": graph_code, **extra}
    if reason != "GATEWAY_ERROR":
        assert f"Graph answered {status} {graph_code}: words" in failed.message
    assert (len(graph.received) > 1) is (status in {409, 412})


async def test_errors_have_their_details(stub: AsyncStub, graph: RawGraph, post: PostRef) -> None:
    """RetryInfo, its pushback trailer, ResourceInfo and BadRequest are sent where they apply."""
    graph.script = [
        error(429, "x", Retry_After="1.5"),
        error(404, "x"),
        error(507, "x"),
    ]
    throttled = await failure(
        stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER, timeout=1)
    )
    retry = throttled.details["RetryInfo"]
    assert isinstance(retry, RetryInfo)
    assert retry.retry_delay.ToMilliseconds() == 1500
    assert throttled.trailers["grpc-retry-pushback-ms"] == "1500"
    missing = await failure(stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER))
    resource = missing.details["ResourceInfo"]
    assert isinstance(resource, ResourceInfo)
    assert resource.resource_type == "microsoft.graph.post"
    assert resource.resource_name == "/groups/g-1/threads/AAQkAD%3D/posts/AAMkAG_-%3D"
    full = await failure(stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER))
    assert full.trailers["grpc-retry-pushback-ms"] == "-1"
    post.post_id = ""
    invalid = await failure(stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER))
    bad = invalid.details["BadRequest"]
    assert isinstance(bad, BadRequest)
    assert [violation.field for violation in bad.field_violations] == ["header.post.post_id"]


@pytest.mark.parametrize(
    ("metadata", "requests", "reason"),
    [
        ((), [UploadHeader(attachment=Attachment(name="n"))], "TOKEN_MISSING"),
        ((("authorization", "Bearer a b"),), [], "TOKEN_MISSING"),
        (BEARER, [], "STREAM_PROTOCOL"),
        (BEARER, [b"x"], "STREAM_PROTOCOL"),
        (BEARER, [UploadHeader()], "INVALID_REQUEST"),
    ],
)
async def test_a_bad_stream_is_refused(
    stub: AsyncStub,
    graph: RawGraph,
    metadata: tuple[tuple[str, str], ...],
    requests: list[UploadHeader | bytes],
    reason: str,
) -> None:
    """A stream without a token, a header or a post is refused, and nothing is sent."""
    messages = [
        UploadFileAttachmentRequest(chunk=part)
        if isinstance(part, bytes)
        else UploadFileAttachmentRequest(header=part)
        for part in requests
    ]
    failed = await failure(stub.UploadFileAttachment(iter(messages), metadata=metadata))
    assert failed.info.reason == reason
    assert graph.connections == 0


async def test_an_error_ends_a_stream_at_once(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """A size that can't fit is refused before the caller has sent the file."""

    async def requests() -> AsyncIterator[UploadFileAttachmentRequest]:
        yield next(upload(post, [], size_bytes=CAP))
        await asyncio.sleep(60)

    call = stub.UploadFileAttachment(requests(), metadata=BEARER)
    async with asyncio.timeout(10):
        assert (await failure(call)).info.reason == "ATTACHMENT_TOO_LARGE"


@pytest.mark.parametrize("method", ["UploadFileAttachment", "CreateAttachment"])
async def test_malformed_bytes_are_an_invalid_request(
    start: Start, graph: RawGraph, method: str
) -> None:
    """A request that isn't protobuf, or has a string that isn't UTF-8, is the caller's error."""
    gateway = await start()
    path = f"/graphattachments.v1.AttachmentService/{method}"
    not_utf8 = b"\x1a\x03\xff\xff\xff"
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        for data in (b"\xff\xff", not_utf8):
            call: grpc.aio.Call
            if method == "CreateAttachment":
                create_raw: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
                create_raw = channel.unary_unary(path)
                call = create_raw(data, metadata=BEARER)
            else:
                header = b"\x0a" + bytes([len(data)]) + data
                upload_raw: grpc.aio.StreamUnaryMultiCallable[bytes, bytes]
                upload_raw = channel.stream_unary(path)
                call = upload_raw(iter([header]), metadata=BEARER)
            failed = await failure(call)
            assert (failed.code, failed.info.reason) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "INVALID_REQUEST",
            )
    assert graph.connections == 0


async def test_an_idle_stream_is_ended(start: Start, graph: RawGraph, post: PostRef) -> None:
    """A stream without messages is ended after the idle timeout, and nothing is sent."""
    gateway = await start(stream_idle_s=0.3)

    async def requests() -> AsyncIterator[UploadFileAttachmentRequest]:
        for request in upload(post, [b"x"] * 4):
            yield request
            await asyncio.sleep(0.1)
        await asyncio.sleep(60)

    async with grpc.aio.insecure_channel(gateway.address) as channel:
        call = AttachmentServiceStub(channel).UploadFileAttachment(requests(), metadata=BEARER)
        failed = await failure(call)
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.ABORTED, "STREAM_IDLE")
    assert failed.message.startswith("nothing came for 0.3 s")
    assert graph.connections == 0


async def test_an_unforeseen_error_is_internal(
    start: Start, graph: RawGraph, post: PostRef, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An unforeseen error is INTERNAL with a constant sentence; only the log has its text."""
    gateway = await start()
    monkeypatch.delattr("attachment_gateway.rpc.servicer.graph_request_of")
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        call = AttachmentServiceStub(channel).CreateAttachment(
            create(post, Attachment(name="n")), metadata=BEARER
        )
        failed = await failure(call)
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.INTERNAL, "GATEWAY_ERROR")
    assert failed.message == "the gateway failed; its operator can find the reason in the log"


async def cut(exchange: Exchange) -> None:
    """Receive the request and close the connection."""
    await exchange.receive()
    exchange.writer.close()


async def cut_unread(exchange: Exchange) -> None:
    """Reset the connection without reading the body."""
    exchange.reset()


async def test_a_connection_lost_after_the_request_is_unknown(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """If the connection is lost after the request, and look-ups fail, the outcome is UNKNOWN."""
    graph.script = [cut]
    graph.read_script = [error(500, "x")] * 99
    call = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER, timeout=1)
    failed = await failure(call)
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")
    assert failed.trailers["grpc-retry-pushback-ms"] == "-1"
    assert "http_status" not in failed.metadata


async def test_a_reset_before_the_end_of_the_request_is_unavailable(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A connection that is reset before the end of the body created nothing: UNAVAILABLE."""
    graph.script = [cut_unread] * 9
    gateway = await start(max_request_bytes=MORE_THAN_SOCKETS_HOLD)
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        requests = upload(post, [bytes(262144)] * 90)
        stub = AttachmentServiceStub(channel)
        failed = await failure(stub.UploadFileAttachment(requests, metadata=BEARER, timeout=2))
    assert (failed.code, failed.info.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "GRAPH_UNAVAILABLE",
    )
    assert failed.trailers["grpc-retry-pushback-ms"] == "3000"
    assert "RetryInfo" in failed.details
    assert graph.reads == []


async def test_a_refused_connection_to_graph_is_unavailable(start: Start, post: PostRef) -> None:
    """If no connection to Graph is possible, nothing was created: UNAVAILABLE."""
    gateway = await start(graph_url="http://127.0.0.1:9/v1.0")
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        call = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER, timeout=1)
        failed = await failure(call)
    assert (failed.code, failed.info.reason) == (
        grpc.StatusCode.UNAVAILABLE,
        "GRAPH_UNAVAILABLE",
    )


async def test_a_request_without_a_response_is_sent_again(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A request without a response within the timeout is sent again after it has settled."""
    graph.script = [hang]
    gateway = await start(graph_timeout_s=0.2)
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        await stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
    assert len(graph.received) == 2


async def test_a_deadline_before_graphs_response_is_unknown(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """If Graph's response doesn't come in time, the caller gets UNKNOWN before its deadline."""
    graph.script = [hang]
    call = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER, timeout=1)
    failed = await failure(call)
    assert (failed.code, failed.info.reason) == (grpc.StatusCode.UNKNOWN, "OUTCOME_UNKNOWN")


async def test_a_deadline_during_an_upload_sends_nothing(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """A deadline during the upload is DEADLINE_EXCEEDED: nothing was sent."""

    async def requests() -> AsyncIterator[UploadFileAttachmentRequest]:
        yield next(upload(post, []))
        await asyncio.sleep(60)

    call = stub.UploadFileAttachment(requests(), metadata=BEARER, timeout=1)
    failed = await failure(call)
    assert (failed.code, failed.info.reason) == (
        grpc.StatusCode.DEADLINE_EXCEEDED,
        "NOT_SENT",
    )
    assert graph.connections == 0


def slow_reader() -> tuple[list[Handler], asyncio.Future[bytes]]:
    """Return a handler that reads the body after 1.5 s, and a future with what it has read."""
    ended: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(1.5)
        try:
            ended.set_result(await exchange.reader.read())
        except ConnectionResetError:  # the reset dropped what was in the sender's buffers
            ended.set_result(b"")

    return [slow], ended


async def test_a_deadline_stops_a_body_that_is_being_sent(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A body that is still being sent at the deadline is stopped, so Graph never gets its end."""
    graph.script, ended = slow_reader()
    gateway = await start(max_request_bytes=MORE_THAN_SOCKETS_HOLD)
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        requests = upload(post, [bytes(262144)] * 90)
        stub = AttachmentServiceStub(channel)
        call = stub.UploadFileAttachment(requests, metadata=BEARER, timeout=1.2)
        failed = await failure(call)
        assert failed.info.reason == "NOT_SENT"
        assert not (await ended).endswith(b'"}')


async def test_a_call_without_a_deadline_has_the_default_one(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A call without a deadline ends at the default one."""
    graph.script = [hang]
    gateway = await start(default_deadline_s=0.3)
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        failed = await failure(stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER))
    assert failed.info.reason == "OUTCOME_UNKNOWN"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (201, b'{"id": "A="}', "CREATED"),
        (201, b"{}", "OUTCOME_UNKNOWN"),
        (504, b"{}", "GRAPH_UNAVAILABLE"),
    ],
)
async def test_an_attempt_of_a_cancelled_call_is_settled_and_logged(
    stub: AsyncStub,
    graph: RawGraph,
    post: PostRef,
    status: int,
    body: bytes,
    reason: str,
) -> None:
    """A cancelled call's attempt that Graph has is not cancelled: it is settled and logged."""
    graph.script = [answer(status, body, delay_s=0.3, request_id="g-1")]
    with capture_logs() as log:
        call = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
        await asyncio.sleep(0.15)
        call.cancel()
        await asyncio.sleep(1)
    assert len(graph.received) == 1
    assert [entry["event"] for entry in log] == ["call", "detached"]
    assert log[0]["code"] == "CANCELLED"
    assert (log[1]["reason"], log[1]["graph_request_id"]) == (reason, "g-1")
    assert (await stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)).attachment.id


async def test_a_cancel_stops_a_body_that_is_being_sent(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A body that is still being sent is stopped by a cancel, so Graph never gets its end."""
    graph.script, ended = slow_reader()
    gateway = await start(max_request_bytes=MORE_THAN_SOCKETS_HOLD)
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        requests = upload(post, [bytes(262144)] * 90)
        call = AttachmentServiceStub(channel).UploadFileAttachment(requests, metadata=BEARER)
        await asyncio.sleep(0.8)
        call.cancel()
        async with asyncio.timeout(10):
            assert not (await ended).endswith(b'"}')


@pytest.mark.parametrize("sized", [False, True])
async def test_an_interrupted_upload_is_never_sent(
    start: Start, graph: RawGraph, post: PostRef, *, sized: bool
) -> None:
    """A call that is cancelled or disconnected during its stream never sends anything to Graph.

    gRPC ends the messages of such a stream like those of a whole one, and cancels the call a
    moment before or after. That all declared bytes have come doesn't replace the half-close.
    """
    gateway = await start(listen="127.0.0.1:0")
    alone = [("grpc.use_local_subchannel_pool", 1)]
    for at in range(450):
        size: dict[str, Any] = {"size_bytes": at * 7 % 3000} if sized else {}
        async with grpc.aio.insecure_channel(gateway.address, options=alone) as channel:
            call = AttachmentServiceStub(channel).UploadFileAttachment(metadata=BEARER)
            for request in upload(post, [bytes(at * 7 % 3000)], **size):
                await call.write(request)
            if at % 3 == 0:
                await asyncio.sleep(0.001 * (at % 5))
            if at % 2:
                call.cancel()
            else:
                await channel.close(0)
    await asyncio.sleep(0.3)
    assert graph.received == []


async def test_a_message_over_twice_the_cap_is_refused_by_grpc(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """GRPC refuses a message of more than twice the cap before the gateway gets it."""
    file = FileAttachment(content_bytes=bytes(8 * 1024 * 1024))
    call = stub.CreateAttachment(
        create(post, Attachment(name="n", file_attachment=file)), metadata=BEARER
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert graph.connections == 0


REQUEST_ID = "5e6d9a2c-4b7f-4c1e-9a53-0c2f6b8d7e10"


@pytest.mark.parametrize(
    ("request_id", "is_away", "reason"),
    [
        ("", True, "LEDGER_UNAVAILABLE"),
        (REQUEST_ID, True, "LEDGER_UNAVAILABLE"),
        ("", False, "LEDGER_UNAVAILABLE"),
        (REQUEST_ID, False, "REQUEST_IN_PROGRESS"),
    ],
)
async def test_a_lost_lease_stops_the_second_attempt(
    start: Start, graph: RawGraph, post: PostRef, request_id: str, is_away: bool, reason: str
) -> None:
    """A lost lease stops the second attempt, and the error says only that nothing was created."""
    gateway = await start()

    async def record_sending(*_: object, **__: object) -> bool:
        if is_away:
            raise LedgerUnavailable("away")
        return False

    ledger: Any = gateway.runner._resources.ledger
    ledger.record_sending = record_sending
    graph.script = [error(429, "TooManyRequests", Retry_After="0.05")]
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub: AsyncStub = AttachmentServiceStub(channel)
        requests = upload(post, [b"x"], request_id=request_id)
        failed = await failure(stub.UploadFileAttachment(iter(requests), metadata=BEARER))
    assert failed.info.reason == reason
    assert "nothing was created by this call" in failed.message
    assert "nothing was sent" not in failed.message
    assert len(graph.received) == 1


async def test_twenty_wrong_fields_are_named_and_the_rest_counted(
    stub: AsyncStub, post: PostRef
) -> None:
    """An error names twenty wrong fields and counts the others, in trailers below 7 KiB."""
    attendees = [Attendee(type=AttendeeType.ValueType(99))] * 40
    item = ItemAttachment(event=Event(attendees=attendees))
    request = create(PostRef(thread_id="."), Attachment(item_attachment=item), request_id="x")
    failed = await failure(stub.CreateAttachment(request, metadata=BEARER))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    bad_request = failed.details["BadRequest"]
    assert isinstance(bad_request, BadRequest)
    named = [each.field for each in bad_request.field_violations]
    attendee = "attachment.item_attachment.event.attendees[{}].type"
    assert named == [
        *("post.group_id", "post.thread_id", "post.post_id", "attachment.name", "request_id"),
        *map(attendee.format, range(15)),
        "",
    ]
    assert bad_request.field_violations[-1].description == "and 25 more"
    assert failed.message == "post.group_id: empty; Graph's id is required (and 44 more)"
    assert failed.trailers_bytes < 7 * 1024


async def test_the_trailers_stay_below_7_kib(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """All trailers together stay below 7 KiB, whatever a caller or Graph writes."""
    names = {f"subject@{'語' * 300}{number}": 0 for number in range(30)}
    message = OutlookMessage()
    message.additional_properties.update(names)
    item = Attachment(name="n", item_attachment=ItemAttachment(message=message))
    failed = await failure(stub.CreateAttachment(create(post, item), metadata=BEARER))
    assert failed.trailers_bytes < 7 * 1024
    challenge = f'Bearer claims="{"x" * 2048}"'
    graph.script = [
        error(401, "語" * 500, "語" * 5000, request_id="x" * 128, WWW_Authenticate=challenge),
        error(404, "語" * 500, "語" * 5000, request_id="x" * 128),
    ]
    long = PostRef(group_id="語" * 1024, thread_id="語" * 1024, post_id="語" * 1024)
    for to in (post, long):
        requests = iter(upload(to, [b"x"]))
        failed = await failure(stub.UploadFileAttachment(requests, metadata=BEARER))
        assert failed.trailers_bytes < 7 * 1024


async def test_a_token_of_30000_characters_is_sent(
    stub: AsyncStub, graph: RawGraph, post: PostRef
) -> None:
    """A token of 30,000 characters is sent to Graph as it is."""
    token = "x" * 30_000
    metadata = (("authorization", f"Bearer {token}"),)
    await stub.UploadFileAttachment(iter(upload(post, [b"x"])), metadata=metadata)
    assert graph.received[-1].headers["Authorization"] == f"Bearer {token}"


async def test_an_unforeseen_error_after_the_request_was_offered_is_an_unknown_outcome(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A failure of the gateway's own doesn't hide that the attachment may exist."""
    gateway = await start()

    async def claimed(_: str) -> frozenset[str]:
        raise ZeroDivisionError

    ledger: Any = gateway.runner._resources.ledger
    ledger.claimed = claimed
    graph.script = [error(504, "UnknownError")]
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub: AsyncStub = AttachmentServiceStub(channel)
        with capture_logs() as log:
            failed = await failure(
                stub.UploadFileAttachment(iter(upload(post, [b"x"])), metadata=BEARER)
            )
    assert (failed.code.name, failed.info.reason) == ("UNKNOWN", "OUTCOME_UNKNOWN")
    assert failed.trailers["grpc-retry-pushback-ms"] == "-1"
    assert [entry["event"] for entry in log] == ["unforeseen", "call"]
