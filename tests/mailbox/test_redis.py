"""mailbox.redis: replicas that share the limits, that die, and that lose Redis."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from attachment_gateway.ledger import LedgerUnavailable
from attachment_gateway.ledger.redis_client import redis_client
from attachment_gateway.mailbox import GRAPH_ASKED, MailboxBusy, MailboxLimits
from attachment_gateway.mailbox import redis as mailbox_redis
from attachment_gateway.mailbox import store as mailbox_store
from attachment_gateway.mailbox.queue import Obstacle
from attachment_gateway.mailbox.redis import RedisMailboxes
from attachment_gateway.mailbox.store import Begun, MailboxStore

LONG_S = 60.0
BYTES = "{attachment-gateway}:mailbox:a/g:bytes"

Open = Callable[..., RedisMailboxes]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the emptied Redis."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def replica(redis: Redis, redis_url: str) -> AsyncIterator[Open]:
    """Open a replica's mailboxes with the limits that are named, and without any other."""
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
    async with mailboxes.slot("a/g", within_s=LONG_S):
        pass


async def is_full(mailboxes: RedisMailboxes) -> bool:
    try:
        await goes_at_once(mailboxes)
    except MailboxBusy:
        return True
    return False


async def until(happened: Callable[[], bool]) -> None:
    while not happened():  # noqa: ASYNC110 - the condition has no event
        await asyncio.sleep(0.005)


async def test_replicas_share_the_slots(replica: Open) -> None:
    """Three replicas together use at most 4 slots, and each replica's begin in order."""
    replicas = [replica(concurrent=4) for _ in range(3)]
    inside, peak, order = 0, 0, list[tuple[int, int]]()

    async def visit(which: int, number: int) -> None:
        nonlocal inside, peak
        async with replicas[which].slot("a/g", within_s=LONG_S):
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
    """Bytes that one replica has begun count for the other, also after the slot's release."""
    one, other = replica(upload_bytes=100), replica(upload_bytes=100)
    await goes_at_once(one, 60)
    await goes_at_once(other, 30)
    with pytest.raises(MailboxBusy) as caught:
        await goes_at_once(one, 11)
    assert 50 < caught.value.retry_delay_s < 61
    await goes_at_once(one, 10)


async def test_replicas_begin_in_the_order_of_arrival(replica: Open) -> None:
    """Of waiting replicas, the one that came first begins first."""
    replicas = [replica(concurrent=1) for _ in range(5)]
    order = list[int]()

    async def visit(which: int) -> None:
        async with replicas[which].slot("a/g", within_s=LONG_S):
            order.append(which)

    async with replicas[0].slot("a/g", within_s=0):
        visits = []
        for which in (3, 1, 4, 2):
            visits.append(asyncio.create_task(visit(which)))
            await asyncio.sleep(0.05)
    await asyncio.gather(*visits)
    assert order == [3, 1, 4, 2]


async def test_a_small_upload_does_not_overtake_another_replicas(replica: Open) -> None:
    """A slot whose bytes would fit waits behind another replica's whose bytes don't fit yet."""
    one, other = (replica(upload_bytes=100, window_s=1.0) for _ in range(2))
    order = list[int]()

    async def visit(mailboxes: RedisMailboxes, upload_bytes: int) -> None:
        async with mailboxes.slot("a/g", upload_bytes=upload_bytes, within_s=LONG_S):
            order.append(upload_bytes)

    await goes_at_once(one, 60)
    large = asyncio.create_task(visit(one, 90))
    await asyncio.sleep(0.1)
    await asyncio.gather(large, visit(other, 1))
    assert order == [90, 1]


async def test_a_pause_applies_to_every_replica(replica: Open) -> None:
    """A pause refuses the requests that wait in another replica and can't outlast it."""
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


async def test_the_heads_obstacle_refuses_those_behind_it(replica: Open, redis: Redis) -> None:
    """What delays the head of a process's queue refuses those behind it that can't wait."""
    mailboxes = replica(upload_bytes=100)
    await goes_at_once(mailboxes, 60)

    async def visit(within_s: float) -> None:
        async with mailboxes.slot("a/g", upload_bytes=90, within_s=within_s):
            raise AssertionError

    head = asyncio.create_task(visit(90))
    behind = [asyncio.create_task(visit(30)) for _ in range(3)]
    for busy in await asyncio.gather(*behind, return_exceptions=True):
        assert isinstance(busy, MailboxBusy)
        assert busy.why == "the gateway's limit of 100 bytes in 60 s"
    head.cancel()
    await asyncio.wait({head})


