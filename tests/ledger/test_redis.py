"""ledger.redis: its keys, a Redis that is unavailable, and a Redis that is set up wrongly."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from typing import Any

import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger import (
    Acquired,
    Created,
    EndedCreated,
    EndedUnchanged,
    EndedUnknown,
    InProgress,
    Lease,
    LedgerUnavailable,
    Queued,
    Sending,
    redis_client,
)
from attachment_gateway.ledger import redis as redis_module
from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.redis import RedisLedger
from attachment_gateway.ledger.redis_client import CONNECTIONS
from tests.support.redis_server import RedisServer, redis_server

A = Lease(holder="a", post="g/p", request_id="r1", fingerprint=b"f")
B = Lease(holder="b", post="g/p")
SENDING = Sending(settles_in_s=60, wall_s=1e9, baseline=b"ids")


@asynccontextmanager
async def opened(url: str, retention_s: float = 1000) -> AsyncIterator[RedisLedger]:
    ledger = await RedisLedger.open(url, settle_s=15, retention_s=retention_s)
    try:
        yield ledger
    finally:
        await ledger.close()


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[Redis]:
    """A client of the shared Redis, emptied."""
    async with Redis.from_url(redis_url) as client:
        await client.flushall()
        await client.config_resetstat()
        yield client


@pytest.fixture
async def ledger(redis: Redis, redis_url: str) -> AsyncIterator[RedisLedger]:
    """A ledger in the shared Redis, on Redis's clock."""
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


async def why_unavailable(ledger: RedisLedger, lease: Lease = A) -> str:
    with pytest.raises(LedgerUnavailable) as caught:
        await ledger.acquire(lease)
    return caught.value.why


# The keys.


async def test_keys_have_one_hash_tag_and_expire_once_they_have_ended(
    ledger: RedisLedger, redis: Redis
) -> None:
    """Every key has the same hash tag, for a cluster; what is held or unsettled never expires."""
    for number in range(5):
        lease = Lease(holder=f"h{number}", post=f"g/{number % 3}", request_id=f"r{number}")
        await ledger.acquire(lease)
        await ledger.record_sending(lease, SENDING)
        if number == 1:
            await ledger.release(lease, EndedUnknown(settles_in_s=5000))
        if number in {2, 3}:
            await ledger.release(lease, EndedCreated("x"))
    ttls = {key.decode(): await redis.ttl(key) async for key in redis.scan_iter()}
    prefix = "{attachment-gateway}:ledger:"
    assert all(key.startswith(prefix) for key in ttls)
    kept = {key.removeprefix(prefix) for key, ttl_s in ttls.items() if ttl_s == -1}
    assert kept == {
        "marker",
        "queue:g/0",
        "entry:r0",
        "queue:g/1",
        "entry:r1",
        "entry:r4",
        "claimed:g/0",
    }
    ended = {key.removeprefix(prefix): ttl_s for key, ttl_s in ttls.items() if ttl_s != -1}
    assert set(ended) == {"queue:g/2", "entry:r2", "entry:r3", "claimed:g/2"}
    assert 10 < ended["queue:g/2"] <= 15
    assert all(900 < ended[key] <= 1000 for key in ended if key != "queue:g/2")


async def test_each_attachment_of_a_busy_post_expires(redis: Redis, redis_url: str) -> None:
    """Each attachment expires after its own retention, though the key stays for newer ones."""
    ledger = await RedisLedger.open(redis_url, settle_s=0.1, retention_s=0.5, lease_s=0.1)
    async with closing_later(ledger):
        await ledger.release(B, EndedCreated("x"))
        await asyncio.sleep(0.3)
        await ledger.release(B, EndedCreated("y"))
        assert await ledger.claimed("g/p") == {"x", "y"}
        await asyncio.sleep(0.3)
        await ledger.release(B, EndedCreated("z"))
        assert await ledger.claimed("g/p") == {"y", "z"}


@asynccontextmanager
async def closing_later(ledger: RedisLedger) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await ledger.close()


# Clocks: each process has its own, and watches.


class Machine:
    """A process on a machine of its own, with a clock that the test moves."""

    def __init__(self, boot_id: str) -> None:
        self.now = 5000.0
        self.clock = BootClock(boot_id=boot_id, now_s=lambda: self.now)
        self.ledgers: list[RedisLedger] = []

    async def open(self, url: str) -> RedisLedger:
        ledger = await RedisLedger.open(url, settle_s=15, retention_s=1000, clock=self.clock)
        self.ledgers.append(ledger)
        return ledger


