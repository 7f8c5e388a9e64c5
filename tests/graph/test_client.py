"""Tests of graph/client.py over real connections."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from attachment_gateway.graph.client import GraphClient, GraphClientLimits
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import (
    FILE,
    ITEM,
    GraphRequest,
    RequestHead,
    Sender,
    SupportIds,
)
from attachment_gateway.graph.response import NoResponse, Response
from attachment_gateway.http1.failure import Failure
from tests.support.peer import until
from tests.support.raw_graph import Exchange, Handler, RawGraph, answer, raw_graph


@pytest.fixture
async def client(graph: RawGraph) -> AsyncIterator[GraphClient]:
    """A client of the raw Graph, with one connection and a timeout of 0.5 s."""
    limits = GraphClientLimits(timeout_s=0.5, max_connections=1, max_response_bytes=100_000)
    running = GraphClient(GraphRoot.parse(graph.url), limits)
    yield running
    await running.close()


def graph_request(graph: GraphClient, *pieces: bytes, kind: str = FILE) -> GraphRequest:
    sender = Sender(root=graph.root, token="tok", ids=SupportIds("id"), max_request_bytes=4194304)
    head = RequestHead(sender, "/groups/g%2F%3F%25/threads/%2e%2e/posts/%C3%A9/attachments")
    return GraphRequest(head=head, body=pieces or (b"{", b"}"), kind=kind)


async def test_the_request_is_sent_to_the_byte(client: GraphClient, graph: RawGraph) -> None:
    """The bytes on the wire are the request's pieces, and as many as `size_bytes` says."""
    sent = graph_request(client, b'{"a":', b"1" * 100_000, b"}")
    await client.create_attachment(sent).send()
    assert graph.received[0].raw == b"".join(sent.pieces())
    assert len(graph.received[0].raw) == sent.size_bytes


async def test_the_head_of_an_attempt_is_this(client: GraphClient, graph: RawGraph) -> None:
    """The head of an attempt is this to the byte, with its path unchanged."""
    await client.create_attachment(graph_request(client)).send()
    assert graph.received[0].head == (
        b"POST /v1.0/groups/g%2F%3F%25/threads/%2e%2e/posts/%C3%A9/attachments HTTP/1.1\r\n"
        b"Host: 127.0.0.1:" + str(graph.port).encode() + b"\r\n"
        b"Authorization: Bearer tok\r\n"
        b"Content-Type: application/json\r\n"
        b"Content-Length: 2\r\n"
        b"Accept: application/json\r\n"
        b"Accept-Encoding: identity\r\n"
        b"User-Agent: attachment-gateway\r\n"
        b"client-request-id: id\r\n\r\n"
    )


async def test_a_request_is_offered_when_it_may_be(client: GraphClient, graph: RawGraph) -> None:
    """A request is offered only after `may_offer` has returned true, and records when."""
    posts = []

    def may_offer() -> bool:
        posts.append((post.offered, post.offered_at))
        return True

    post = client.create_attachment(graph_request(client), may_offer=may_offer)
    before = asyncio.get_running_loop().time()
    await post.send()
    assert posts == [(False, 0.0)]
    assert post.offered
    assert before <= post.offered_at <= asyncio.get_running_loop().time()


async def test_a_response_has_status_headers_and_body(client: GraphClient, graph: RawGraph) -> None:
    """A response has its status, its headers in lower case and its body."""
    graph.script = [answer(418, b"body", Retry_After="7")]
    response = await client.create_attachment(graph_request(client)).send()
    assert isinstance(response, Response)
    assert (response.http_status, response.body, response.offered) == (418, b"body", True)
    assert response.headers["retry-after"] == "7"


async def test_consecutive_requests_share_a_connection(
    client: GraphClient, graph: RawGraph
) -> None:
    """Three requests one after the other go over one connection."""
    for _ in range(3):
        await client.create_attachment(graph_request(client)).send()
    assert (len(graph.received), graph.connections) == (3, 1)


async def cut(exchange: Exchange, data: bytes = b"") -> None:
    await exchange.receive()
    await exchange.send(data)
    exchange.writer.close()