async def test_only_the_head_of_a_queue_is_in_redis(replica: Open, redis: Redis) -> None:
    """Only the head of a process's queue has a ticket in Redis."""
    mailboxes = replica(concurrent=1)
    async with mailboxes.slot("a/g", within_s=0):
        waiting = [asyncio.create_task(goes_in_time(mailboxes)) for _ in range(20)]
        await asyncio.sleep(0.1)
        assert await redis.zcard("{attachment-gateway}:mailbox:a/g:queue") == 1
        assert await redis.zcard("{attachment-gateway}:mailbox:a/g:slots") == 1
    await asyncio.gather(*waiting)


async def test_every_key_expires(replica: Open, redis: Redis) -> None:
    """Every key has a time to live and the ledger's hash tag, and no other key exists."""
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


async def test_a_dead_replicas_slot_is_free_after_its_lease(
    replica: Open, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The slot and the ticket of a dead replica are free when their leases end."""
    monkeypatch.setattr(mailbox_store, "SLOT_LEASE_S", 0.4)
    monkeypatch.setattr(mailbox_store, "TICKET_LEASE_S", 0.4)
    dead, alive = replica(concurrent=1), replica(concurrent=1)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(dead.slot("a/g", within_s=0))
        waiting = asyncio.create_task(goes_in_time(dead))
        await asyncio.sleep(0.05)
        monkeypatch.setattr(dead._store, "_run", no_redis)  # a dead replica no longer reaches Redis
        assert await is_full(alive)
        await goes_in_time(alive)
        with pytest.raises(LedgerUnavailable):
            await waiting


async def test_a_slots_lease_is_not_renewed_by_another(
    replica: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dead replica's slot is free when its lease ends, though another's is being renewed."""
    monkeypatch.setattr(mailbox_store, "SLOT_LEASE_S", 0.4)
    monkeypatch.setattr(mailbox_redis, "RENEW_EVERY_S", 0.05)
    dead, alive = replica(concurrent=2), replica(concurrent=2)
    async with dead.slot("a/g", within_s=0), alive.slot("a/g", within_s=0):
        monkeypatch.setattr(dead._store, "_run", no_redis)
        await goes_in_time(alive)


async def no_redis(*_: object) -> list[int]:
    raise LedgerUnavailable("away")


async def test_a_slot_in_use_is_renewed_until_its_release(
    replica: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot in use is renewed beyond its lease, and is free after its release."""
    monkeypatch.setattr(mailbox_store, "SLOT_LEASE_S", 0.4)
    monkeypatch.setattr(mailbox_redis, "RENEW_EVERY_S", 0.05)
    one, other = replica(concurrent=1), replica(concurrent=1)
    async with one.slot("a/g", within_s=0):
        await asyncio.sleep(1)
        assert await is_full(other)
    await asyncio.sleep(0.1)
    await goes_at_once(other)
    await until(lambda: one._renewing is not None and one._renewing.done())


async def test_a_repeated_enter_counts_once(replica: Open) -> None:
    """`enter` with the same ticket counts once, as a client library may repeat a command."""
    mailboxes = replica(concurrent=2, upload_bytes=100)
    first = await mailboxes._store.enter("a/g", "ticket", size_bytes=60)
    again = await mailboxes._store.enter("a/g", "ticket", size_bytes=60)
    assert isinstance(first, Begun)
    assert first.grain is not None
    assert again == Begun(None)
    await goes_at_once(mailboxes, 40)


async def test_a_repeated_release_gives_back_once(replica: Open) -> None:
    """A repeated release gives the bytes of an unused slot back once."""
    store = replica(concurrent=2, upload_bytes=100)._store
    first = await store.enter("a/g", "first", size_bytes=60)
    other = await store.enter("a/g", "other", size_bytes=40)
    assert isinstance(first, Begun)
    assert isinstance(other, Begun)
    await store.release("a/g", "first", size_bytes=60, unused=first)
    await store.release("a/g", "first", size_bytes=60, unused=first)
    assert isinstance(await store.enter("a/g", "third", size_bytes=61), Obstacle)
    assert isinstance(await store.enter("a/g", "third", size_bytes=60), Begun)


STEPS = st.lists(
    st.tuples(st.sampled_from(["begin", "end", "give back"]), st.integers(0, 5)), max_size=30
)


@settings(max_examples=50)
@given(STEPS)
def test_the_bytes_are_the_sum_of_what_was_taken(
    redis_url: str, steps: list[tuple[str, int]]
) -> None:
    """After any steps, repeated or not, the counted bytes are those that weren't given back."""

    async def happen() -> None:
        async with Redis.from_url(redis_url) as redis:
            await redis.flushall()
            limits = MailboxLimits(concurrent=0, upload_bytes=10**6, upload_window_s=600.0)
            store, begun, taken = MailboxStore(redis, limits), dict[str, Begun](), dict[str, int]()
            for number, (step, which) in enumerate(steps):
                ticket, size_bytes = str(which), 10**which
                if step == "begin" and ticket not in begun:
                    found = await store.enter("a/g", ticket, size_bytes=size_bytes)
                    assert isinstance(found, Begun)
                    begun[ticket], taken[f"{ticket}/{number}"] = found, size_bytes
                elif step != "begin" and ticket in begun:
                    unused = begun.pop(ticket) if step == "give back" else None
                    begun.pop(ticket, None)
                    for _ in range(2):
                        await store.release("a/g", ticket, size_bytes=size_bytes, unused=unused)
                    if unused is not None:
                        taken.pop([key for key in taken if key.startswith(f"{ticket}/")][-1])
                counted = [int(each) for each in await redis.hvals(BYTES)]
                assert min(counted, default=1) > 0
                assert sum(counted) == sum(taken.values())

    asyncio.run(happen())


async def test_bytes_of_a_grain_that_is_gone_are_not_given_back(
    replica: Open, redis: Redis
) -> None:
    """A release writes no grain that has left the window, which would never expire."""
    mailboxes = replica(upload_bytes=100)
    async with mailboxes.slot("a/g", upload_bytes=60, within_s=0) as slot:
        await redis.delete(BYTES)
        slot.give_back()
    assert await redis.exists(BYTES) == 0


async def test_a_request_cancelled_at_any_step_releases_all(replica: Open, redis: Redis) -> None:
    """A request that is cancelled at any step of entering releases its slot and bytes."""
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
        assert await redis.hvals(BYTES) == []


async def test_a_slot_given_to_a_cancelled_request_is_released(
    replica: Open, redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slot that Redis gives to a request that was cancelled meanwhile is released."""
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
    assert await redis.hvals(BYTES) == []


async def test_an_unavailable_redis_fails_slot_and_pause() -> None:
    """`slot` and `pause` raise LedgerUnavailable when Redis is unavailable."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    mailboxes = RedisMailboxes(redis_client(f"redis://127.0.0.1:{port}"), MailboxLimits())
    with pytest.raises(LedgerUnavailable) as caught:
        await goes_at_once(mailboxes)
    assert caught.value.why.startswith("Redis: Error 111 connecting to ")
    with pytest.raises(LedgerUnavailable):
        await mailboxes.pause("a/g", 1)
    await mailboxes.close()


async def test_a_silent_redis_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command ends after `COMMAND_TIMEOUT_S`, also with a client without a timeout."""
    monkeypatch.setattr(mailbox_store, "COMMAND_TIMEOUT_S", 0.1)
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        client = Redis(port=silent.getsockname()[1], socket_timeout=None)
        mailboxes = RedisMailboxes(client, MailboxLimits())
        with pytest.raises(LedgerUnavailable) as caught:
            await goes_at_once(mailboxes)
        assert caught.value.why == "Redis: no answer in time"
        await mailboxes.close()


async def test_a_release_without_redis_raises_nothing(
    replica: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release without Redis raises nothing, and its slot is free when the lease ends."""
    mailboxes = replica(concurrent=1)
    async with mailboxes.slot("a/g", within_s=0):
        monkeypatch.setattr(mailboxes._store, "_run", no_redis)
    monkeypatch.undo()
    assert await is_full(mailboxes)