@pytest.fixture
async def machines() -> AsyncIterator[tuple[Machine, Machine]]:
    """Two machines, whose ledgers are closed at the end."""
    both = Machine("one"), Machine("two")
    yield both
    for machine in both:
        for ledger in machine.ledgers:
            await ledger.close()


async def test_a_lease_is_over_when_a_process_has_watched_it_unrenewed(
    redis: Redis, redis_url: str, machines: tuple[Machine, Machine]
) -> None:
    """A taker counts a lease from when it has first seen it, whatever the holder's clock says."""
    one, two = machines
    holder, taker = await one.open(redis_url), await two.open(redis_url)
    await holder.acquire(A, sending=SENDING)
    one.now += 1000
    two.now += 1000
    again = Lease(holder="c", post="g/p", request_id="r1", fingerprint=b"f")
    assert await taker.acquire(again) == InProgress(lease_left_s=10)
    two.now += 9
    assert await taker.acquire(again) == InProgress(lease_left_s=1)
    one.now += 1
    await holder.renew(A, settles_in_s=60)
    assert await taker.acquire(again) == InProgress(lease_left_s=10)
    two.now += 10
    taken = await taker.acquire(again)
    assert isinstance(taken, Acquired)
    [attempt] = taken.attempts
    assert (attempt.settles_in_s, attempt.wall_s, attempt.baseline) == (50, None, b"ids")


async def test_the_senders_clocks_count_on_its_own_machine_only(
    redis: Redis, redis_url: str, machines: tuple[Machine, Machine]
) -> None:
    """On the sender's machine the moment of the send is known, elsewhere only the first sight."""
    one, two = machines
    first, neighbour, far = [await each.open(redis_url) for each in (one, one, two)]
    await first.acquire(A, sending=SENDING)
    one.now += 7
    await first.release(A, EndedUnknown(settles_in_s=15))
    one.now += 3
    for ledger, began_ago_s, wall_s in ((neighbour, 10, 1e9), (far, 0, None)):
        again = Lease(holder=f"h{wall_s}", post="g/p", request_id="r1", fingerprint=b"f")
        acquired = await ledger.acquire(again)
        assert isinstance(acquired, Acquired)
        [attempt] = acquired.attempts
        assert (attempt.began_ago_s, attempt.wall_s) == (began_ago_s, wall_s)
        await ledger.release(again, EndedUnchanged())


# Data that Redis loses.


async def test_an_emptied_redis_is_noticed(
    redis: Redis, redis_url: str, machines: tuple[Machine, Machine]
) -> None:
    """After FLUSHALL nothing begins until what may have been lost has settled."""
    one, two = machines
    ledger, other = await one.open(redis_url), await two.open(redis_url)
    await ledger.acquire(A, sending=SENDING)
    await redis.flushall()
    with capture_logs() as log:
        assert "may have lost data" in await why_unavailable(other, B)
    assert [each["event"] for each in log] == ["ledger_emptied"]
    assert await ledger.renew(A, settles_in_s=60)  # written again by its holder
    two.now += 24
    assert "may have lost data" in await why_unavailable(other, B)
    late = await two.open(redis_url)
    assert "may have lost data" in await why_unavailable(late, B)
    two.now += 1
    again = Lease(holder="c", post="g/p", request_id="r1", fingerprint=b"f")
    assert isinstance(await other.acquire(again), InProgress)
    assert await ledger.record_absent(A)


async def test_a_server_that_takes_over_is_noticed(
    server: RedisServer, machines: tuple[Machine, Machine]
) -> None:
    """After a change of the server's run id nothing begins for a lease."""
    one, _ = machines
    ledger = await one.open(server.url)
    await ledger.release(B, EndedCreated("x"))
    async with Redis.from_url(server.url) as client:
        await client.config_set("appendonly", "yes")
        await client.config_set("appendfsync", "always")
        while (await client.info("persistence"))["aof_rewrite_in_progress"]:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await ledger.release(B, EndedCreated("y"))
    server.options = ("--appendonly", "yes")
    server.stop()
    server.start()
    with capture_logs() as log:
        assert "another one than before" in await why_unavailable(ledger, B)
    assert [each["event"] for each in log] == ["ledger_server_changed"]
    one.now += 9
    assert "may have lost data" in await why_unavailable(ledger, B)
    one.now += 1
    assert await ledger.acquire(B) == Acquired()


