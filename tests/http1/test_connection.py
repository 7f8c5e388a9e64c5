"""http1.connection: a request and its response, over a real connection, on both event loops."""

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
    """Return a request like an upload's: a body of `size` bytes in segments of 350 KB."""
    body = (os.urandom(1000) * (size // 1000 + 1))[:size]
    segments = [body[at : at + 350_000] for at in range(0, size, 350_000)]
    return (b"POST / HTTP/1.1\r\n\r\n", *segments, b'"}')


def on_both_loops(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test on asyncio's loop and on uvloop's; neither may report an error."""

    @functools.wraps(test)
    def run(*, loop: str, **given: Any) -> None:
        errors: list[dict[str, Any]] = []
        with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            runner.get_loop().set_exception_handler(lambda _, what: errors.append(what))
            runner.run(test(**given))
        assert errors == []

    signature = inspect.signature(test)
    loop_parameter = inspect.Parameter("loop", inspect.Parameter.KEYWORD_ONLY)
    run.__dict__["__signature__"] = signature.replace(
        parameters=[*signature.parameters.values(), loop_parameter]
    )
    on_both: Callable[..., None] = pytest.mark.parametrize("loop", LOOPS)(run)
    return on_both


async def broken(connection: Connection, request: tuple[bytes, ...], **how: Any) -> Failure:
    """Return the failure of an exchange."""
    with pytest.raises(NoResponseError) as caught:
        await exchange(connection, request, **how)
    assert (connection.is_open, connection.is_quiet()) == (False, False)
    return caught.value.failure


def recording(asked: list[bool]) -> Callable[[], bool]:
    """Return a `may_offer` that allows the offer and records that it was asked."""

    def may_offer() -> bool:
        asked.append(True)
        return True

    return may_offer


# Sending.


@BOTH_SCHEMES
@on_both_loops
async def test_exchanges_in_a_row_use_one_connection(scheme: str) -> None:
    """Small and large requests arrive whole, one after the other, over one open connection."""
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
async def test_requests_around_one_write_arrive_whole(scheme: str, beyond: int) -> None:
    """A request around `ONE_WRITE_BYTES` arrives whole, with empty pieces too."""
    async with connected(scheme) as (connection, peer):
        request = (b"x" * (ONE_WRITE_BYTES - 2), b"", b"y" * (1 + beyond), b"}")
        answering = asyncio.create_task(peer.response(request))
        assert (await exchange(connection, request)).http_status == 201
        await answering


class Sink:
    """A peer that reads in a thread, without the event loop.

    It reads more slowly than the sender sends, so the sender's socket buffer stays full.
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
            connection = raw if self._tls is None else self._tls.wrap_socket(raw, server_side=True)
            with connection:
                while data := connection.recv(65536):
                    time.sleep(0.001)
                    with self._more:
                        self.received += data
                        self._more.notify()
                    if self.received.endswith(b'"}'):
                        connection.sendall(CREATED)

    def has(self, count: int) -> bool:
        """Wait until the peer has `count` bytes; return False if it gets more or too few."""
        with self._more:
            if not self._more.wait_for(lambda: len(self.received) >= count, 10):
                return False
            return not self._more.wait_for(lambda: len(self.received) > count, 0.1)

    async def ended(self) -> bytes:
        """Return all bytes received, once the connection has ended."""
        await asyncio.to_thread(self._thread.join, 10)
        assert not self._thread.is_alive()
        return bytes(self.received)


@BOTH_SCHEMES
@pytest.mark.parametrize("size", [10, 100_000, 1_000_000, 4_000_000])
@pytest.mark.parametrize("may_offer", [True, False])
@on_both_loops
async def test_may_offer_is_asked_before_the_last_piece(
    scheme: str, size: int, may_offer: bool
) -> None:
    """`may_offer` is asked once, when the peer has all but the last piece.

    If it returns False, the last piece is never sent. A small request is sent whole, or not at
    all.
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
async def test_an_early_response_ends_the_sending(
    scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A response that comes before the request is sent ends the sending and the connection."""
    async with connected(scheme) as (connection, peer):
        asked: list[bool] = []

        async def refuse() -> None:
            await peer.reader.readexactly(100_000)
            peer.writer.write(TOO_LARGE)

        refusing = asyncio.create_task(refuse())
        response = await exchange(connection, large(12_000_000), may_offer=recording(asked))
        await refusing
        assert (response.http_status, response.body, asked) == (413, b"", [])
        assert not connection.is_open
        assert await peer.reset()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@BOTH_SCHEMES
@pytest.mark.parametrize("data", [b"", TOO_LARGE, TOO_LARGE[:10]])
@on_both_loops
async def test_a_reset_while_sending_ends_the_exchange(
    scheme: str, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """After a reset while sending, a response that came before it counts, and no offer is made."""
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
        sent = exchange(connection, request, may_offer=recording(asked))
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
async def test_a_peer_that_does_not_read_is_a_write_timeout(scheme: str, size: int) -> None:
    """A peer that doesn't read causes WRITE_TIMEOUT, no offer and a reset."""
    async with connected(scheme) as (connection, peer):
        asked: list[bool] = []
        failure = await broken(connection, large(size), may_offer=recording(asked), timeout_s=0.2)
        assert (failure, asked) == (Failure.WRITE_TIMEOUT, [])
        assert await peer.reset()


@BOTH_SCHEMES
@pytest.mark.parametrize("left_bytes", range(100_000, 900_000, 100_000))
@on_both_loops
async def test_a_peer_that_stops_reading_times_out(scheme: str, left_bytes: int) -> None:
    """A peer that stops reading causes a timeout of `timeout_s`, however few bytes are asked."""
    async with connected(scheme) as (connection, peer):
        request = large(1_000_000)
        reading = asyncio.create_task(peer.reader.readexactly(1_000_000 - left_bytes))
        asked: list[bool] = []
        sending = broken(connection, request, may_offer=recording(asked), timeout_s=0.2)
        async with asyncio.timeout(5):
            failure = await sending
        await reading
        assert (failure, asked) in [(Failure.WRITE_TIMEOUT, []), (Failure.RESPONSE_TIMEOUT, [True])]


@BOTH_SCHEMES
@on_both_loops
async def test_a_peer_that_reads_slowly_does_not_time_out(scheme: str) -> None:
    """A peer that reads slowly doesn't time out."""
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
async def test_little_of_a_request_is_held_encrypted() -> None:
    """At most about two TLS portions of a large request are held encrypted at once."""
    async with connected("https") as (connection, peer):
        request = large(12_000_000)
        sending = asyncio.create_task(exchange(connection, request))
        left_bytes, held_bytes = sum(map(len, request)), 0
        while left_bytes:
            left_bytes -= len(await peer.reader.read(100_000))
            waiting = connection._tcp, connection._transport
            held_bytes = max(held_bytes, sum(each.get_write_buffer_size() for each in waiting))
        peer.writer.write(CREATED)
        await sending
        assert TLS_PORTION_BYTES / 2 < held_bytes < 2.1 * TLS_PORTION_BYTES


# Receiving.


@BOTH_SCHEMES
@pytest.mark.parametrize("request_bytes", [0, 1_000_000])
@on_both_loops
async def test_no_response_is_a_response_timeout(scheme: str, request_bytes: int) -> None:
    """Without a response the exchange fails with RESPONSE_TIMEOUT, and the connection is reset."""
    async with connected(scheme) as (connection, peer):
        request = large(request_bytes)
        reading = asyncio.create_task(peer.reader.readexactly(sum(map(len, request))))
        assert await broken(connection, request, timeout_s=0.2) == Failure.RESPONSE_TIMEOUT
        await reading
        assert await peer.reset()


@on_both_loops
async def test_the_response_timeout_ends_at_any_fraction() -> None:
    """The response timeout ends at any fraction of a second, whenever it began."""
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
async def test_an_end_before_the_head_is_connection_lost(
    scheme: str, end: str, data: bytes
) -> None:
    """A connection that ends before the response's head is whole fails with CONNECTION_LOST."""
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
async def test_a_peer_that_closes_is_mostly_noticed_before_the_offer() -> None:
    """A TLS peer that closes while a request is sent is mostly noticed before the offer."""
    asked: list[bool] = []
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        root = Origin("https", f"127.0.0.1:{server.getsockname()[1]}")

        def close_early() -> None:
            for _ in range(10):
                with contexts()[0].wrap_socket(server.accept()[0], server_side=True) as peer:
                    read_bytes = 0
                    while read_bytes < 100_000:
                        read_bytes += len(peer.recv(65536))

        closing = asyncio.create_task(asyncio.to_thread(close_early))
        for _ in range(10):
            connection = await Connection.connect(root, contexts()[1], timeout_s=10)
            await broken(connection, large(3_000_000), may_offer=recording(asked))
        await closing
    assert len(asked) < 5


@on_both_loops
async def test_a_peer_that_closes_before_tls_is_connect_failed() -> None:
    """A peer that closes before the TLS handshake causes CONNECT_FAILED, without an offer."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        root = Origin("https", f"127.0.0.1:{server.getsockname()[1]}")

        async def attempt() -> None:
            connection = await Connection.connect(root, contexts()[1], timeout_s=10)
            await exchange(connection, SMALL, may_offer=lambda: bool(1 / 0))

        def close_at_once() -> None:
            for _ in range(60):
                server.accept()[0].close()

        closing = asyncio.create_task(asyncio.to_thread(close_at_once))
        for _ in range(60):
            with pytest.raises(NoResponseError, match=Failure.CONNECT_FAILED.value):
                await attempt()
        await closing


@on_both_loops
async def test_a_reset_leaves_a_body_without_length_incomplete() -> None:
    """A body without a length that a reset ends isn't taken as whole."""
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
async def test_a_late_or_cut_body_leaves_the_status(
    scheme: str, data: bytes, ends: bool, body: bytes | None
) -> None:
    """A body that is late or cut leaves the status; a body without a length ends with a close."""
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
async def test_a_trickling_response_does_not_extend_the_timeout(scheme: str) -> None:
    """Pieces of a response don't extend its timeout."""
    async with connected(scheme) as (connection, peer):

        async def trickle() -> None:
            await peer.response(SMALL, b"")
            while not peer.writer.is_closing():
                peer.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        assert await broken(connection, SMALL, timeout_s=0.3) == Failure.RESPONSE_TIMEOUT
        await trickling


# Whether the connection may be used again.


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
async def test_an_open_connection_has_nothing_left_to_read(
    scheme: str, data: bytes, is_open: bool
) -> None:
    """After an exchange the connection is open if no more bytes came and the peer keeps it."""
    async with connected(scheme) as (connection, peer):
        answering = asyncio.create_task(peer.response(SMALL, data))
        assert (await exchange(connection, SMALL)).is_over
        await answering
        assert (connection.is_open, connection.is_quiet()) == (is_open, is_open)
        if not is_open:
            assert await peer.reset()


@BOTH_SCHEMES
@on_both_loops
async def test_a_close_after_the_response_closes_the_connection(scheme: str) -> None:
    """A close right after a response that promised to keep the connection closes it."""
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
async def test_an_idle_connection_is_not_quiet_after_bytes_or_an_end(
    scheme: str, what: str
) -> None:
    """An idle connection isn't quiet once the kernel has bytes or an end, and closes soon."""
    async with connected(scheme) as (connection, peer):
        answering = asyncio.create_task(peer.response(SMALL))
        await exchange(connection, SMALL)
        await answering
        assert connection.is_quiet()
        if what == "bytes":
            os.write(
                peer.descriptor, CREATED
            )  # past the loop and TLS, so the kernel has them at once
        else:
            with socket.socket(fileno=os.dup(peer.descriptor)) as duplicate:
                duplicate.shutdown(socket.SHUT_WR)
        assert (connection.is_open, connection.is_quiet()) == (True, False)
        await until(lambda: not connection.is_open)
        assert not connection.is_quiet()


@BOTH_SCHEMES
@on_both_loops
async def test_a_response_on_an_idle_connection_resets_it(scheme: str) -> None:
    """A response without a request resets the connection."""
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
async def test_a_cancelled_exchange_resets_the_connection(scheme: str, how: str) -> None:
    """The peer sees a reset when an exchange is reset or cancelled, at any point."""
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
async def test_an_idle_connection_can_be_reset_again_and_again(scheme: str) -> None:
    """The peer sees the reset of an idle connection, which can be repeated."""
    async with connected(scheme) as (connection, peer):
        connection.reset()
        connection.reset()
        assert await peer.reset()
        connection.reset()


# Connecting.


async def unconnected(root: Origin, tls: ssl.SSLContext | None = None, **how: Any) -> Failure:
    with pytest.raises(NoResponseError) as caught:
        await Connection.connect(root, tls or contexts()[1], **{"timeout_s": 10, **how})
    return caught.value.failure


@BOTH_SCHEMES
@on_both_loops
async def test_no_listener_is_connect_failed(scheme: str) -> None:
    """Connecting to a port without a listener fails with CONNECT_FAILED."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert await unconnected(Origin(scheme, f"127.0.0.1:{port}")) == Failure.CONNECT_FAILED


@on_both_loops
async def test_an_unknown_host_is_connect_failed() -> None:
    """Connecting to a host that doesn't exist fails with CONNECT_FAILED."""
    assert await unconnected(Origin("http", "nowhere.invalid")) == Failure.CONNECT_FAILED


@on_both_loops
async def test_a_listener_that_does_not_accept_is_a_connect_timeout() -> None:
    """Connecting to a listener that doesn't accept fails with CONNECT_TIMEOUT."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(full.getsockname())
        root = Origin("http", f"127.0.0.1:{full.getsockname()[1]}")
        assert await unconnected(root, timeout_s=0.2) == Failure.CONNECT_TIMEOUT
        for each in waiting:
            each.close()


@on_both_loops
async def test_a_missing_handshake_is_a_connect_timeout() -> None:
    """Without a TLS handshake connecting fails with CONNECT_TIMEOUT and a reset."""
    async with listening("http") as listener:
        root = Origin("https", listener.root.authority)
        assert await unconnected(root, timeout_s=0.2) == Failure.CONNECT_TIMEOUT
        assert await (await listener.arrived.get()).reset()


@on_both_loops
async def test_a_cancelled_handshake_resets_the_connection() -> None:
    """Cancelling during the TLS handshake resets the connection."""
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
async def test_a_peer_without_tls_is_connect_failed(data: bytes) -> None:
    """A peer that closes or doesn't speak TLS causes CONNECT_FAILED."""
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
async def test_a_wrong_certificate_is_connect_failed(wrong: str) -> None:
    """A certificate of an unknown authority, or for another name, causes CONNECT_FAILED."""
    async with listening("https") as listener:
        port = listener.port
        if wrong == "authority":
            root, tls = listener.root, ssl.create_default_context()
        else:
            root, tls = Origin("https", f"localhost:{port}"), contexts()[1]
        assert await unconnected(root, tls) == Failure.CONNECT_FAILED
