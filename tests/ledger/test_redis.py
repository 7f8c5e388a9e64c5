"""ledger.redis: what is in it; one that is away, and one that is set up wrongly."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger import (
    Acquired,
    Created,
    EndedCreated,
    EndedUnknown,
    Lease,
    LedgerUnavailable,
    Queued,
    redis_client,
)
from attachment_gateway.ledger import redis as redis_module
from attachment_gateway.ledger.redis import RedisLedger
from attachment_gateway.ledger.redis_client import CONNECTIONS
from tests.support.redis_server import RedisServer, redis_server
from tests.support.three_ledgers import empty_ledgers

A = Lease(holder="a", post="g/p", request_id="r1", fingerprint=b"f")
B = Lease(holder="b", post="g/p")


@asynccontextmanager
async def opened(url: str, retention_s: float = 1000) -> AsyncIterator[RedisLedger]:
    ledger = await RedisLedger.open(url, settle_s=15, retention_s=retention_s)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """The Redis that is shared; nothing is in it."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        await client.config_resetstat()
        yield client


@pytest.fixture
async def ledger(redis: Redis, redis_url: str) -> AsyncIterator[RedisLedger]:
    """A ledger in it, on its own clock."""
    async with opened(redis_url) as ledger:
        yield ledger


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """A Redis of the test's own."""
    with redis_server() as server:
        yield server


async def fault(url: str) -> str:
    with pytest.raises(SettingError) as caught:
        async with opened(url):
            pass
    return str(caught.value)


async def why_away(ledger: RedisLedger) -> str:
    with pytest.raises(LedgerUnavailable) as caught:
        await ledger.acquire(A)
    return caught.value.why


# What is in it.


async def test_its_own_clock(ledger: RedisLedger) -> None:
    """Spans are Redis's, to the microsecond."""
    assert await ledger.acquire(A) == Acquired()
    assert await ledger.record_sending(A, settles_in_s=60, is_new_attempt=True)
    await asyncio.sleep(0.01)
    first = await ledger.acquire(A)
    assert isinstance(first, Acquired)
    assert first.unsettled is not None
    assert first.unsettled.began_ago_s >= 0.01
    assert first.unsettled.began_ago_s + first.unsettled.settles_in_s == pytest.approx(60)


async def test_keys_have_one_hash_tag_and_end_by_themselves(
    ledger: RedisLedger, redis: Redis
) -> None:
    """So that a cluster takes them, and nothing stays for ever, whatever becomes of the gateway."""
    for number in range(5):
        lease = Lease(holder=f"h{number}", post=f"g/{number % 3}", request_id=f"r{number}")
        await ledger.acquire(lease)
        await ledger.record_sending(lease, settles_in_s=60, is_new_attempt=True)
        if number == 1:
            await ledger.release(lease, EndedUnknown(settles_in_s=5000))
        if number == 2:
            await ledger.release(lease, EndedCreated("x"))
    keys = {key: await redis.ttl(key) async for key in redis.scan_iter()}
    assert len(keys) == 10
    for key, ttl_s in keys.items():
        assert key.startswith(b"{attachment-gateway}:ledger:")
        # What is left unsettled until then, and all of its post's, are kept as long.
        unsettled = key.endswith((b"queue:g/1", b"rows:g/1"))
        assert (5900 if unsettled else 900) < ttl_s <= (6002 if unsettled else 5002)


async def test_attachments_of_a_busy_post_end_too(redis_url: str, tmp_path: Path) -> None:
    """Each after its own time, though the key lives on with the next."""
    async with empty_ledgers("redis", tmp_path, redis_url) as ledgers:
        ledger = await ledgers.open()
        for attachment_id in ("x", "y", "z"):
            await ledger.release(B, EndedCreated(attachment_id))
            await ledgers.after(600)
        async with Redis.from_url(redis_url) as client:
            key = "{attachment-gateway}:ledger:claimed:g/p"
            assert await client.zrange(key, 0, -1) == [b"y", b"z"]


async def test_an_idle_post_has_no_key(ledger: RedisLedger, redis: Redis) -> None:
    """Its queue ends with the last who leaves."""
    await ledger.acquire(B)
    await ledger.release(B, EndedUnknown(settles_in_s=0))
    await ledger.acquire(A)
    await ledger.release(A, EndedCreated("x"))
    assert {key async for key in redis.scan_iter()} == {
        b"{attachment-gateway}:ledger:entry:r1",
        b"{attachment-gateway}:ledger:claimed:g/p",
    }