async def test_the_scripts_run_on_a_cluster_node() -> None:
    """A cluster node with all hash slots runs the scripts, as their keys share one hash slot."""
    with redis_server("--cluster-enabled", "yes") as server:
        client: Any = Redis.from_url(server.url)  # half of its methods have no types
        async with client as node:
            await node.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
            while (await node.execute_command("CLUSTER INFO"))["cluster_state"] != "ok":
                pass
        async with opened(server.url) as ledger:
            assert await ledger.acquire(A) == Acquired()


# A Redis that is unavailable.


async def test_each_call_fails_until_redis_is_back(
    server: RedisServer, machines: tuple[Machine, Machine]
) -> None:
    """Every method raises LedgerUnavailable while Redis is down, and works when it is back."""
    one, _ = machines
    ledger = await one.open(server.url)
    assert await ledger.acquire(A) == Acquired()
    server.stop()
    assert (await why_unavailable(ledger)).startswith("Redis: Error 111 connecting to ")
    for method in (
        ledger.find(A),
        ledger.look(A),
        ledger.renew(A),
        ledger.record_sending(A, SENDING),
        ledger.record_absent(A),
        ledger.release(A, EndedCreated("x")),
        ledger.claimed("g/p"),
    ):
        with pytest.raises(LedgerUnavailable):
            await method
    server.start()
    await why_unavailable(ledger)  # it is another server,
    one.now += 10
    await why_unavailable(ledger)  # and has lost its data
    one.now += 25
    assert await ledger.acquire(A) == Acquired()


async def test_a_ledger_opens_without_redis(server: RedisServer) -> None:
    """A ledger opens while Redis is down, and works when Redis is up."""
    server.stop()
    async with opened(server.url) as ledger:
        await why_unavailable(ledger)
        server.start()
        assert await ledger.acquire(A) == Acquired()


async def test_a_flushed_script_is_sent_again(ledger: RedisLedger, redis: Redis) -> None:
    """A script that Redis has flushed is sent again."""
    await ledger.acquire(A)
    await redis.script_flush()
    assert await ledger.acquire(B) == Queued()


