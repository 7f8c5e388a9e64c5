"""graph: HTTP to Graph, over a real connection."""

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
from tests.support.raw_graph import Exchange, Handler, RawGraph, answer, raw_graph


@pytest.fixture
async def client(graph: RawGraph) -> AsyncIterator[GraphClient]:
    """A client of the Graph made of bytes."""
    limits = GraphClientLimits(timeout_s=0.5, max_connections=1, max_response_bytes=100_000)
    running = GraphClient(GraphRoot.parse(graph.url), limits)
    yield running
    await running.close()


def graph_request(graph: GraphClient, *pieces: bytes, kind: str = FILE) -> GraphRequest:
    sender = Sender(root=graph.root, token="tok", ids=SupportIds("id"), max_request_bytes=4194304)
    head = RequestHead(sender, "/groups/g%2F%3F%25/threads/%2e%2e/posts/%C3%A9/attachments")
    return GraphRequest(head=head, body=pieces or (b"{", b"}"), kind=kind)


async def test_the_request_is_the_envelope(client: GraphClient, graph: RawGraph) -> None:
    """What comes out of the wire is the request to the byte, and as long as it said."""
    sent = graph_request(client, b'{"a":', b"1" * 100_000, b"}")
    await client.create_attachment(sent).send()
    assert graph.received[0].raw == b"".join(sent.pieces())
    assert len(graph.received[0].raw) == sent.size_bytes


async def test_the_head_of_a_post(client: GraphClient, graph: RawGraph) -> None:
    """It is this, to the byte, its path as it is."""
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


async def test_when_a_request_has_left(client: GraphClient, graph: RawGraph) -> None:
    """From the moment that it may: not while its first pieces go, nor if it may not."""
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


async def test_a_reply(client: GraphClient, graph: RawGraph) -> None:
    """A response comes with its status, its headers in lower case and its body."""
    graph.script = [answer(418, b"body", Retry_After="7")]
    response = await client.create_attachment(graph_request(client)).send()
    assert isinstance(response, Response)
    assert (response.http_status, response.body, response.offered) == (418, b"body", True)
    assert response.headers["retry-after"] == "7"


async def test_connections_are_kept(client: GraphClient, graph: RawGraph) -> None:
    """One after the other, requests go over one connection."""
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
async def test_no_reply(
    client: GraphClient, graph: RawGraph, handler: Handler, failure: Failure
) -> None:
    """No answer after the whole request left."""
    graph.script = [handler]
    result = await client.create_attachment(graph_request(client)).send()
    assert result == NoResponse(failure=failure, offered=True)


async def cut_body(exchange: Exchange) -> None:
    await cut(exchange, b"HTTP/1.1 201 Created\r\nContent-Length: 9\r\n\r\n{")


