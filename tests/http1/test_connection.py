"""connection: a request and its answer, over a real connection, on both event loops."""

import asyncio
import contextlib
import functools
import inspect
import logging
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

from attachment_gateway.http1.connection import (
    ONE_WRITE_BYTES,
    TLS_PORTION_BYTES,
    Connection,
)
from attachment_gateway.http1.failure import Failure, NoResponseError
from attachment_gateway.http1.origin import Origin
from tests.support.peer import (
    CREATED,
    SMALL,
    connected,
    contexts,
    exchange,
    listening,
    small_buffer,
    until,
)

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}

TOO_LARGE = b"HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n"


BOTH_SCHEMES = pytest.mark.parametrize("scheme", ["http", "https"])


def large(size: int) -> tuple[bytes, ...]:
    """A request as uploads make it: a body of so many bytes in segments of 350 KB."""
    body = (os.urandom(1000) * (size // 1000 + 1))[:size]
    segments = [body[at : at + 350_000] for at in range(0, size, 350_000)]
    return (b"POST / HTTP/1.1\r\n\r\n", *segments, b'"}')


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on asyncio's loop and on uvloop's, which production runs; neither may complain."""

    @functools.wraps(test)
    def run(*, loop: str, **given: Any) -> None:
        complaints: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.get_loop().set_exception_handler(lambda _, what: complaints.append(what))
            runner.run(test(**given))
        assert complaints == []

    signature = inspect.signature(test)
    also = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    run.__dict__["__signature__"] = signature.replace(
        parameters=[*signature.parameters.values(), also]
    )
    on_both: Callable[..., None] = pytest.mark.parametrize("loop", LOOPS)(run)
    return on_both


async def broken(connection: Connection, request: tuple[bytes, ...], **how: Any) -> Failure:
    """What broke it."""
    with pytest.raises(NoResponseError) as caught:
        await exchange(connection, request, **how)
    assert (connection.is_open, connection.is_quiet()) == (False, False)
    return caught.value.failure


def noting(asked: list[bool]) -> Callable[[], bool]:
    """Let a request be offered, and note that that was asked for."""

    def may_offer() -> bool:
        asked.append(True)
        return True

    return may_offer


# What is sent.


@BOTH_SCHEMES
@on_both_loops
async def test_exchanges_in_a_row(scheme: str) -> None:
    """Small and large, each arrives to the byte, over one connection that stays open and quiet."""
    async with connected(scheme) as (connection, peer):
        for request in (SMALL, large(4_000_000), SMALL, large(12_000_000), large(300_000), SMALL):
            answering = asyncio.create_task(peer.response(request))
            response = await exchange(connection, request)
            await answering
            assert (response.http_status, response.body) == (201, b"{}")
            assert (connection.is_open, connection.is_quiet()) == (True, True)


@BOTH_SCHEMES
@pytest.mark.parametrize("beyond", [-1, 0, 1, 2])
@on_both_loops
async def test_about_the_size_of_one_write(scheme: str, beyond: int) -> None:
    """A request goes to the byte on both sides of the limit, whatever its pieces are."""
    async with connected(scheme) as (connection, peer):
        request = (b"x" * (ONE_WRITE_BYTES - 2), b"", b"y" * (1 + beyond), b"}")
        answering = asyncio.create_task(peer.response(request))
        assert (await exchange(connection, request)).http_status == 201
        await answering


class Sink:
    """A peer that reads in a thread, so that it has what the kernel has, without the loop.

    It is slower than who sends, whose kernel then is always full.
    """

    def __init__(self, scheme: str) -> None:
        self._tls = contexts()[0] if scheme == "https" else None
        self._server = socket.create_server(("127.0.0.1", 0))
        self._server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.root = Origin(scheme, f"127.0.0.1:{self._server.getsockname()[1]}")
        self.received = bytearray()
        self._more = threading.Condition()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._server, self._server.accept()[0] as raw, contextlib.suppress(OSError):
            its = raw if self._tls is None else self._tls.wrap_socket(raw, server_side=True)
            with its:
                while data := its.recv(65536):
                    time.sleep(0.001)
                    with self._more:
                        self.received += data
                        self._more.notify()
                    if self.received.endswith(b'"}'):
                        its.sendall(CREATED)

    def has(self, count: int) -> bool:
        """Whether so many bytes come, while the loop stands still; and not a byte more."""
        with self._more:
            if not self._more.wait_for(lambda: len(self.received) >= count, 10):
                return False
            return not self._more.wait_for(lambda: len(self.received) > count, 0.1)

    async def ended(self) -> bytes:
        """What it has received when the connection is at its end."""
        await asyncio.to_thread(self._thread.join, 10)
        assert not self._thread.is_alive()
        return bytes(self.received)


@BOTH_SCHEMES
@pytest.mark.parametrize("size", [10, 100_000, 1_000_000, 4_000_000])
@pytest.mark.parametrize("may_offer", [True, False])
@on_both_loops
async def test_leaving(scheme: str, size: int, may_offer: bool) -> None:
    """Is asked once, when the peer has all but the last piece; if it may not, that never goes.

    A small request goes whole, or not at all.
    """
    sink = Sink(scheme)
    connection = await Connection.connect(sink.root, contexts()[1], timeout_s=10)
    small_buffer(connection)
    request = large(size)
    early = b"".join(request[:-1]) if size > ONE_WRITE_BYTES else b""
    asked: list[bool] = []

    def allowed() -> bool:
        asked.append(sink.has(len(early)))
        return may_offer

    if may_offer:
        assert (await exchange(connection, request, may_offer=allowed)).http_status == 201
        assert connection.is_open
        connection.reset()
    else:
        assert await broken(connection, request, may_offer=allowed) == Failure.WITHHELD
    assert asked == [True]
    assert await sink.ended() == (b"".join(request) if may_offer else early)


@BOTH_SCHEMES
@on_both_loops
async def test_an_early_answer(scheme: str, caplog: pytest.LogCaptureFixture) -> None:
    """Is had before the request has left, which then doesn't, and nothing follows it."""
    async with connected(scheme) as (connection, peer):
        asked: list[bool] = []

        async def refuse() -> None:
            await peer.reader.readexactly(100_000)
            peer.writer.write(TOO_LARGE)

        refusing = asyncio.create_task(refuse())
        response = await exchange(connection, large(12_000_000), may_offer=noting(asked))
        await refusing
        assert (response.http_status, response.body, asked) == (413, b"", [])
        assert not connection.is_open
        assert await peer.reset()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@BOTH_SCHEMES
@pytest.mark.parametrize("data", [b"", TOO_LARGE, TOO_LARGE[:10]])
@on_both_loops
async def test_a_reset_before_it_has_left(
    scheme: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Leaves what had come by then; nothing more is written."""
    async with connected(scheme) as (connection, peer):
        asked: list[bool] = []

        async def end() -> None:
            await peer.reader.readexactly(100_000)
            if data:
                peer.writer.write(data)
                await asyncio.sleep(0.1)
            peer.end_by_reset()

        ending = asyncio.create_task(end())
        request = large(12_000_000)
        sent = exchange(connection, request, may_offer=noting(asked))
        if data == TOO_LARGE:
            assert (await sent).http_status == 413
        else:
            with pytest.raises(NoResponseError, match=Failure.CONNECTION_LOST.value):
                await sent
        await ending
        assert (connection.is_open, asked) == (False, [])
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@BOTH_SCHEMES
@pytest.mark.parametrize("size", [12_000_000, 1_000_000])
@on_both_loops
async def test_a_peer_that_does_not_read(scheme: str, size: int) -> None:
    """Is a WriteTimeout, and the request doesn't leave; nothing of it arrives later."""
    async with connected(scheme) as (connection, peer):
        asked: list[bool] = []
        what = await broken(connection, large(size), may_offer=noting(asked), timeout_s=0.2)
        assert (what, asked) == (Failure.WRITE_TIMEOUT, [])
        assert await peer.reset()


@BOTH_SCHEMES
@pytest.mark.parametrize("left_bytes", range(100_000, 900_000, 100_000))
@on_both_loops
async def test_a_peer_that_stops_reading(scheme: str, left_bytes: int) -> None:
    """However little is left by then, it is late, by what is asked for and not by the kernel's."""
    async with connected(scheme) as (connection, peer):
        request = large(1_000_000)
        reading = asyncio.create_task(peer.reader.readexactly(1_000_000 - left_bytes))
        asked: list[bool] = []
        sending = broken(connection, request, may_offer=noting(asked), timeout_s=0.2)
        async with asyncio.timeout(5):
            what = await sending
        await reading
        assert (what, asked) in [(Failure.WRITE_TIMEOUT, []), (Failure.RESPONSE_TIMEOUT, [True])]


@BOTH_SCHEMES
@on_both_loops
async def test_a_peer_that_reads_slowly(scheme: str) -> None:
    """Is waited for, for as long as it reads."""
    async with connected(scheme) as (connection, peer):
        request = large(4_000_000)

        async def read_slowly() -> bytes:
            read = bytearray()
            while len(read) < sum(map(len, request)):
                read += await peer.reader.read(65536)
                await asyncio.sleep(0.015)
            peer.writer.write(CREATED)
            return bytes(read)

        reading = asyncio.create_task(read_slowly())
        assert (await exchange(connection, request, timeout_s=0.6)).http_status == 201
        assert await reading == b"".join(request)
        assert connection.is_quiet()


@on_both_loops
async def test_what_is_held_encrypted() -> None:
    """A large request isn't beside itself, encrypted, while it goes; two portions may be."""
    async with connected("https") as (connection, peer):
        request = large(12_000_000)
        sending = asyncio.create_task(exchange(connection, request))
        left_bytes, held_bytes = sum(map(len, request)), 0
        while left_bytes:
            left_bytes -= len(await peer.reader.read(100_000))
            waiting = connection._tcp, connection._transport
            held_bytes = max(held_bytes, sum(its.get_write_buffer_size() for its in waiting))
        peer.writer.write(CREATED)
        await sending
        assert TLS_PORTION_BYTES / 2 < held_bytes < 2.1 * TLS_PORTION_BYTES


# What comes back.


@BOTH_SCHEMES
@pytest.mark.parametrize("request_bytes", [0, 1_000_000])
@on_both_loops
async def test_no_answer(scheme: str, request_bytes: int) -> None:
    """Is a ReadTimeout, and the connection is reset."""
    async with connected(scheme) as (connection, peer):
        request = large(request_bytes)
        reading = asyncio.create_task(peer.reader.readexactly(sum(map(len, request))))
        assert await broken(connection, request, timeout_s=0.2) == Failure.RESPONSE_TIMEOUT
        await reading
        assert await peer.reset()


@on_both_loops
async def test_the_time_for_an_answer() -> None:
    """Ends, whatever fraction of a second it is, and whenever it began."""
    async with listening("http") as listener:

        async def ends(at: int) -> Failure:
            connection, _ = await listener.connect()
            await asyncio.sleep(at * 0.0013)
            return await broken(connection, SMALL, timeout_s=0.2 + at % 10 * 0.0001)

        async with asyncio.timeout(10):
            assert set(await asyncio.gather(*map(ends, range(60)))) == {Failure.RESPONSE_TIMEOUT}


@pytest.mark.parametrize(
    "data", [b"", b"HTTP/1.1 201 Cr", b"HTTP/1.1 100 Continue\r\n\r\n", b"SSH-2.0\r\n\r\n"]
)
@pytest.mark.parametrize("end", ["eof", "close", "reset"])
@BOTH_SCHEMES
@on_both_loops
async def test_an_end_before_the_answer(scheme: str, end: str, data: bytes) -> None:
    """Before its head, or within it, is no answer."""
    async with connected(scheme) as (connection, peer):

        async def respond() -> None:
            await peer.response(SMALL, data)
            if end == "reset":
                peer.end_by_reset()
            elif end == "eof" and scheme == "http":
                peer.writer.write_eof()
            else:
                peer.writer.close()

        responding = asyncio.create_task(respond())
        assert await broken(connection, SMALL) == Failure.CONNECTION_LOST
        await responding


@on_both_loops
async def test_a_peer_that_goes_in_the_middle() -> None:
    """Its end is mostly seen before the request leaves, by TLS too, whose buffers go with it."""
    left: list[bool] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        root = Origin("https", f"127.0.0.1:{server.getsockname()[1]}")

        def go() -> None:
            for _ in range(10):
                with contexts()[0].wrap_socket(server.accept()[0], server_side=True) as peer:
                    read_bytes = 0
                    while read_bytes < 100_000:
                        read_bytes += len(peer.recv(65536))

        going = asyncio.create_task(asyncio.to_thread(go))
        for _ in range(10):
            connection = await Connection.connect(root, contexts()[1], timeout_s=10)
            await broken(connection, large(3_000_000), may_offer=noting(left))
        await going
    assert len(left) < 5


@on_both_loops
async def test_a_peer_that_goes_before_tls() -> None:
    """Nothing leaves, and nobody waits for an answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        root = Origin("https", f"127.0.0.1:{server.getsockname()[1]}")

        async def attempt() -> None:
            connection = await Connection.connect(root, contexts()[1], timeout_s=10)
            await exchange(connection, SMALL, may_offer=lambda: bool(1 / 0))

        def go() -> None:
            for _ in range(60):
                server.accept()[0].close()

        going = asyncio.create_task(asyncio.to_thread(go))
        for _ in range(60):
            with pytest.raises(NoResponseError, match=Failure.CONNECT_FAILED.value):
                await attempt()
        await going


@on_both_loops
async def test_a_body_that_a_reset_ends() -> None:
    """Isn't whole, whatever its end."""
    async with connected() as (connection, peer):

        async def respond() -> None:
            await peer.response(SMALL, b"HTTP/1.1 201 X\r\n\r\n{}")
            await asyncio.sleep(0.1)
            peer.end_by_reset()

        responding = asyncio.create_task(respond())
        response = await exchange(connection, SMALL)
        await responding
        assert (response.http_status, response.body) == (201, None)


@pytest.mark.parametrize(
    ("data", "ends", "body"),
    [
        (b"HTTP/1.1 201 X\r\nContent-Length: 9\r\n\r\n{", False, None),
        (b"HTTP/1.1 201 X\r\nContent-Length: 9\r\n\r\n{", True, None),
        (b"HTTP/1.1 201 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", False, None),
        (b"HTTP/1.1 201 X\r\n\r\n{}", False, None),
        (b"HTTP/1.1 201 X\r\n\r\n{}", True, b"{}"),
    ],
)
@BOTH_SCHEMES
@on_both_loops
async def test_the_end_of_a_body(scheme: str, data: bytes, ends: bool, body: bytes | None) -> None:
    """One that is late or cut leaves the status; one may end with its connection."""
    async with connected(scheme) as (connection, peer):

        async def respond() -> None:
            await peer.response(SMALL, data)
            if ends:
                peer.writer.close()

        responding = asyncio.create_task(respond())
        response = await exchange(connection, SMALL, timeout_s=5 if ends else 0.2)
        await responding
        assert (response.http_status, response.body, response.is_over) == (201, body, True)
        assert not connection.is_open


@BOTH_SCHEMES
@on_both_loops
async def test_an_answer_that_trickles(scheme: str) -> None:
    """Its time isn't put off by what comes of it."""
    async with connected(scheme) as (connection, peer):

        async def trickle() -> None:
            await peer.response(SMALL, b"")
            while not peer.writer.is_closing():
                peer.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        assert await broken(connection, SMALL, timeout_s=0.3) == Failure.RESPONSE_TIMEOUT
        await trickling


# Whether it may be used again.


@pytest.mark.parametrize(
    ("data", "is_open"),
    [
        (CREATED, True),
        (TOO_LARGE, True),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + CREATED, True),
        (CREATED + CREATED, False),
        (CREATED + b"\0", False),
        (b"HTTP/1.1 201 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", False),
        (b"HTTP/1.0 201 X\r\nContent-Length: 0\r\n\r\n", False),
    ],
)
@BOTH_SCHEMES
@on_both_loops
async def test_after_an_exchange(scheme: str, data: bytes, is_open: bool) -> None:
    """It is open if nothing else has come, and is to come; otherwise it is reset."""
    async with connected(scheme) as (connection, peer):
        answering = asyncio.create_task(peer.response(SMALL, data))
        assert (await exchange(connection, SMALL)).is_over
        await answering
        assert (connection.is_open, connection.is_quiet()) == (is_open, is_open)
        if not is_open:
            assert await peer.reset()


@BOTH_SCHEMES
@on_both_loops
async def test_an_answer_and_the_end(scheme: str) -> None:
    """An answer that promised more, and an end right behind it: it isn't open for long."""
    async with connected(scheme) as (connection, peer):

        async def respond() -> None:
            await peer.response(SMALL)
            peer.writer.close()

        responding = asyncio.create_task(respond())
        assert (await exchange(connection, SMALL)).body == b"{}"
        await responding
        await until(lambda: not connection.is_open)


@pytest.mark.parametrize("what", ["bytes", "end"])
@BOTH_SCHEMES
@on_both_loops
async def test_what_comes_while_it_is_idle(scheme: str, what: str) -> None:
    """It isn't quiet from the moment that the kernel knows, and soon it isn't open either."""
    async with connected(scheme) as (connection, peer):
        answering = asyncio.create_task(peer.response(SMALL))
        await exchange(connection, SMALL)
        await answering
        assert connection.is_quiet()
        if what == "bytes":
            os.write(peer.descriptor, CREATED)  # at once, past the loop and past TLS
        else:
            with socket.socket(fileno=os.dup(peer.descriptor)) as its:
                its.shutdown(socket.SHUT_WR)
        assert (connection.is_open, connection.is_quiet()) == (True, False)
        await until(lambda: not connection.is_open)
        assert not connection.is_quiet()


@BOTH_SCHEMES
@on_both_loops
async def test_an_answer_while_it_is_idle(scheme: str) -> None:
    """Is nobody's: the connection is reset."""
    async with connected(scheme) as (connection, peer):
        answering = asyncio.create_task(peer.response(SMALL))
        await exchange(connection, SMALL)
        await answering
        peer.writer.write(CREATED)
        assert await peer.reset()
        assert not connection.is_open


@pytest.mark.parametrize("how", ["reset", "cancelled", "cancelled early"])
@BOTH_SCHEMES
@on_both_loops
async def test_giving_up(scheme: str, how: str) -> None:
    """The peer sees a reset, at whatever point an exchange is given up."""
    async with connected(scheme) as (connection, peer):
        request = large(12_000_000) if how == "cancelled early" else SMALL
        exchanging = asyncio.create_task(exchange(connection, request))
        await peer.reader.readexactly(10)
        if how == "reset":
            connection.reset()
            with pytest.raises(NoResponseError):
                await exchanging
        else:
            exchanging.cancel()
            with pytest.raises(asyncio.CancelledError):
                await exchanging
        assert not connection.is_open
        assert await peer.reset()


@BOTH_SCHEMES
@on_both_loops
async def test_a_reset_of_an_idle_one(scheme: str) -> None:
    """Is seen as one, and may be repeated."""
    async with connected(scheme) as (connection, peer):
        connection.reset()
        connection.reset()
        assert await peer.reset()
        connection.reset()


# How it is made.


async def unconnected(root: Origin, tls: ssl.SSLContext | None = None, **how: Any) -> Failure:
    with pytest.raises(NoResponseError) as caught:
        await Connection.connect(root, tls or contexts()[1], **{"timeout_s": 10, **how})
    return caught.value.failure


@BOTH_SCHEMES
@on_both_loops
async def test_no_listener(scheme: str) -> None:
    """Is a ConnectError."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert await unconnected(Origin(scheme, f"127.0.0.1:{port}")) == Failure.CONNECT_FAILED


@on_both_loops
async def test_no_such_host() -> None:
    """A host that there isn't is a ConnectError."""
    assert await unconnected(Origin("http", "nowhere.invalid")) == Failure.CONNECT_FAILED


@on_both_loops
async def test_a_listener_that_does_not_accept() -> None:
    """Is a ConnectTimeout."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for its in waiting:
            its.setblocking(False)
            its.connect_ex(full.getsockname())
        root = Origin("http", f"127.0.0.1:{full.getsockname()[1]}")
        assert await unconnected(root, timeout_s=0.2) == Failure.CONNECT_TIMEOUT
        for its in waiting:
            its.close()


@on_both_loops
async def test_a_handshake_that_does_not_come() -> None:
    """Is a ConnectTimeout, and the connection is reset."""
    async with listening("http") as listener:
        root = Origin("https", listener.root.authority)
        assert await unconnected(root, timeout_s=0.2) == Failure.CONNECT_TIMEOUT
        assert await (await listener.arrived.get()).reset()


@on_both_loops
async def test_a_handshake_that_is_cancelled() -> None:
    """The connection is reset."""
    async with listening("http") as listener:
        root = Origin("https", listener.root.authority)
        connecting = asyncio.create_task(Connection.connect(root, contexts()[1], timeout_s=10))
        peer = await listener.arrived.get()
        await peer.reader.readexactly(10)
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert await peer.reset()


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
@on_both_loops
async def test_no_tls(data: bytes) -> None:
    """A peer that ends, or doesn't speak it, is a ConnectError."""
    async with listening("http") as listener:
        root = Origin("https", listener.root.authority)
        connecting = asyncio.create_task(unconnected(root))
        peer = await listener.arrived.get()
        await peer.reader.readexactly(10)
        peer.writer.write(data)
        peer.writer.close()
        assert await connecting == Failure.CONNECT_FAILED


@pytest.mark.parametrize("wrong", ["authority", "name"])
@on_both_loops
async def test_a_wrong_certificate(wrong: str) -> None:
    """Signed by a stranger, or somebody else's, is a ConnectError."""
    async with listening("https") as listener:
        port = listener.port
        if wrong == "authority":
            root, tls = listener.root, ssl.create_default_context()
        else:
            root, tls = Origin("https", f"localhost:{port}"), contexts()[1]
        assert await unconnected(root, tls) == Failure.CONNECT_FAILED
