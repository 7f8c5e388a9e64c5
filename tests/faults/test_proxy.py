"""The proxy of the fault campaign: which bytes it passes on, and how connections end."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.faults.proxy import ConnectionFault, FaultProxy
from tests.faults.streams import Link
from tests.faults.wire_faults import POINTS, Act, Head, Shape, WireFault

REQUEST = (
    b"POST /v1.0/groups/g/threads/t/posts/p%3D/attachments HTTP/1.1\r\nContent-Length: 10\r\n\r\n"
)
BODY = b"0123456789"
WHOLE = REQUEST + BODY
ANSWER = b"HTTP/1.1 201 Created\r\nContent-Length: 7\r\n\r\ncreated"
POST = "p="


class Upstream:
    """A server that records what each connection receives, and responds to every whole request."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.answer = ANSWER
        self.early = False
        self.ended = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = len(self.received)
        self.received.append(b"")
        while data := await reader.read(65536):
            self.received[number] += data
            if self.received[number].endswith(BODY) or self.early:
                writer.write(self.answer)
                if self.early or not self.answer.startswith(b"HTTP"):
                    break
        writer.close()
        self.ended.set()


@pytest.fixture
def upstream() -> Upstream:
    """The server behind the proxy."""
    return Upstream()


@pytest.fixture
async def proxy(upstream: Upstream) -> AsyncIterator[FaultProxy]:
    """A proxy in front of the server."""
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    async with server, FaultProxy(*server.sockets[0].getsockname()) as proxy:
        yield proxy


async def connect(proxy: FaultProxy) -> Link:
    return Link(*await asyncio.open_connection("127.0.0.1", proxy.port))


async def exchange(proxy: FaultProxy, *faults: WireFault) -> tuple[bytes, str]:
    """Send a request; return the bytes received and the end: FIN, RST, or open after 0.3 s."""
    proxy.of(POST).faults.extend(faults)
    link = await connect(proxy)
    try:
        await link.send(WHOLE, Shape())
        return await received(link)
    finally:
        link.close()


async def received(link: Link) -> tuple[bytes, str]:
    data = b""
    try:
        async with asyncio.timeout(0.3):
            while piece := await link.reader.read(65536):
                data += piece
    except ConnectionResetError:
        return data, "RST"
    except TimeoutError:
        return data, "open"
    return data, "FIN"


async def settled(upstream: Upstream, count: int, size: int) -> bytes:
    """Wait until a connection has received `size` bytes; return all that it received."""
    for _ in range(500):
        if len(upstream.received) >= count and len(upstream.received[count - 1]) >= size:
            break
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    return upstream.received[count - 1]


def test_the_offsets_of_the_points() -> None:
    """Each point has its offset in a message with a head of 100 bytes and a body of 50."""
    offsets = {name: WireFault(at=name).offset(100, 150) for name in POINTS}
    assert offsets == {
        "nothing": 0,
        "line": 10,
        "headers": 50,
        "head": 100,
        "body_first": 101,
        "body_middle": 125,
        "before_end": 148,
        "body_last": 149,
        "all": 150,
    }
    assert [WireFault(at=at).offset(100, 150) for at in (7, -1, 999, -999)] == [7, 149, 150, 0]
    assert WireFault(at="body_first").offset(100, 100) == 100


def test_the_heads_of_requests_and_responses() -> None:
    """A request's and a response's head are parsed."""
    request = Head.parse(REQUEST)
    assert (request.method, request.body_bytes, request.closes) == ("POST", 10, False)
    assert request.total_bytes == len(WHOLE)
    answer = Head.parse(b"HTTP/1.1 413 Too Large\r\nconnection: Close\r\n\r\n")
    assert (answer.target, answer.body_bytes, answer.closes) == ("413", 0, True)


def test_a_faults_description_omits_defaults() -> None:
    """A fault's description has what differs from the defaults."""
    fault = WireFault(side="answer", at=7, act="reset", pause_s=0.5, times=2)
    assert str(fault) == "POST answer@7 reset after 0.5s x2"
    late = WireFault(act="close", late_s=0.25, shape=Shape(bytes_per_s=9))
    assert str(late) == "POST request@all close late 0.25s at 0s,9B/s,0B"