async def test_a_cluster_takes_the_keys() -> None:
    """A node that has all slots runs the scripts: all of one's keys are in one of them."""
    with redis_server("--cluster-enabled", "yes") as server:
        client: Any = Redis.from_url(server.url)  # half of its methods have no types
        async with client as node:
            await node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while (await node.execute_command("CLUSTER INFO"))["cluster_state"] != "ok":
                pass
        async with opened(server.url) as ledger:
            assert await ledger.acquire(A) == Acquired()


# A Redis that is away.


async def test_it_is_away_and_comes_back(server: RedisServer) -> None:
    """Each call says so meanwhile, and nothing has to be started again."""
    async with opened(server.url) as ledger:
        assert await ledger.acquire(A) == Acquired()
        server.stop()
        assert (await why_away(ledger)).startswith("Redis: Error 111 connecting to ")
        for lost in (
            ledger.find(A),
            ledger.renew(A),
            ledger.record_sending(A, settles_in_s=1, is_new_attempt=True),
            ledger.release(A, EndedCreated("x")),
            ledger.claimed("g/p"),
        ):
            with pytest.raises(LedgerUnavailable):
                await lost
        server.start()
        assert await ledger.acquire(A) == Acquired()


async def test_it_is_away_at_first(server: RedisServer) -> None:
    """The gateway starts without it, and asks how it is set up when it is there."""
    server.stop()
    async with opened(server.url) as ledger:
        await why_away(ledger)
        server.start()
        assert await ledger.acquire(A) == Acquired()


async def test_it_forgets_the_script(ledger: RedisLedger, redis: Redis) -> None:
    """A failover or a restart does that; it is sent again."""
    await ledger.acquire(A)
    await redis.script_flush()
    assert await ledger.acquire(B) == Queued()