async def no_gzip(exchange: Exchange) -> None:
    await cut(exchange, b"HTTP/1.1 201 C\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize("handler", [cut_body, no_gzip, answer(201, b"x" * 100_001)])
async def test_a_body_that_cannot_be_had(
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


async def test_an_answer_that_trickles(client: GraphClient, graph: RawGraph) -> None:
    """The time for an answer isn't put off by what comes of it, and its status is kept."""
    graph.script = [trickling_head, trickling_body]
    async with asyncio.timeout(3):
        no_head = await client.create_attachment(graph_request(client)).send()
        no_body = await client.create_attachment(graph_request(client)).send()
    assert no_head == NoResponse(failure=Failure.RESPONSE_TIMEOUT, offered=True)
    assert isinstance(no_body, Response)
    assert (no_body.http_status, no_body.body) == (403, None)


@pytest.mark.parametrize(("encoding", "body"), [("gzip", b"{}"), ("gzip, gzip", None)])
async def test_an_encoded_answer(
    client: GraphClient, graph: RawGraph, encoding: str, body: bytes | None
) -> None:
    """One encoding is undone, although none was asked for; two are not: they hide too much."""
    data = b"{}"
    for _ in encoding.split(","):
        data = gzip.compress(data)
    graph.script = [answer(201, data, Content_Encoding=encoding)]
    response = await client.create_attachment(graph_request(client)).send()
    assert isinstance(response, Response)
    assert response.body == body


async def test_the_longest_body(client: GraphClient, graph: RawGraph) -> None:
    """A body at the limit is read."""
    graph.script = [answer(201, b"x" * 100_000)]
    response = await client.create_attachment(graph_request(client)).send()
    assert isinstance(response, Response)
    assert response.body is not None
    assert len(response.body) == 100_000


async def test_an_early_answer(client: GraphClient, graph: RawGraph) -> None:
    """An answer to a part of the request is read, and known to be one."""

    async def early(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        exchange.writer.write_eof()
        await asyncio.sleep(0.2)
        exchange.reset()

    graph.script = [early]
    post = client.create_attachment(graph_request(client, *[b"x" * 1_000_000] * 12, b"}"))
    result = await post.send()
    assert result.offered is post.offered is False


async def test_an_early_success(client: GraphClient, graph: RawGraph) -> None:
    """Before the request has left it can't be this request's: there is no answer."""

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
async def test_an_echo(client: GraphClient, graph: RawGraph, kind: str, body: bytes) -> None:
    """Of a file's content isn't kept; an item's properties are its answer."""
    graph.script = [answer(201, b'{"id":"x","contentBytes":"QUJD","size":3}')]
    response = await client.create_attachment(graph_request(client, kind=kind)).send()
    assert isinstance(response, Response)
    assert response.body == body


async def test_no_listener() -> None:
    """A connection that can't be made: it never left."""
    limits = GraphClientLimits(timeout_s=0.5, max_connections=1, max_response_bytes=100)
    nowhere = GraphClient(GraphRoot.parse("http://127.0.0.1:9/v1.0"), limits)
    result = await nowhere.create_attachment(graph_request(nowhere)).send()
    assert result == NoResponse(failure=Failure.CONNECT_FAILED, offered=False)
    await nowhere.close()


async def test_tls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By https, Graph's certificate counts; SSL_CERT_FILE names who may have signed it."""
    authority = trustme.CA()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    limits = GraphClientLimits(timeout_s=5, max_connections=1, max_response_bytes=100_000)
    async with raw_graph(tls) as graph:
        stranger = GraphClient(GraphRoot.parse(graph.url), limits)
        refused = await stranger.create_attachment(graph_request(stranger)).send()
        assert refused == NoResponse(failure=Failure.CONNECT_FAILED, offered=False)
        await stranger.close()
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        friend = GraphClient(GraphRoot.parse(graph.url), limits)
        response = await friend.create_attachment(graph_request(friend)).send()
        assert isinstance(response, Response)
        assert response.http_status == 201
        await friend.close()


async def test_what_may_not_leave_does_not(client: GraphClient, graph: RawGraph) -> None:
    """The last piece is held back, and the connection reset."""
    post = client.create_attachment(graph_request(client), may_offer=lambda: False)
    result = await post.send()
    assert isinstance(result, NoResponse)
    assert (result.offered, post.offered, graph.received) == (False, False, [])


async def test_what_is_given_up_does_not_arrive_later(client: GraphClient, graph: RawGraph) -> None:
    """A request that lies in the kernel's buffers goes with its connection."""
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


async def test_a_connection_of_its_own(client: GraphClient, graph: RawGraph) -> None:
    """One request may go over a new connection, beside those that are kept."""
    await client.create_attachment(graph_request(client)).send()
    await client.create_attachment(graph_request(client), on_new_connection=True).send()
    await client.create_attachment(graph_request(client)).send()
    assert (len(graph.received), graph.connections) == (3, 2)


async def test_reading(client: GraphClient, graph: RawGraph) -> None:
    """A GET with the caller's token and id, its path as it is."""
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


async def test_reading_goes_over_connections_of_its_own(
    client: GraphClient, graph: RawGraph
) -> None:
    """A new one each, so that what one says too much is no answer to the next."""
    for _ in range(2):
        await client.create_attachment(graph_request(client)).send()
        assert isinstance(await client.get("/x", graph_request(client).head.sender), Response)
    assert (len(graph.received), len(graph.reads), graph.connections) == (2, 2, 3)


@pytest.mark.parametrize("path", ["/é", "/a\x01b", "/" + "a" * 70_000, "x", "/\udc80"])
async def test_a_path_that_is_none(client: GraphClient, graph: RawGraph, path: str) -> None:
    """Is a GET that fails, as any may: GraphClient itself gives the path of a list's next page."""
    client.root = GraphRoot(client.root.origin, "")
    assert isinstance(await client.get(path, graph_request(client).head.sender), NoResponse)
    assert graph.reads == []


async def test_an_answer_to_a_get_that_does_not_come(client: GraphClient, graph: RawGraph) -> None:
    """Is waited for as long as any."""
    graph.read_script = [nothing]
    assert isinstance(await client.get("/x", graph_request(client).head.sender), NoResponse)


async def test_an_answer_too_many(client: GraphClient, graph: RawGraph) -> None:
    """Is no answer to the request after it, which goes over a new connection."""

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


async def test_reading_changes_nothing_of_the_next_post(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each has a TLS context of its own: httpcore sets the protocols of the one that it gets."""
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
    assert agreed == [(True, "http/1.1"), (False, None)]
