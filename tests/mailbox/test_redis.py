"""mailbox_redis: replicas that share the limits, that die, and that lose Redis."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, closing

import pytest
from redis.asyncio import Redis

from attachment_gateway.ledger import LedgerUnavailable
from attachment_gateway.ledger.redis_client import redis_client
from attachment_gateway.mailbox import GRAPH_ASKED, MailboxBusy, MailboxLimits
from attachment_gateway.mailbox import redis as mailbox_redis
from attachment_gateway.mailbox import store as mailbox_store
from attachment_gateway.mailbox.queue import Obstacle
from attachment_gateway.mailbox.redis import RedisMailboxes
from attachment_gateway.mailbox.store import Begun
from tests.support.redis_server import redis_server

PATIENCE_S = 60.0

Open = Callable[..., RedisMailboxes]


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A Redis of these tests' own."""
    with redis_server() as server:
        yield server.url


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """An empty Redis."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def replica(redis: Redis, redis_url: str) -> AsyncIterator[Open]:
    """Open a replica's mailboxes; nothing is limited but what is named."""
    opened: list[RedisMailboxes] = []

    def open_it(
        concurrent: int = 0, upload_bytes: int = 0, window_s: float = 60.0
    ) -> RedisMailboxes:
        limits = MailboxLimits(
            concurrent=concurrent, upload_bytes=upload_bytes, upload_window_s=window_s
        )
        opened.append(RedisMailboxes(Redis.from_url(redis_url), limits))
        return opened[-1]

    yield open_it
    for each in opened:
        await each.close()


async def goes_at_once(mailboxes: RedisMailboxes, upload_bytes: int = 0) -> None:
    async with mailboxes.slot("a/g", upload_bytes=upload_bytes, within_s=0):
        pass


async def goes_in_time(mailboxes: RedisMailboxes) -> None:
    async with mailboxes.slot("a/g", within_s=PATIENCE_S):
        pass


async def is_full(mailboxes: RedisMailboxes) -> bool:
    try:
        await goes_at_once(mailboxes)
    except MailboxBusy:
        return True
    return False


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - what it looks at has no event
        await asyncio.sleep(0.005)


async def test_replicas_share_the_slots(replica: Open) -> None:
    """Three of them together have no more inside than one may have, and all get their slot."""
    replicas = [replica(concurrent=4) for _ in range(3)]
    inside, peak, order = 0, 0, list[tuple[int, int]]()

    async def visit(which: int, number: int) -> None:
        nonlocal inside, peak
        async with replicas[which].slot("a/g", within_s=PATIENCE_S):
            order.append((which, number))
            inside += 1
            peak = max(peak, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*(visit(which, number) for number in range(16) for which in range(3)))
    assert peak == 4
    for which in range(3):
        assert [number for each, number in order if each == which] == list(range(16))


async def test_replicas_share_the_bytes(replica: Open) -> None:
    """What one has sent counts for the other, also when neither pauses a slot any more."""
    one, other = replica(upload_bytes=100), replica(upload_bytes=100)
    await goes_at_once(one, 60)
    await goes_at_once(other, 30)
    with pytest.raises(MailboxBusy) as caught:
        await goes_at_once(one, 11)
    assert 50 < caught.value.retry_delay_s < 61
    await goes_at_once(one, 10)


async def test_the_heads_go_in_the_order_of_arrival(replica: Open) -> None:
    """Of replicas that wait, the one that came first goes first."""
    replicas = [replica(concurrent=1) for _ in range(5)]
    order = list[int]()

    async def visit(which: int) -> None:
        async with replicas[which].slot("a/g", within_s=PATIENCE_S):
            order.append(which)

    async with replicas[0].slot("a/g", within_s=0):
        visits = []
        for which in (3, 1, 4, 2):
            visits.append(asyncio.create_task(visit(which)))
            await asyncio.sleep(0.05)
    await asyncio.gather(*visits)
    assert order == [3, 1, 4, 2]


async def test_a_small_one_doesnt_overtake_another_replicas(replica: Open) -> None:
    """The queue is one: what would fit waits behind what doesn't yet."""
    one, other = (replica(upload_bytes=100, window_s=1.0) for _ in range(2))
    order = list[int]()

    async def visit(mailboxes: RedisMailboxes, upload_bytes: int) -> None:
        async with mailboxes.slot("a/g", upload_bytes=upload_bytes, within_s=PATIENCE_S):
            order.append(upload_bytes)

    await goes_at_once(one, 60)
    large = asyncio.create_task(visit(one, 90))
    await asyncio.sleep(0.1)
    await asyncio.gather(large, visit(other, 1))
    assert order == [90, 1]