async def test_without_faults_requests_pass_unchanged(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    """Without faults two requests pass unchanged over one connection and are recorded."""
    link = await connect(proxy)
    before = time.time()
    for _ in range(2):
        await link.send(WHOLE, Shape())
        assert await link.reader.readexactly(len(ANSWER)) == ANSWER
    link.close()
    assert upstream.received == [WHOLE + WHOLE]
    first, second = proxy.of(POST).passages
    assert first.sent_at is not None
    assert second.sent_at is not None
    assert before <= first.began_at <= first.sent_at <= second.began_at <= second.sent_at


@pytest.mark.parametrize("act", ["reset", "close", "hang"])
@pytest.mark.parametrize("at", ["nothing", "line", "headers", "head", "body_middle", -1])
async def test_a_cut_request_ends_at_the_point(
    proxy: FaultProxy, upstream: Upstream, at: str | int, act: Act
) -> None:
    """Graph receives a cut request's bytes up to the point and then the end."""
    fault = WireFault(at=at, act=act)
    size = fault.offset(len(REQUEST), len(WHOLE))
    came = await exchange(proxy, fault)
    # In TCP closing with unread bytes is a reset too.
    assert came in {"reset": [(b"", "RST")], "close": [(b"", "RST"), (b"", "FIN")]}.get(
        act, [(b"", "open")]
    )
    assert await settled(upstream, 1, size) == WHOLE[:size]
    async with asyncio.timeout(5):
        await upstream.ended.wait()
    assert proxy.of(POST).passages[0].sent_at is None


@pytest.mark.parametrize(("act", "end"), [("reset", "RST"), ("close", "FIN"), ("hang", "open")])
@pytest.mark.parametrize("size", [0, 5, 30, -1, len(ANSWER)])
async def test_a_cut_response_ends_at_the_point(
    proxy: FaultProxy, upstream: Upstream, size: int, act: Act, end: str
) -> None:
    """Graph receives the whole request, and the client the response up to the point."""
    came, ended = await exchange(proxy, WireFault(side="answer", at=size, act=act, pause_s=0.05))
    assert ended == end
    # A reset discards the bytes in flight.
    assert ANSWER[:size].startswith(came) if end == "RST" else came == ANSWER[:size]
    assert upstream.received == [WHOLE]


async def test_a_late_request_reaches_graph_after_the_cut(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    """The client is cut off, and the last byte reaches Graph `late_s` later."""
    began = time.time()
    fault = WireFault(at="all", act="reset", late_s=0.3)
    assert await exchange(proxy, fault) == (b"", "RST")
    assert upstream.received == [WHOLE[:-1]]
    assert await settled(upstream, 1, len(WHOLE)) == WHOLE
    sent_at = proxy.of(POST).passages[0].sent_at
    assert sent_at is not None
    assert began + 0.3 <= sent_at


async def test_a_pause_delays_the_request(proxy: FaultProxy, upstream: Upstream) -> None:
    """A pause in the middle of the body delays the request, which then goes on."""
    began = time.monotonic()
    came, _ = await exchange(proxy, WireFault(at="body_middle", pause_s=0.1))
    assert came == ANSWER
    assert time.monotonic() - began >= 0.1
    assert upstream.received == [WHOLE]


async def test_a_shape_limits_the_rate_both_ways(proxy: FaultProxy, upstream: Upstream) -> None:
    """A shape limits the rate and the size of writes in both directions."""
    began = time.monotonic()
    shape = Shape(bytes_per_s=2000, slice_bytes=3, latency_s=0.01)
    proxy.of(POST).faults.append(WireFault(shape=shape))
    link = await connect(proxy)
    await link.send(WHOLE, Shape())
    assert await link.reader.readexactly(len(ANSWER)) == ANSWER
    link.close()
    assert time.monotonic() - began >= (len(WHOLE) + len(ANSWER)) / 2000
    assert upstream.received == [WHOLE]


async def test_a_fault_matches_method_post_and_number(proxy: FaultProxy) -> None:
    """A fault applies to `times` requests of its method and post."""
    cut = WireFault(at="nothing", act="reset", times=2)
    proxy.of("other").faults.append(cut)
    ends = [await exchange(proxy, WireFault(method="GET", act="reset"), cut)]
    ends += [await exchange(proxy), await exchange(proxy)]
    assert [data for data, _ in ends] == [b"", b"", ANSWER]
    assert proxy.of("other").faults == [cut]
    assert proxy.of(POST).faults == [WireFault(method="GET", act="reset")]


async def test_zero_times_apply_to_every_request(proxy: FaultProxy) -> None:
    """A fault with `times=0` applies to every request."""
    fault = WireFault(at="nothing", act="reset", times=0)
    assert await exchange(proxy, fault) == await exchange(proxy) == (b"", "RST")
    assert proxy.of(POST).faults == [fault]


async def test_a_hook_holds_the_exchange(proxy: FaultProxy, upstream: Upstream) -> None:
    """The hook is called at the point, and the exchange goes on when it returns."""
    seen = []

    async def hook() -> None:
        await asyncio.sleep(0.05)
        seen.append(upstream.received[0])

    proxy.of(POST).hook = hook
    came, _ = await exchange(proxy, WireFault(at="head", calls_hook=True))
    assert came == ANSWER
    assert seen == [REQUEST]
    assert upstream.received == [WHOLE]


async def test_an_early_response_is_passed_on(proxy: FaultProxy, upstream: Upstream) -> None:
    """A response to the head alone, and the connection's end, are passed on."""
    upstream.early = True
    upstream.answer = b"HTTP/1.1 413 No\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    link = await connect(proxy)
    await link.send(REQUEST, Shape())
    assert await received(link) == (upstream.answer, "FIN")
    link.close()


async def test_an_end_by_graph_is_passed_on(proxy: FaultProxy, upstream: Upstream) -> None:
    """An end of the connection by Graph is passed on."""
    upstream.answer = b""
    assert await exchange(proxy) == (b"", "FIN")


@pytest.mark.parametrize(
    ("fault", "end"),
    [("reset", "RST"), ("close", "RST"), ("hang", "open"), ("slow", "open")],
)
async def test_faults_of_a_new_connection(
    proxy: FaultProxy, fault: ConnectionFault, end: str
) -> None:
    """A fault happens to a connection before its first request."""
    proxy.connection_fault = lambda: fault
    try:
        data, ended = await exchange(proxy)
    except ConnectionResetError:
        data, ended = b"", "RST"
    assert data in ((b"", ANSWER) if fault == "slow" else (b"",))
    assert ended in (end, "FIN")


async def test_connections_are_refused_until_open(proxy: FaultProxy) -> None:
    """Connections are refused until `open`, which listens on the same port."""
    port = proxy.port
    proxy.refuse()
    with pytest.raises(ConnectionRefusedError):
        await connect(proxy)
    await proxy.open()
    assert proxy.port == port
    assert (await exchange(proxy))[0] == ANSWER


async def test_one_request_per_connection(proxy: FaultProxy) -> None:
    """The connection ends after the response, without announcing it."""
    proxy.one_request_a_connection = True
    assert await exchange(proxy) == (ANSWER, "FIN")


async def test_a_gathered_request_is_sent_whole_or_not_at_all(
    proxy: FaultProxy, upstream: Upstream
) -> None:
    """A gathered request is sent once it is whole, and not at all if it is cut."""
    proxy.of(POST).faults.append(WireFault(gather=True))
    link = await connect(proxy)
    await link.send(WHOLE[:-1], Shape())
    await asyncio.sleep(0.1)
    assert upstream.received == [b""]
    await link.send(WHOLE[-1:], Shape())
    assert await link.reader.readexactly(len(ANSWER)) == ANSWER
    link.close()
    cut = WireFault(gather=True, at="body_middle", act="reset")
    assert await exchange(proxy, cut) == (b"", "RST")
    assert upstream.received == [WHOLE, b""]