async def nothing(exchange: Exchange) -> None:
    await exchange.receive()
    await asyncio.sleep(5)


async def garbage(exchange: Exchange) -> None:
    await cut(exchange, b"SSH-2.0\r\n\r\n")


async def cut_head(exchange: Exchange) -> None:
    await cut(exchange, b"HTTP/1.1 201 Cr")


@pytest.mark.parametrize(
    ("handler", "failure"),
    [
        (cut, Failure.CONNECTION_LOST),
        (garbage, Failure.CONNECTION_LOST),
        (cut_head, Failure.CONNECTION_LOST),
        (nothing, Failure.RESPONSE_TIMEOUT),
    ],
)
async def test_no_response_has_its_failure(
    client: GraphClient, graph: RawGraph, handler: Handler, failure: Failure
) -> None:
    """A response that doesn't come or can't be read is a NoResponse with its failure."""
    graph.script = [handler]
    result = await client.create_attachment(graph_request(client)).send()
    assert result == NoResponse(failure=failure, offered=True)


async def cut_body(exchange: Exchange) -> None:
    await cut(exchange, b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{")


async def no_gzip(exchange: Exchange) -> None:
    await cut(exchange, b"HTTP/1.1 201 C\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize("handler", [cut_body, no_gzip, answer(201, b"x" * 100_001)])
async def test_a_body_that_cannot_be_read_leaves_the_status(
    client: GraphClient, graph: RawGraph, handler: Handler
) -> None:
    """A body that is cut, can't be decoded or is beyond the limit leaves the status."""
    graph.script = [handler]
    response = await client.create_attachment(graph_request(client)).send()
    assert isinstance(response, Response)
    assert (response.http_status, response.body) == (201, None)


async def trickle(exchange: Exchange, first: bytes, then: bytes) -> None:
    await exchange.receive()
    await exchange.send(first)
    for _ in range(20):
        await asyncio.sleep(0.2)
        await exchange.send(then)


async def trickling_head(exchange: Exchange) -> None:
    await trickle(exchange, b"", b"HTTP/1.1 100 Continue\r\n\r\n")


async def trickling_body(exchange: Exchange) -> None:
    await trickle(exchange, b"HTTP/1.1 403 X\r\nContent-Length: 9999\r\n\r\n", b" ")


async def test_a_slow_response_does_not_extend_the_timeout(
    client: GraphClient, graph: RawGraph
) -> None:
    """The timeout isn't extended by parts of a response, and a status that came is kept."""
    graph.script = [trickling_head, trickling_body]
    async with asyncio.timeout(3):
        no_head = await client.create_attachment(graph_request(client)).send()
        no_body = await client.create_attachment(graph_request(client)).send()
    assert no_head == NoResponse(failure=Failure.RESPONSE_TIMEOUT, offered=True)
    assert isinstance(no_body, Response)
    assert (no_body.http_status, no_body.body) == (403, None)


@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"{}"), ("gzip, gzip", None)])
async def test_one_content_encoding_is_decoded_and_two_are_not(
    client: GraphClient, graph: RawGraph, encoding: str, body: bytes | None
) -> None:
    """A response with one content encoding is decoded, and the body of one with two is dropped."""
    data = b"{}"
    for _ in encoding.split(","):
        data = gzip.compress(data)
    graph.script = [answer(201, data, Content_Encoding=encoding)]
    response = await client.create_attachment(graph_request(client)).send()
    assert isinstance(response, Response)
    assert response.body == body


async def test_a_body_at_the_limit_is_read(client: GraphClient, graph: RawGraph) -> None:
    """A body of exactly `max_response_bytes` is read."""
    graph.script = [answer(201, b"x" * 100_000)]
    response = await client.create_attachment(graph_request(client)).send()
    assert isinstance(response, Response)
    assert response.body is not None
    assert len(response.body) == 100_000


