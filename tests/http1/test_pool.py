"""http1.pool: which connections are kept and reused, and how many may be in use at once."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable

import pytest

from attachment_gateway.http1.connection import Connection
from attachment_gateway.http1.failure import Failure, NoResponseError
from attachment_gateway.http1.origin import Origin
from attachment_gateway.http1.pool import KEEPALIVE_S, Pool
from tests.support.peer import SMALL, Listener, contexts, exchange, listening, until


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    """The server that the pool connects to."""
    async with listening("http") as running:
        yield running


def pool_of(root: Origin, *, max_connections: int = 1, timeout_s: float = 10) -> Pool:
    return Pool(root, contexts()[1], max_connections=max_connections, timeout_s=timeout_s)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Advance the event loop's clock."""

    def advance(by_s: float) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time
        monkeypatch.setattr(loop, "time", lambda: before() + by_s)

    return advance


async def broken(pool: Pool) -> Failure:
    with pytest.raises(NoResponseError) as caught:
        await pool.take()
    return caught.value.failure


async def test_the_last_released_connection_is_taken_first(listener: Listener) -> None:
    """The connection that was released last is taken next, and a new one if none is idle."""
    pool = pool_of(listener.root, max_connections=4)
    a, b, c = [await pool.take() for _ in range(3)]
    for one in (b, c, a):
        pool.release(one)
    assert [await pool.take() for _ in range(3)] == [a, c, b]
    assert await pool.take() not in {a, b, c}


async def test_a_new_connection_can_be_asked_for(listener: Listener) -> None:
    """`on_new_connection` makes a new connection, and the idle one stays in the pool."""
    pool = pool_of(listener.root, max_connections=2)
    kept = await pool.take()
    pool.release(kept)
    new = await pool.take(on_new_connection=True)
    assert new is not kept
    assert await pool.take() is kept


async def test_at_most_max_connections_are_in_use(listener: Listener) -> None:
    """With every connection in use, `take` waits in order for one that is released."""
    pool = pool_of(listener.root, max_connections=2)
    one, two = await pool.take(), await pool.take()
    first, second = asyncio.create_task(pool.take()), asyncio.create_task(pool.take())
    await asyncio.sleep(0.05)
    assert (first.done(), second.done(), listener.arrived.qsize()) == (False, False, 2)
    pool.release(two)
    assert await first is two
    assert not second.done()
    one.reset()
    pool.release(one)
    assert (await second).is_open
    assert listener.arrived.qsize() == 3


async def test_no_free_connection_in_time_fails(listener: Listener) -> None:
    """`take` fails with NO_FREE_CONNECTION after `timeout_s`, and uses up no connection."""
    pool = pool_of(listener.root, timeout_s=0.1)
    one = await pool.take()
    assert [await broken(pool) for _ in range(3)] == [Failure.NO_FREE_CONNECTION] * 3
    pool.release(one)
    assert await pool.take() is one


async def test_failed_connections_do_not_count() -> None:
    """A connection that couldn't be made doesn't count against `max_connections`."""
    pool = pool_of(Origin("http", "127.0.0.1:9"))
    assert [await broken(pool) for _ in range(3)] == [Failure.CONNECT_FAILED] * 3


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a_take_cancelled_while_connecting_does_not_count(
    listener: Listener, scheme: str
) -> None:
    """A `take` cancelled at any step of connecting doesn't count against `max_connections`."""
    pool = pool_of(Origin(scheme, listener.root.authority), timeout_s=0.2)
    for steps in range(8):
        taking = asyncio.create_task(pool.take())
        for _ in range(steps):
            await asyncio.sleep(0)
        taking.cancel()
        (result,) = await asyncio.gather(taking, return_exceptions=True)
        if isinstance(result, Connection):
            result.reset()
            pool.release(result)
    if scheme == "https":  # the listener makes no TLS handshake
        assert await broken(pool) == Failure.CONNECT_TIMEOUT
    else:
        assert (await pool.take()).is_open