async def test_a_hold_is_every_replicas(replica: Open) -> None:
    """Who waits in another one, the head and those behind it, is told before its time is over."""
    one, other = replica(concurrent=1), replica(concurrent=1)

    async def visit() -> None:
        async with other.slot("a/g", within_s=40):
            raise AssertionError

    async with one.slot("a/g", within_s=0):
        waiting = [asyncio.create_task(visit()) for _ in range(3)]
        await asyncio.sleep(0.05)
        await one.pause("a/g", 60)
        for busy in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(busy, MailboxBusy)
            assert (busy.why, 50 < busy.retry_delay_s <= 60) == (GRAPH_ASKED, True)


async def test_those_behind_the_head_know_what_it_knows(replica: Open, redis: Redis) -> None:
    """Without a question to Redis: what keeps the head keeps everyone behind it."""
    mailboxes = replica(upload_bytes=100)
    await goes_at_once(mailboxes, 60)

    async def visit(within_s: float) -> None:
        async with mailboxes.slot("a/g", upload_bytes=90, within_s=within_s):
            raise AssertionError

    head = asyncio.create_task(visit(90))
    behind = [asyncio.create_task(visit(30)) for _ in range(3)]
    for busy in await asyncio.gather(*behind, return_exceptions=True):
        assert isinstance(busy, MailboxBusy)
        assert busy.why == "our own limit of 100 bytes in 60 s"
    head.cancel()
    await asyncio.wait({head})


async def test_only_the_head_of_a_line_is_in_redis(replica: Open, redis: Redis) -> None:
    """However many wait in a process, it has one ticket."""
    mailboxes = replica(concurrent=1)
    async with mailboxes.slot("a/g", within_s=0):
        waiting = [asyncio.create_task(goes_in_time(mailboxes)) for _ in range(20)]
        await asyncio.sleep(0.1)
        assert await redis.zcard("{attachment-gateway}:mailbox:a/g:queue") == 1
        assert await redis.zcard("{attachment-gateway}:mailbox:a/g:slots") == 1
    await asyncio.gather(*waiting)


async def test_every_key_ends_by_itself(replica: Open, redis: Redis) -> None:
    """Each has a time to live, and the ledger's hash tag, and nothing else is there."""
    mailboxes = replica(concurrent=1, upload_bytes=100)
    async with mailboxes.slot("a/g", upload_bytes=1, within_s=0):
        waiting = asyncio.create_task(goes_in_time(mailboxes))
        await asyncio.sleep(0.05)
        await mailboxes.pause("a/g", 0.2)
        keys = sorted([key.decode() async for key in redis.scan_iter()])
        parts = ["bytes", "leases", "pause", "queue", "slots"]
        assert keys == [f"{{attachment-gateway}}:mailbox:a/g:{part}" for part in parts]
        for key in keys:
            assert 0 < await redis.pttl(key) <= 61_000
    await waiting
    left = [key.decode() async for key in redis.scan_iter()]
    assert left == ["{attachment-gateway}:mailbox:a/g:bytes"]