async def test_it_does_not_answer(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that hangs isn't waited for longer than is named; what it does later harms nobody."""
    monkeypatch.setattr(redis_client, "ANSWER_TIMEOUT_S", 0.2)
    async with opened(server.url) as ledger:
        assert await ledger.acquire(A) == Acquired()
        with server.hanging():
            assert (await why_away(ledger)).startswith("Redis: Timeout reading from")
            monkeypatch.setattr(redis_module, "METHOD_TIMEOUT_S", 0.1)
            assert await why_away(ledger) == "Redis: no answer in time"
            monkeypatch.undo()
        assert await ledger.acquire(A) == Acquired()


async def test_an_answer_is_lost(redis: Redis, redis_url: str) -> None:
    """The script is run once more, on another connection, and changes nothing then."""
    await redis.script_load(redis_module.SCRIPT)
    async with losing_answers(redis_url) as (url, lose), opened(url) as ledger:
        assert await ledger.acquire(A) == Acquired()
        lose.set()
        assert await ledger.record_sending(A, settles_in_s=60, is_new_attempt=True)
        lose.set()
        await ledger.release(A, EndedCreated("x"))
        lose.set()
        assert isinstance(await ledger.acquire(A), Created)
        lose.set()
        assert await ledger.acquire(B) == Acquired()
        assert await ledger.claimed("g/p") == {"x"}
        ran = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
        assert ran == 6 + 4


@asynccontextmanager
async def losing_answers(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """A way to Redis that breaks off when an answer comes while the event is set, and clears it."""
    lose = asyncio.Event()
    port = int(url.rpartition(":")[2].partition("/")[0])
    tasks: set[asyncio.Task[None]] = set()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        with closing(writer):
            while data := await reader.read(65536):
                if answers and lose.is_set():
                    lose.clear()
                    break
                writer.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", port)
        for task in (
            asyncio.create_task(pump(reader, redis_writer, answers=False)),
            asyncio.create_task(pump(redis_reader, writer, answers=True)),
        ):
            tasks.add(task)

    proxy = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with proxy:
        yield f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/0", lose
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_callers_that_are_cancelled_break_nothing(ledger: RedisLedger) -> None:
    """More of them than there are connections; each script runs to its end."""
    for _ in range(3):
        tasks = [asyncio.create_task(ledger.claimed("g/p")) for _ in range(2 * CONNECTIONS)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
    assert await ledger.acquire(A) == Acquired()


async def test_closing_finishes_what_is_under_way(redis: Redis, redis_url: str) -> None:
    """A script that was sent is awaited."""
    async with opened(redis_url) as ledger:
        task = asyncio.create_task(ledger.acquire(A))
        await asyncio.sleep(0)
    assert await task == Acquired()


# A Redis that is set up wrongly.


async def test_one_that_may_forget_is_refused(server: RedisServer) -> None:
    """With what to set."""
    async with Redis.from_url(server.url) as client:
        await client.config_set("maxmemory-policy", "allkeys-lru")
    assert await fault(server.url) == (
        "ledger's Redis has the maxmemory-policy 'allkeys-lru', by which it may forget what was "
        "sent; set it to 'noeviction', or give the gateway a Redis of its own"
    )


async def test_one_that_turns_out_to_forget_is_not_used(server: RedisServer) -> None:
    """When it was away at the start, that shows later; it is used when it is set right."""
    server.stop()
    async with opened(server.url) as ledger:
        server.options = ("--maxmemory-policy", "volatile-ttl")
        server.start()
        assert "maxmemory-policy 'volatile-ttl'" in await why_away(ledger)
        async with Redis.from_url(server.url) as client:
            await client.config_set("maxmemory-policy", "noeviction")
        assert await ledger.acquire(A) == Acquired()


async def test_one_that_is_full(server: RedisServer) -> None:
    """It is away, with nothing half done, until there is room; what only gives back goes on."""
    async with opened(server.url) as ledger, Redis.from_url(server.url) as client:
        await ledger.acquire(B)
        await client.config_set("maxmemory", 1)
        assert "command not allowed when used memory" in await why_away(ledger)
        await client.config_set("maxmemory", 0)
        await ledger.release(B, EndedUnknown(settles_in_s=0))
        assert await ledger.acquire(Lease(holder="c", post="g/p")) == Acquired()
        assert not await ledger.renew(A)


async def test_a_password() -> None:
    """It lets in; a wrong one, or none, is told, and none is ever in a sentence."""
    with redis_server("--requirepass", "s3cret") as server:
        url = server.url.removeprefix("redis://")
        async with opened(f"redis://:s3cret@{url}") as ledger:
            assert await ledger.acquire(A) == Acquired()
            server.stop()
            assert "s3cret" not in await why_away(ledger)
            server.start()
        for wrong in ("", ":wr0ng@", "nobody:wr0ng@"):
            sentence = await fault(f"redis://{wrong}{url}")
            assert sentence.startswith("ledger's Redis doesn't take its user and password (")
            assert "wr0ng" not in sentence


async def test_a_user_with_few_rights() -> None:
    """It needs INFO, which tells how Redis is set up, and the sentence says so."""
    few = "--user gateway on >s3cret ~{attachment-gateway}:* +@all -@dangerous"
    with redis_server(*few.split()) as server:
        url = f"redis://gateway:s3cret@{server.url.removeprefix('redis://')}"
        assert (await fault(url)).startswith("ledger's Redis doesn't let its user ask for INFO")
        async with Redis.from_url(server.url) as client:
            await client.acl_setuser("gateway", enabled=True, commands=["+info"])
        async with opened(url) as ledger:
            assert await ledger.acquire(A) == Acquired()


async def test_tls() -> None:
    """With an authority that the URL names; one that nobody knows isn't trusted."""
    with redis_server(tls=True) as server:
        async with opened(server.url) as ledger:
            assert await ledger.acquire(A) == Acquired()
        async with opened(server.url.partition("?")[0]) as ledger:
            assert "CERTIFICATE_VERIFY_FAILED" in await why_away(ledger)
        async with opened(server.url.replace("localhost", "127.0.0.1")) as ledger:
            assert "CERTIFICATE_VERIFY_FAILED" in await why_away(ledger)


async def test_a_certificate_that_is_not_there() -> None:
    """That is told before anything is connected."""
    assert await fault("rediss://localhost?ssl_ca_certs=/none.pem") == (
        "ledger has ssl_ca_certs '/none.pem', which is no file; name a PEM file"
    )
