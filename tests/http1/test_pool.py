"""pool: connections that are kept, and so many at once."""

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
    """What the pool connects to."""
    async with listening("http") as running:
        yield running


def pool(root: Origin, *, max_connections: int = 1, timeout_s: float = 10) -> Pool:
    return Pool(root, contexts()[1], max_connections=max_connections, timeout_s=timeout_s)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Let time pass at once."""

    def pass_by(by_s: float) -> None:
        loop = asyncio.get_running_loop()
        before = loop.time
        monkeypatch.setattr(loop, "time", lambda: before() + by_s)

    return pass_by


async def broken(taking: Pool) -> Failure:
    with pytest.raises(NoResponseError) as caught:
        await taking.take()
    return caught.value.failure


async def test_the_last_one_first(listener: Listener) -> None:
    """What was used last is used next, and a new one is made when none is left."""
    of = pool(listener.root, max_connections=4)
    a, b, c = [await of.take() for _ in range(3)]
    for one in (b, c, a):
        of.release(one)
    assert [await of.take() for _ in range(3)] == [a, c, b]
    assert await of.take() not in {a, b, c}


async def test_anew(listener: Listener) -> None:
    """A new one by all means, and the idle one stays."""
    of = pool(listener.root, max_connections=2)
    kept = await of.take()
    of.release(kept)
    new = await of.take(on_new_connection=True)
    assert new is not kept
    assert await of.take() is kept


async def test_so_many_at_once(listener: Listener) -> None:
    """The next waits for a place, first come first served, and may use what is given back."""
    of = pool(listener.root, max_connections=2)
    one, two = await of.take(), await of.take()
    first, second = asyncio.create_task(of.take()), asyncio.create_task(of.take())
    await asyncio.sleep(0.05)
    assert (first.done(), second.done(), listener.arrived.qsize()) == (False, False, 2)
    of.release(two)
    assert await first is two
    assert not second.done()
    one.reset()
    of.release(one)
    assert (await second).is_open
    assert listener.arrived.qsize() == 3


async def test_no_place_in_time(listener: Listener) -> None:
    """Is a PoolTimeout, and takes none."""
    of = pool(listener.root, timeout_s=0.1)
    one = await of.take()
    assert [await broken(of) for _ in range(3)] == [Failure.NO_FREE_CONNECTION] * 3
    of.release(one)
    assert await of.take() is one


async def test_connections_that_fail() -> None:
    """Leave their place."""
    of = pool(Origin("http", "127.0.0.1:9"))
    assert [await broken(of) for _ in range(3)] == [Failure.CONNECT_FAILED] * 3


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_cancelled_while_connecting(listener: Listener, scheme: str) -> None:
    """The place is left, at whatever moment that is."""
    of = pool(Origin(scheme, listener.root.authority), timeout_s=0.2)
    for steps in range(8):
        taking = asyncio.create_task(of.take())
        for _ in range(steps):
            await asyncio.sleep(0)
        taking.cancel()
        (result,) = await asyncio.gather(taking, return_exceptions=True)
        if isinstance(result, Connection):
            result.reset()
            of.release(result)
    if scheme == "https":  # nobody shakes hands
        assert await broken(of) == Failure.CONNECT_TIMEOUT
    else:
        assert (await of.take()).is_open


@pytest.mark.parametrize("given_back", ["before", "after", "never"])
async def test_cancelled_while_waiting(listener: Listener, given_back: str) -> None:
    """The place is for the next, also where it was given in the same moment."""
    of = pool(listener.root)
    one = await of.take()
    waiting, next_one = asyncio.create_task(of.take()), asyncio.create_task(of.take())
    await asyncio.sleep(0.01)
    if given_back == "before":
        of.release(one)
    waiting.cancel()
    if given_back == "after":
        of.release(one)
    with pytest.raises(asyncio.CancelledError):
        await waiting
    if given_back == "never":
        assert not next_one.done()
        of.release(one)
    assert await next_one is one


async def test_a_broken_exchange(listener: Listener) -> None:
    """Its connection isn't kept, and its place is."""
    of = pool(listener.root, timeout_s=0.2)
    for _ in range(3):
        connection = await of.take()
        peer = await listener.arrived.get()
        peer.writer.close()
        with pytest.raises(NoResponseError, match=Failure.CONNECTION_LOST.value):
            await exchange(connection, SMALL)
        of.release(connection)
    assert (await of.take()).is_open


@pytest.mark.parametrize("seen", [True, False])
async def test_what_ended_while_it_was_idle(listener: Listener, seen: bool) -> None:
    """Isn't used again, whether the loop has seen its end or only the kernel has."""
    of = pool(listener.root)
    ended = await of.take()
    of.release(ended)
    peer = await listener.arrived.get()
    if seen:
        peer.writer.close()
        await until(lambda: not ended.is_open)
    else:
        os.write(peer.descriptor, b"HTTP/1.1 408 X\r\nContent-Length: 0\r\n\r\n")
        assert ended.is_open
    new = await of.take()
    assert (new is ended, new.is_quiet(), ended.is_open) == (False, True, False)
    assert seen or await peer.reset()


async def test_what_is_too_old(listener: Listener, later: Callable[[float], None]) -> None:
    """Isn't used; what isn't yet, is."""
    of = pool(listener.root, max_connections=2)
    older, old = [await of.take() for _ in range(2)]
    of.release(older)
    later(KEEPALIVE_S / 2)
    of.release(old)
    later(KEEPALIVE_S / 2 + 1)
    assert await of.take() is old
    assert await of.take() not in {older, old}
    assert not older.is_open


async def test_what_nobody_asks_for(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is ended when it is too old, all the same; and one that ended isn't kept."""
    monkeypatch.setattr("attachment_gateway.http1.pool.KEEPALIVE_S", 0.1)
    of = pool(listener.root, max_connections=3)
    first, second, ended = [await of.take() for _ in range(3)]
    peers = [await listener.arrived.get() for _ in range(3)]
    for one in (first, ended, second):
        of.release(one)
        await asyncio.sleep(0.06)
    assert (first.is_open, second.is_open) == (False, True)
    assert [await peer.reset() for peer in peers] == [True, True, True]
    assert not of._idle
    assert of._expiring is None


async def test_no_more_than_so_many_are_kept(listener: Listener) -> None:
    """Also where each was made anew; what is given back after the end isn't kept at all."""
    of = pool(listener.root, max_connections=2)
    made = []
    for _ in range(3):
        made.append(await of.take(on_new_connection=True))
        of.release(made[-1])
    assert [one.is_open for one in made] == [False, True, True]
    last = await of.take()
    of.close()
    of.release(last)
    assert [one.is_open for one in made] == [False, False, False]


async def test_closing(listener: Listener) -> None:
    """Ends what is idle, and not what is in use."""
    of = pool(listener.root, max_connections=2)
    used, idle = await of.take(), await of.take()
    of.release(idle)
    of.close()
    assert (used.is_open, idle.is_open) == (True, False)
    await listener.arrived.get()
    assert await (await listener.arrived.get()).reset()
    used.reset()
    of.release(used)
    of.close()