async def test_a_dead_replicas_place_is_free_after_its_lease(
    replica: Open, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that pauses a slot, or waits, and is heard of no more, is passed over."""
    monkeypatch.setattr(mailbox_store, "SLOT_LEASE_S", 0.4)
    monkeypatch.setattr(mailbox_store, "TICKET_LEASE_S", 0.4)
    dead, alive = replica(concurrent=1), replica(concurrent=1)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(dead.slot("a/g", within_s=0))
        waiting = asyncio.create_task(goes_in_time(dead))
        await asyncio.sleep(0.05)
        monkeypatch.setattr(dead._store, "_run", no_redis)  # nothing more is heard of it
        assert await is_full(alive)
        await goes_in_time(alive)
        with pytest.raises(LedgerUnavailable):
            await waiting


async def test_a_place_is_free_after_its_own_lease(
    replica: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while another at the same mailbox is renewed again and again."""
    monkeypatch.setattr(mailbox_store, "SLOT_LEASE_S", 0.4)
    monkeypatch.setattr(mailbox_redis, "RENEW_EVERY_S", 0.05)
    dead, alive = replica(concurrent=2), replica(concurrent=2)
    async with dead.slot("a/g", within_s=0), alive.slot("a/g", within_s=0):
        monkeypatch.setattr(dead._store, "_run", no_redis)
        await goes_in_time(alive)


async def no_redis(*_: object) -> list[int]:
    raise LedgerUnavailable("away")


async def test_a_place_that_is_held_is_kept(replica: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """For longer than its lease, for it is renewed; and no longer than it is held."""
    monkeypatch.setattr(mailbox_store, "SLOT_LEASE_S", 0.4)
    monkeypatch.setattr(mailbox_redis, "RENEW_EVERY_S", 0.05)
    one, other = replica(concurrent=1), replica(concurrent=1)
    async with one.slot("a/g", within_s=0):
        await asyncio.sleep(1)
        assert await is_full(other)
    await asyncio.sleep(0.1)
    await goes_at_once(other)
    await until(lambda: one._renewing is not None and one._renewing.done())


async def test_a_look_that_is_repeated_counts_once(replica: Open) -> None:
    """A client library repeats a command whose answer it has not read."""
    mailboxes = replica(concurrent=2, upload_bytes=100)
    first = await mailboxes._store.enter("a/g", "ticket", size_bytes=60)
    again = await mailboxes._store.enter("a/g", "ticket", size_bytes=60)
    assert isinstance(first, Begun)
    assert first.grain is not None
    assert again == Begun(None)
    await goes_at_once(mailboxes, 40)


async def test_who_leaves_twice_gives_back_once(replica: Open) -> None:
    """The bytes of a slot that was not used are given back with its slot."""
    store = replica(concurrent=2, upload_bytes=100)._store
    first = await store.enter("a/g", "first", size_bytes=60)
    other = await store.enter("a/g", "other", size_bytes=40)
    assert isinstance(first, Begun)
    assert isinstance(other, Begun)
    await store.release("a/g", "first", size_bytes=60, unused=first)
    await store.release("a/g", "first", size_bytes=60, unused=first)
    assert isinstance(await store.enter("a/g", "third", size_bytes=61), Obstacle)
    assert isinstance(await store.enter("a/g", "third", size_bytes=60), Begun)


async def test_who_is_cancelled_while_it_looks_gives_all_back(replica: Open, redis: Redis) -> None:
    """At whatever step of the way to Redis and back."""
    mailboxes, begun = replica(concurrent=1, upload_bytes=100), list[int]()

    async def visit(steps: int) -> None:
        async with mailboxes.slot("a/g", upload_bytes=100, within_s=0):
            begun.append(steps)

    for steps in range(100):
        task = asyncio.create_task(visit(steps))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        await until(lambda: not mailboxes._tasks)
        if begun:
            break
        assert task.cancelled()
        assert await redis.zcard("{attachment-gateway}:mailbox:a/g:slots") == 0
        assert {*await redis.hvals("{attachment-gateway}:mailbox:a/g:bytes")} <= {b"0"}


async def test_an_answer_that_nobody_waits_for_is_undone(
    replica: Open, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redis has given the slot, and the answer is on its way to one who is cancelled."""
    mailboxes, given = replica(concurrent=1, upload_bytes=100), asyncio.Event()
    enter = mailboxes._store.enter

    async def far_away(mailbox: str, ticket: str, *, size_bytes: int) -> Begun | Obstacle:
        answer = await enter(mailbox, ticket, size_bytes=size_bytes)
        given.set()
        await asyncio.sleep(0.05)
        return answer

    monkeypatch.setattr(mailboxes._store, "enter", far_away)
    task = asyncio.create_task(goes_at_once(mailboxes, 100))
    await given.wait()
    assert await redis.zcard("{attachment-gateway}:mailbox:a/g:slots") == 1
    task.cancel()
    await asyncio.wait({task})
    await until(lambda: not mailboxes._tasks)
    assert await redis.zcard("{attachment-gateway}:mailbox:a/g:slots") == 0
    assert await redis.hvals("{attachment-gateway}:mailbox:a/g:bytes") == [b"0"]


async def test_redis_is_away() -> None:
    """Who comes is told, and so is who pauses; nothing hangs."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    mailboxes = RedisMailboxes(redis_client(f"redis://127.0.0.1:{port}"), MailboxLimits())
    with pytest.raises(LedgerUnavailable) as caught:
        await goes_at_once(mailboxes)
    assert caught.value.why.startswith("Redis: Error 111 connecting to ")
    with pytest.raises(LedgerUnavailable):
        await mailboxes.pause("a/g", 1)
    await mailboxes.close()


async def test_a_redis_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command has a limit of its own, whatever the client has."""
    monkeypatch.setattr(mailbox_store, "COMMAND_TIMEOUT_S", 0.1)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        client = Redis(port=silent.getsockname()[1], socket_timeout=None)
        mailboxes = RedisMailboxes(client, MailboxLimits())
        with pytest.raises(LedgerUnavailable) as caught:
            await goes_at_once(mailboxes)
        assert caught.value.why == "Redis: no answer in time"
        await mailboxes.close()


async def test_leaving_without_redis_is_no_error(
    replica: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the slot was for has happened; the slot is free when its lease ends."""
    mailboxes = replica(concurrent=1)
    async with mailboxes.slot("a/g", within_s=0):
        monkeypatch.setattr(mailboxes._store, "_run", no_redis)
    monkeypatch.undo()
    assert await is_full(mailboxes)