async def test_an_early_error_is_a_response_before_the_offer(
    client: GraphClient, graph: RawGraph
) -> None:
    """An error that comes before the whole request was sent has `offered` false."""

    async def early(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        exchange.writer.write_eof()
        await asyncio.sleep(0.2)
        exchange.reset()

    graph.script = [early]
    post = client.create_attachment(graph_request(client, *[b"x" * 1_000_000] * 12, b"}"))
    result = await post.send()
    assert result.offered is post.offered is False


async def test_an_early_success_is_no_response(client: GraphClient, graph: RawGraph) -> None:
    """A success that comes before the request was offered can't be its own: it is a NoResponse."""

    async def early(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 201 X\r\nContent-Length: 2\r\n\r\n{}")
        await asyncio.sleep(0.2)

    graph.script = [early]
    post = client.create_attachment(graph_request(client, *[b"x" * 1_000_000] * 12, b"}"))
    assert await post.send() == NoResponse(failure=Failure.EARLY_SUCCESS, offered=False)


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (FILE, b'{"id":"x","contentBytes":"","size":3}'),
        (ITEM, b'{"id":"x","contentBytes":"QUJD","size":3}'),
    ],
)
async def test_the_echoed_content_of_a_file_is_dropped(
    client: GraphClient, graph: RawGraph, kind: str, body: bytes
) -> None:
    """`contentBytes` is dropped from a file's response, and kept in an item's."""
    graph.script = [answer(201, b'{"id":"x","contentBytes":"QUJD","size":3}')]
    response = await client.create_attachment(graph_request(client, kind=kind)).send()
    assert isinstance(response, Response)
    assert response.body == body


async def test_a_refused_connection_is_not_offered() -> None:
    """If no connection can be made, the request isn't offered."""
    limits = GraphClientLimits(timeout_s=0.5, max_connections=1, max_response_bytes=100)
    nowhere = GraphClient(GraphRoot.parse("http://127.0.0.1:9/v1.0"), limits)
    result = await nowhere.create_attachment(graph_request(nowhere)).send()
    assert result == NoResponse(failure=Failure.CONNECT_FAILED, offered=False)
    await nowhere.close()


async def test_ssl_cert_file_names_the_trusted_authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Over https only a certificate of an authority in SSL_CERT_FILE is trusted."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    limits = GraphClientLimits(timeout_s=5, max_connections=1, max_response_bytes=100_000)
    async with raw_graph(tls) as graph:
        untrusting = GraphClient(GraphRoot.parse(graph.url), limits)
        refused = await untrusting.create_attachment(graph_request(untrusting)).send()
        assert refused == NoResponse(failure=Failure.CONNECT_FAILED, offered=False)
        await untrusting.close()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        trusting = GraphClient(GraphRoot.parse(graph.url), limits)
        response = await trusting.create_attachment(graph_request(trusting)).send()
        assert isinstance(response, Response)
        assert response.http_status == 201
        await trusting.close()


async def test_a_request_that_may_not_be_offered_is_not_sent(
    client: GraphClient, graph: RawGraph
) -> None:
    """If `may_offer` returns false, the last piece isn't sent and Graph gets no whole request."""
    post = client.create_attachment(graph_request(client), may_offer=lambda: False)
    result = await post.send()
    assert isinstance(result, NoResponse)
    assert (result.offered, post.offered, graph.received) == (False, False, [])


async def test_a_request_that_timed_out_does_not_arrive_later(
    client: GraphClient, graph: RawGraph
) -> None:
    """A request that timed out doesn't reach Graph later from the kernel's buffers."""
    arrived = asyncio.get_running_loop().create_future()

    async def slow(exchange: Exchange) -> None:
        await asyncio.sleep(1)
        try:
            arrived.set_result(await exchange.reader.read())
        except ConnectionResetError:
            arrived.set_result(b"")

    graph.script = [slow]
    result = await client.create_attachment(graph_request(client, bytes(1_000_000), b"}")).send()
    assert result == NoResponse(failure=Failure.RESPONSE_TIMEOUT, offered=True)
    assert not (await arrived).endswith(b"}")


async def test_a_request_can_use_a_new_connection(client: GraphClient, graph: RawGraph) -> None:
    """With `on_new_connection` a request uses a new connection, and the kept one stays."""
    await client.create_attachment(graph_request(client)).send()
    await client.create_attachment(graph_request(client), on_new_connection=True).send()
    await client.create_attachment(graph_request(client)).send()
    assert (len(graph.received), graph.connections) == (3, 2)