async def test_a_hanging_redis_times_out(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call to a hanging Redis ends after a timeout, and works when Redis responds again."""
    monkeypatch.setattr(redis_client, "ANSWER_TIMEOUT_S", 0.2)
    async with opened(server.url) as ledger:
        assert await ledger.acquire(A) == Acquired()
        with server.hanging():
            assert (await why_unavailable(ledger)).startswith("Redis: Timeout reading from")
            monkeypatch.setattr(redis_module, "METHOD_TIMEOUT_S", 0.1)
            assert await why_unavailable(ledger) == "Redis: no answer in time"
            monkeypatch.undo()
        assert await ledger.acquire(A) == Acquired()


async def test_a_script_whose_response_is_lost_is_run_again(redis: Redis, redis_url: str) -> None:
    """A script whose response is lost is run again on another connection, with the same result."""
    await redis.script_load(redis_module.SCRIPT)
    async with losing_responses(redis_url) as (url, drop_next), opened(url) as ledger:
        assert await ledger.acquire(A) == Acquired()
        drop_next.set()
        assert await ledger.record_sending(A, SENDING)
        drop_next.set()
        await ledger.release(A, EndedCreated("x"))
        drop_next.set()
        assert isinstance(await ledger.acquire(A), Created)
        drop_next.set()
        assert await ledger.acquire(B) == Acquired()
        assert await ledger.claimed("g/p") == {"x"}
        ran = (await redis.info("commandstats"))["cmdstat_evalsha"]["calls"]
        assert ran == 5 + 4


@asynccontextmanager
async def losing_responses(url: str) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """Yield the URL of a proxy to Redis, and an event that has it drop the next response."""
    drop_next = asyncio.Event()
    port = int(url.rpartition(":")[2].partition("/")[0])
    tasks: set[asyncio.Task[None]] = set()

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, responses: bool
    ) -> None:
        with closing(writer):
            while data := await reader.read(65536):
                if responses and drop_next.is_set():
                    drop_next.clear()
                    break
                writer.write(data)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", port)
        for task in (
            asyncio.create_task(pump(reader, redis_writer, responses=False)),
            asyncio.create_task(pump(redis_reader, writer, responses=True)),
        ):
            tasks.add(task)

    proxy = await asyncio.start_server(connected, "127.0.0.1", 0)
    async with proxy:
        yield f"redis://127.0.0.1:{proxy.sockets[0].getsockname()[1]}/0", drop_next
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_cancelled_calls_leave_the_connections_usable(ledger: RedisLedger) -> None:
    """Cancelling more calls than there are connections leaves the ledger usable."""
    for _ in range(3):
        tasks = [asyncio.create_task(ledger.claimed("g/p")) for _ in range(2 * CONNECTIONS)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert all(task.cancelled() for task in tasks)
    assert await ledger.acquire(A) == Acquired()


async def test_closing_waits_for_scripts_that_were_sent(redis: Redis, redis_url: str) -> None:
    """`close` waits for a script that was sent, and its call returns the result."""
    async with opened(redis_url) as ledger:
        task = asyncio.create_task(ledger.acquire(A))
        await asyncio.sleep(0)
    assert await task == Acquired()


# A Redis that is set up wrongly.


async def test_a_redis_that_evicts_keys_is_refused(server: RedisServer) -> None:
    """A Redis whose maxmemory-policy evicts keys is refused with what to set."""
    async with Redis.from_url(server.url) as client:
        await client.config_set("maxmemory-policy", "allkeys-lru")
    assert await fault(server.url) == (
        "ledger's Redis has the maxmemory-policy 'allkeys-lru', by which it may forget what was "
        "sent; set it to 'noeviction', or give the gateway a Redis of its own"
    )


async def test_an_evicting_redis_that_starts_later_is_not_used(server: RedisServer) -> None:
    """A Redis that starts later and evicts keys isn't used until its policy is set right."""
    server.stop()
    async with opened(server.url) as ledger:
        server.options = ("--maxmemory-policy", "volatile-ttl")
        server.start()
        assert "maxmemory-policy 'volatile-ttl'" in await why_unavailable(ledger)
        async with Redis.from_url(server.url) as client:
            await client.config_set("maxmemory-policy", "noeviction")
        assert await ledger.acquire(A) == Acquired()


async def test_a_full_redis_is_unavailable_until_it_has_room(server: RedisServer) -> None:
    """A full Redis fails `acquire` without a partial change, and recovers when it has room."""
    async with opened(server.url) as ledger, Redis.from_url(server.url) as client:
        await ledger.acquire(B)
        await client.config_set("maxmemory", 1)
        assert "command not allowed when used memory" in await why_unavailable(ledger)
        await client.config_set("maxmemory", 0)
        await ledger.release(B, EndedUnknown(settles_in_s=0))
        assert await ledger.acquire(Lease(holder="c", post="g/p")) == Acquired()
        assert not await ledger.renew(A)


async def test_a_wrong_password_is_refused_and_never_told() -> None:
    """A wrong password or none is refused, and no sentence contains a password."""
    with redis_server("--requirepass", "s3cret") as server:
        url = server.url.removeprefix("redis://")
        async with opened(f"redis://:s3cret@{url}") as ledger:
            assert await ledger.acquire(A) == Acquired()
            server.stop()
            assert "s3cret" not in await why_unavailable(ledger)
            server.start()
        for wrong in ("", ":wr0ng@", "nobody:wr0ng@"):
            sentence = await fault(f"redis://{wrong}{url}")
            assert sentence.startswith("ledger's Redis doesn't take its user and password (")
            assert "wr0ng" not in sentence


async def test_a_user_needs_the_right_to_info() -> None:
    """A user without the right to INFO is refused with a sentence that says so."""
    few = "--user gateway on >s3cret ~{attachment-gateway}:* +@all -@dangerous"
    with redis_server(*few.split()) as server:
        url = f"redis://gateway:s3cret@{server.url.removeprefix('redis://')}"
        assert (await fault(url)).startswith("ledger's Redis doesn't let its user ask for INFO")
        async with Redis.from_url(server.url) as client:
            await client.acl_setuser("gateway", enabled=True, commands=["+info"])
        async with opened(url) as ledger:
            assert await ledger.acquire(A) == Acquired()


async def test_tls_trusts_only_the_authority_of_the_url() -> None:
    """Over TLS only a certificate of the URL's authority, for the URL's host, is trusted."""
    with redis_server(tls=True) as server:
        async with opened(server.url) as ledger:
            assert await ledger.acquire(A) == Acquired()
        async with opened(server.url.partition("?")[0]) as ledger:
            assert "CERTIFICATE_VERIFY_FAILED" in await why_unavailable(ledger)
        async with opened(server.url.replace("localhost", "127.0.0.1")) as ledger:
            assert "CERTIFICATE_VERIFY_FAILED" in await why_unavailable(ledger)


async def test_a_missing_certificate_file_is_refused() -> None:
    """A certificate file that doesn't exist is refused before any connection."""
    assert await fault("rediss://localhost?ssl_ca_certs=/none.pem") == (
        "ledger has ssl_ca_certs '/none.pem', which is no file; name a PEM file"
    )