@pytest.mark.parametrize("given_back", ["before", "after", "never"])
async def test_a_take_cancelled_while_waiting_leaves_it_to_the_next(
    listener: Listener, given_back: str
) -> None:
    """A connection goes to the next `take` when the one before it is cancelled.

    This holds too when it was given to the cancelled one in the same moment.
    """
    pool = pool_of(listener.root)
    one = await pool.take()
    waiting, next_one = asyncio.create_task(pool.take()), asyncio.create_task(pool.take())
    await asyncio.sleep(0.01)
    if given_back == "before":
        pool.release(one)
    waiting.cancel()
    if given_back == "after":
        pool.release(one)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if given_back == "never":
        assert not next_one.done()
        pool.release(one)
    assert await next_one is one


async def test_a_broken_connection_is_not_kept(listener: Listener) -> None:
    """A connection that broke isn't kept, and a new one can be made in its place."""
    pool = pool_of(listener.root, timeout_s=0.2)
    for _ in range(3):
        connection = await pool.take()
        peer = await listener.arrived.get()
        peer.writer.close()
        with pytest.raises(NoResponseError, match=Failure.CONNECTION_LOST.value):
            await exchange(connection, SMALL)
        pool.release(connection)
    assert (await pool.take()).is_open


@pytest.mark.parametrize("seen", [True, False])
async def test_a_connection_that_ended_while_idle_is_not_reused(
    listener: Listener, seen: bool
) -> None:
    """An idle connection that ended isn't reused, even if only the kernel knows of the end."""
    pool = pool_of(listener.root)
    ended = await pool.take()
    pool.release(ended)
    peer = await listener.arrived.get()
    if seen:
        peer.writer.close()
        await until(lambda: not ended.is_open)
    else:
        os.write(peer.descriptor, b"HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n")
        assert ended.is_open
    new = await pool.take()
    assert (new is ended, new.is_quiet(), ended.is_open) == (False, True, False)
    assert seen or await peer.reset()


async def test_a_connection_idle_for_keepalive_is_not_reused(
    listener: Listener, later: Callable[[float], None]
) -> None:
    """A connection that was idle for more than `KEEPALIVE_S` isn't reused."""
    pool = pool_of(listener.root, max_connections=2)
    older, old = [await pool.take() for _ in range(2)]
    pool.release(older)
    later(KEEPALIVE_S / 2)
    pool.release(old)
    later(KEEPALIVE_S / 2 + 1)
    assert await pool.take() is old
    assert await pool.take() not in {older, old}
    assert not older.is_open


async def test_an_idle_connection_is_closed_after_keepalive(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle connection is closed after `KEEPALIVE_S` without a `take`."""
    monkeypatch.setattr("attachment_gateway.http1.pool.KEEPALIVE_S", 0.1)
    pool = pool_of(listener.root, max_connections=3)
    first, second, ended = [await pool.take() for _ in range(3)]
    peers = [await listener.arrived.get() for _ in range(3)]
    for one in (first, ended, second):
        pool.release(one)
        await asyncio.sleep(0.06)
    assert (first.is_open, second.is_open) == (False, True)
    assert [await peer.reset() for peer in peers] == [True, True, True]
    assert not pool._idle
    assert pool._expiring is None


async def test_at_most_max_connections_are_kept(listener: Listener) -> None:
    """At most `max_connections` are kept, and none that is released after `close`."""
    pool = pool_of(listener.root, max_connections=2)
    made = []
    for _ in range(3):
        made.append(await pool.take(on_new_connection=True))
        pool.release(made[-1])
    assert [one.is_open for one in made] == [False, True, True]
    last = await pool.take()
    pool.close()
    pool.release(last)
    assert [one.is_open for one in made] == [False, False, False]


async def test_close_ends_only_idle_connections(listener: Listener) -> None:
    """`close` ends the idle connections and leaves those in use open."""
    pool = pool_of(listener.root, max_connections=2)
    used, idle = await pool.take(), await pool.take()
    pool.release(idle)
    pool.close()
    assert (used.is_open, idle.is_open) == (True, False)
    await listener.arrived.get()
    assert await (await listener.arrived.get()).reset()
    used.reset()
    pool.release(used)
    pool.close()