async def test_a_get_has_the_callers_token_and_path(client: GraphClient, graph: RawGraph) -> None:
    """A GET has the caller's token and id, and its path unchanged."""
    graph.read_script = [answer(200, b"bytes")]
    sender = graph_request(client).head.sender
    response = await client.get("/groups/g%2F/posts?$select=id,name", sender)
    assert isinstance(response, Response)
    assert response.body == b"bytes"
    assert graph.reads[0].raw == (
        b"GET /v1.0/groups/g%2F/posts?$select=id,name HTTP/1.1\r\n"
        b"Host: 127.0.0.1:" + str(graph.port).encode() + b"\r\n"
        b"Authorization: Bearer tok\r\n"
        b"Accept: application/json\r\n"
        b"Accept-Encoding: identity\r\n"
        b"User-Agent: attachment-gateway\r\n"
        b"client-request-id: id\r\n\r\n"
    )


async def test_each_get_has_a_new_connection(client: GraphClient, graph: RawGraph) -> None:
    """Each GET uses a new connection, so that surplus bytes are no response to the next one."""
    for _ in range(2):
        await client.create_attachment(graph_request(client)).send()
        assert isinstance(await client.get("/x", graph_request(client).head.sender), Response)
    assert (len(graph.received), len(graph.reads), graph.connections) == (2, 2, 3)


@pytest.mark.parametrize(
    "path",
    ["/é", "/a\x01b", "/" + "a" * 8192, "x", "/\udc80", "/a HTTP/1.1", "/a\r\nB: c", "/a\x7f"],
)
async def test_a_get_with_a_malformed_path_fails(
    client: GraphClient, graph: RawGraph, path: str
) -> None:
    """A malformed path, as a next page may have, makes a NoResponse, and nothing is sent."""
    client.root = GraphRoot(client.root.origin, "")
    assert isinstance(await client.get(path, graph_request(client).head.sender), NoResponse)
    assert graph.reads == []


async def test_a_get_without_a_response_times_out(client: GraphClient, graph: RawGraph) -> None:
    """A GET without a response is a NoResponse after the timeout."""
    graph.read_script = [nothing]
    assert isinstance(await client.get("/x", graph_request(client).head.sender), NoResponse)


async def test_a_surplus_response_is_not_taken_for_the_next_one(
    client: GraphClient, graph: RawGraph
) -> None:
    """A surplus response isn't taken for the next request's, which uses a new connection."""

    async def twice(exchange: Exchange) -> None:
        await exchange.receive()
        one = b"HTTP/1.1 201 X\r\nContent-Length: 2\r\n\r\n{}"
        await exchange.send(one + one)

    async def late(exchange: Exchange) -> None:
        await exchange.receive()
        await exchange.send(b"HTTP/1.1 201 X\r\nContent-Length: 2\r\n\r\n{}")
        await arrived.wait()
        await exchange.send(b"HTTP/1.1 202 X\r\nContent-Length: 0\r\n\r\n")
        sent.set()

    arrived, sent = asyncio.Event(), asyncio.Event()
    graph.script = [twice, late, answer(204, b"")]
    first = await client.create_attachment(graph_request(client)).send()
    second = await client.create_attachment(graph_request(client)).send()
    arrived.set()
    await sent.wait()
    third = await client.create_attachment(graph_request(client)).send()
    replies = [r.http_status for r in (first, second, third) if isinstance(r, Response)]
    assert (replies, graph.connections) == ([201, 201, 204], 3)


async def test_a_get_and_an_attempt_trust_the_same_authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A GET goes over https as an attempt does, and neither names a protocol to choose."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    tls.set_alpn_protocols(["http/1.1"])
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    agreed: list[tuple[bool, str | None]] = []

    async def note(exchange: Exchange) -> None:
        connection = exchange.writer.get_extra_info("ssl_object")
        agreed.append((exchange.reads, connection.selected_alpn_protocol()))
        await answer(201 if not exchange.reads else 200)(exchange)

    limits = GraphClientLimits(timeout_s=5, max_connections=1, max_response_bytes=100_000)
    async with raw_graph(tls) as graph:
        graph.read_script, graph.script = [note], [note]
        client = GraphClient(GraphRoot.parse(graph.url), limits)
        await client.get("/x", graph_request(client).head.sender)
        await client.create_attachment(graph_request(client)).send()
        await client.close()
    assert agreed == [(True, None), (False, None)]


async def at_once(exchange: Exchange) -> None:
    exchange.writer.close()


async def at_once_by_reset(exchange: Exchange) -> None:
    exchange.reset()


@pytest.mark.parametrize("handler", [at_once, at_once_by_reset, cut, cut_head, garbage])
async def test_a_get_whose_connection_ends_gives_no_response(
    client: GraphClient, graph: RawGraph, handler: Handler
) -> None:
    """A GET whose connection ends before the head of a response is a NoResponse."""
    graph.read_script = [handler]
    result = await client.get("/x", graph_request(client).head.sender)
    assert result == NoResponse(failure=Failure.CONNECTION_LOST, offered=True)


async def test_failed_gets_leave_room_for_others(client: GraphClient, graph: RawGraph) -> None:
    """GETs that fail, more than there are connections, leave the connections free."""
    graph.read_script = [cut, garbage, cut_body, answer(200, b"x" * 100_001), answer(200, b"y")]
    sender = graph_request(client).head.sender
    *_, last = [await client.get("/x", sender) for _ in range(5)]
    assert isinstance(last, Response)
    assert last.body == b"y"


async def test_a_get_keeps_no_connection(client: GraphClient, graph: RawGraph) -> None:
    """The connection of a GET ends with it."""
    assert isinstance(await client.get("/x", graph_request(client).head.sender), Response)
    await until(lambda: not graph.tasks)


@pytest.mark.parametrize(
    ("limit", "body", "is_too_large"), [(3, b"abc", False), (2, None, True), (0, None, True)]
)
async def test_a_get_reads_at_most_what_it_is_told(
    client: GraphClient, graph: RawGraph, limit: int, body: bytes | None, is_too_large: bool
) -> None:
    """A body is read up to the limit of its GET; a larger one is none, and is known to be."""
    graph.read_script = [answer(200, b"abc")]
    sender = graph_request(client).head.sender
    response = await client.get("/x", sender, max_body_bytes=limit)
    assert isinstance(response, Response)
    assert (response.body, response.is_too_large) == (body, is_too_large)


def test_what_is_read_of_an_echo_grows_with_the_request() -> None:
    """Of what shows a created attachment, four times the request and 256 KiB are read at most."""
    root = GraphRoot.parse("http://127.0.0.1:9/v1.0")
    sender = Sender(root=root, token="tok", ids=SupportIds("id"), max_request_bytes=4194304)
    limits = GraphClientLimits(timeout_s=1, max_connections=1, max_response_bytes=4_259_840)
    read = [
        limits.echo_bytes(GraphRequest(head=RequestHead(sender, "/x"), body=(body,), kind=ITEM))
        for body in (b"", bytes(1000), bytes(999_424), bytes(999_425), bytes(4_000_000))
    ]
    assert read == [262_144, 266_144, 4_259_840, 4_259_840, 4_259_840]


HEADS = {
    "headers": b"".join(b"a%d: b\r\n" % number for number in range(257)),
    "the same header": b"a: b\r\n" * 257,
    "bytes": b"a: " + b"b" * 65_537 + b"\r\n",
}


@pytest.mark.parametrize("lines", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("reads", [True, False], ids=["GET", "POST"])
async def test_a_head_that_is_too_large_is_no_response(
    client: GraphClient, graph: RawGraph, lines: bytes, reads: bool
) -> None:
    """A head with too many headers or bytes is no response, to a GET as to an attempt."""

    async def flood(exchange: Exchange) -> None:
        await cut(exchange, b"HTTP/1.1 200 X\r\n" + lines + b"Content-Length: 2\r\n\r\n{}")

    graph.read_script, graph.script = [flood], [flood]
    if reads:
        result = await client.get("/x", graph_request(client).head.sender)
    else:
        result = await client.create_attachment(graph_request(client)).send()
    assert result == NoResponse(failure=Failure.CONNECTION_LOST, offered=True)
