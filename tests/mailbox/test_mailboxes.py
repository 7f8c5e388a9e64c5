"""mailbox: whose limits, and what pauses of them whether they are kept in a process or in Redis."""

import asyncio
import json
import random
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis

from attachment_gateway.mailbox import (
    GRAPH_ASKED,
    SLOT_RETRY_DELAY_S,
    MailboxBusy,
    Mailboxes,
    MailboxLimits,
    mailbox_of,
)
from attachment_gateway.mailbox.local import LocalMailboxes
from attachment_gateway.mailbox.redis import RedisMailboxes
from tests.support.redis_server import redis_server

APP = "6731de76-14a6-49ae-97bc-6eba6914391e"
PATIENCE_S = 60.0

Open = Callable[..., Mailboxes]


def jwt(**claims: object) -> str:
    return jwt_of(json.dumps(claims).encode())


def jwt_of(payload: bytes) -> str:
    return f"eyJ0.{urlsafe_b64encode(payload).decode().rstrip('=')}.c2ln"


# Whose limits.


@pytest.mark.parametrize(
    ("token", "mailbox"),
    [
        (jwt(appid=APP), f"{APP}/g-1"),
        (jwt(azp=APP), f"{APP}/g-1"),
        (jwt(appid=APP, azp="other"), f"{APP}/g-1"),
        (jwt(appid="", azp=APP), f"{APP}/g-1"),
        (jwt(appid=7, azp=APP), f"{APP}/g-1"),
        (jwt(appid=APP, x="ÿ" * 500), f"{APP}/g-1"),
        (jwt(), "/g-1"),
        (jwt(appid="a/b"), "/g-1"),
        (jwt(appid="a" * 65), "/g-1"),
        (jwt(appid=["a"]), "/g-1"),
        (jwt_of(b"[]"), "/g-1"),
        (jwt_of(b'{"appid":'), "/g-1"),
        (jwt_of(b"\xff"), "/g-1"),
        (jwt_of(b"[" * 5000), "/g-1"),
        ("", "/g-1"),
        ("..", "/g-1"),
        ("opaque", "/g-1"),
        ("a.b", "/g-1"),
        ("a.é.c", "/g-1"),
        ("a.\ud800.c", "/g-1"),
        (jwt(appid=APP) + ".d", "/g-1"),
        (jwt(appid=APP, x="x" * 20_000), f"{APP}/g-1"),
    ],
)
def test_whose_limits(token: str, mailbox: str) -> None:
    """The app that the token names, where it is a token of Entra's, and the group in any case."""
    assert mailbox_of(token, "G-1") == mailbox


@given(st.text() | st.binary(max_size=200).map(jwt_of))
def test_no_token_is_too_strange(token: str) -> None:
    """Whatever comes as a token, the answer is an app's id, or none, and the group's."""
    app_id, _, group_id = mailbox_of(token, "G").rpartition("/")
    assert group_id == "g"
    assert len(app_id) <= 64


def test_the_token_is_not_in_it() -> None:
    """What names a mailbox goes into keys; the token doesn't."""
    assert "c2ln" not in mailbox_of(jwt(appid=APP), "g")
    assert "secret" not in mailbox_of("secret", "g")


def test_busy_says_so() -> None:
    """The sentence has the reason and the delay."""
    limits = MailboxLimits(concurrent=4, upload_bytes=150_000_000)
    assert limits.concurrent_reached == "our own limit of 4 requests at once"
    assert limits.upload_bytes_reached == "our own limit of 150,000,000 bytes in 300 s"
    busy = MailboxBusy(retry_delay_s=2.5, why=GRAPH_ASKED)
    assert str(busy) == "the mailbox is busy (Graph asked to wait); come again in 2.5 s"


# Turns.


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """A Redis of these tests' own."""
    with redis_server() as server:
        yield server.url


@pytest.fixture(params=["local", "redis"])
async def open_mailboxes(request: pytest.FixtureRequest) -> AsyncIterator[Open]:
    """Open mailboxes of their own, with limits by name; slots and bytes aren't limited else."""
    opened: list[Mailboxes] = []
    redis = request.getfixturevalue("redis_url") if request.param == "redis" else ""

    def open_them(concurrent: int = 0, upload_bytes: int = 0, window_s: float = 1.0) -> Mailboxes:
        limits = MailboxLimits(
            concurrent=concurrent, upload_bytes=upload_bytes, upload_window_s=window_s
        )
        opened.append(
            RedisMailboxes(Redis.from_url(redis), limits) if redis else LocalMailboxes(limits)
        )
        return opened[-1]

    yield open_them
    for each in opened:
        await each.close()
    if redis:
        async with Redis.from_url(redis) as client:
            await client.flushall()


class Visit:
    """One slot, taken by a task of its own."""

    def __init__(self, mailboxes: Mailboxes, mailbox: str = "a/g", **slot: Any) -> None:
        self.began, self.release = asyncio.Event(), asyncio.Event()
        self.began_s = 0.0
        self.task = asyncio.create_task(self._visit(mailboxes, mailbox, slot))

    async def _visit(self, mailboxes: Mailboxes, mailbox: str, slot: dict[str, Any]) -> None:
        async with mailboxes.slot(mailbox, **{"within_s": PATIENCE_S, **slot}):
            self.began_s = asyncio.get_running_loop().time()
            self.began.set()
            await self.release.wait()

    async def end(self) -> None:
        """Let it leave as soon as it has begun; raises what it raised."""
        began = asyncio.create_task(self.began.wait())
        await asyncio.wait({began, self.task}, return_when=asyncio.FIRST_COMPLETED)
        began.cancel()
        self.release.set()
        await self.task


async def queue(mailboxes: Mailboxes, *turns: dict[str, Any]) -> list[Visit]:
    """Have visits arrive one after the other, each when the one before it waits or has begun."""
    visits = []
    for slot in turns:
        visits.append(Visit(mailboxes, **slot))
        await asyncio.sleep(0.02)
    return visits


async def refused(mailboxes: Mailboxes, mailbox: str = "a/g", **slot: Any) -> MailboxBusy:
    with pytest.raises(MailboxBusy) as caught:
        async with mailboxes.slot(mailbox, **slot):
            pass
    return caught.value


async def goes_at_once(mailboxes: Mailboxes, mailbox: str = "a/g", upload_bytes: int = 0) -> None:
    async with mailboxes.slot(mailbox, upload_bytes=upload_bytes, within_s=0):
        pass


async def test_so_many_at_once_in_the_order_of_arrival(open_mailboxes: Open) -> None:
    """Of 64 who come together, four go at once and the rest as they came; never are more inside."""
    mailboxes = open_mailboxes(concurrent=4)
    inside, peak, order = 0, 0, []

    async def visit(number: int) -> None:
        nonlocal inside, peak
        async with mailboxes.slot("a/g", within_s=PATIENCE_S):
            order.append(number)
            inside += 1
            peak = max(peak, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*map(visit, range(64)))
    assert peak == 4
    assert order == list(range(64))


async def test_mailboxes_dont_wait_for_each_other(open_mailboxes: Open) -> None:
    """Four slots at each of sixteen mailboxes are all open at the same time."""
    mailboxes = open_mailboxes(concurrent=4)
    visits = [Visit(mailboxes, f"a/{number % 16}") for number in range(64)]
    await asyncio.gather(*(visit.began.wait() for visit in visits))
    await asyncio.gather(*(visit.end() for visit in visits))


async def test_a_mailbox_in_need_keeps_nobody_else(open_mailboxes: Open) -> None:
    """One that is full, held or spent is none of the others' business."""
    mailboxes = open_mailboxes(concurrent=1, upload_bytes=10)
    full, waiting = await queue(mailboxes, {"upload_bytes": 10}, {})
    await mailboxes.pause("a/held", 60)
    await goes_at_once(mailboxes, "a/other", 10)
    await goes_at_once(mailboxes, "b/g", 10)
    await full.end()
    await waiting.end()


async def test_the_bytes_may_go_in_one_burst(open_mailboxes: Open) -> None:
    """All of them at once; what comes after that waits for the window."""
    mailboxes = open_mailboxes(upload_bytes=100)
    visits = await queue(mailboxes, *[{"upload_bytes": 25}] * 5)
    assert [visit.began.is_set() for visit in visits] == [True, True, True, True, False]
    await asyncio.gather(*(visit.end() for visit in visits))
    assert visits[4].began_s - visits[0].began_s > 0.99


async def test_small_ones_dont_overtake(open_mailboxes: Open) -> None:
    """One that would fit waits behind one that doesn't yet."""
    mailboxes = open_mailboxes(upload_bytes=100)
    first, large, small, none = await queue(
        mailboxes, {"upload_bytes": 60}, {"upload_bytes": 90}, {"upload_bytes": 1}, {}
    )
    await asyncio.gather(*(visit.end() for visit in (first, large, small, none)))
    assert first.began_s + 0.99 < large.began_s <= small.began_s <= none.began_s


async def test_one_that_is_larger_than_the_window_goes_alone(open_mailboxes: Open) -> None:
    """It waits until nothing else is in the window, and nothing else goes beside it."""
    mailboxes = open_mailboxes(upload_bytes=100, window_s=0.5)
    first, huge, last = await queue(
        mailboxes, {"upload_bytes": 1}, {"upload_bytes": 1000}, {"upload_bytes": 1}
    )
    await asyncio.gather(*(visit.end() for visit in (first, huge, last)))
    assert first.began_s + 0.49 < huge.began_s
    assert huge.began_s + 0.49 < last.began_s


async def test_spent_bytes_are_told_at_once(open_mailboxes: Open) -> None:
    """Who can't outlast the window isn't kept waiting, also behind another."""
    mailboxes = open_mailboxes(upload_bytes=100, window_s=60)
    await goes_at_once(mailboxes, upload_bytes=80)
    waiting = (await queue(mailboxes, {"upload_bytes": 30, "within_s": 100}))[0]
    for upload_bytes in (30, 1):
        busy = await refused(mailboxes, upload_bytes=upload_bytes, within_s=20)
        assert 50 < busy.retry_delay_s < 61
        assert busy.why == "our own limit of 100 bytes in 60 s"
    waiting.task.cancel()
    await asyncio.wait({waiting.task})
    await goes_at_once(mailboxes, upload_bytes=20)


async def test_no_place_is_told_when_the_time_is_over(open_mailboxes: Open) -> None:
    """Nobody knows when one is free."""
    mailboxes = open_mailboxes(concurrent=2)
    visits = await queue(mailboxes, {}, {})
    began_s = asyncio.get_running_loop().time()
    for busy in await asyncio.gather(*(refused(mailboxes, within_s=0.2) for _ in range(3))):
        assert busy.retry_delay_s == SLOT_RETRY_DELAY_S
        assert busy.why == "our own limit of 2 requests at once"
    assert asyncio.get_running_loop().time() - began_s > 0.19
    await asyncio.gather(*(visit.end() for visit in visits))
    await goes_at_once(mailboxes)


@pytest.mark.parametrize("within_s", [0, -1])
async def test_at_once_or_not_at_all(open_mailboxes: Open, within_s: float) -> None:
    """Without patience, a slot is had if it is free, and not if somebody waits for it."""
    mailboxes = open_mailboxes(concurrent=1)
    async with mailboxes.slot("a/g", within_s=within_s):
        assert (await refused(mailboxes, within_s=within_s)).why.endswith("1 requests at once")
        waiting = (await queue(mailboxes, {}))[0]
        assert (await refused(mailboxes, within_s=within_s)).why.endswith("1 requests at once")
    await waiting.end()
    await goes_at_once(mailboxes)


async def test_a_hold_stops_those_who_havent_begun(open_mailboxes: Open) -> None:
    """Those who wait already, and those who come; a slot that has begun goes on."""
    mailboxes = open_mailboxes(concurrent=1)
    begun, waiting = await queue(mailboxes, {}, {})
    await mailboxes.pause("a/g", 0.5)
    held_s = asyncio.get_running_loop().time()
    await begun.end()
    late = Visit(mailboxes)
    await waiting.end()
    await late.end()
    assert held_s + 0.48 < waiting.began_s <= late.began_s


async def test_a_hold_is_told_at_once(open_mailboxes: Open) -> None:
    """To those who can't outlast it: who come, and who wait, also behind one who can."""
    mailboxes = open_mailboxes(concurrent=1)
    begun, patient, *hurried = await queue(
        mailboxes, {}, {"within_s": 90}, {"within_s": 40}, {"within_s": 30}, {"within_s": 40}
    )
    await mailboxes.pause("a/g", 60)
    for visit in hurried:
        with pytest.raises(MailboxBusy) as caught:
            await visit.task
        assert 50 < caught.value.retry_delay_s <= 60
        assert caught.value.why == GRAPH_ASKED
    busy = await refused(mailboxes, within_s=40)
    assert 50 < busy.retry_delay_s <= 60
    assert busy.why == GRAPH_ASKED
    assert not patient.task.done()
    patient.task.cancel()
    await asyncio.wait({patient.task})
    await begun.end()


async def test_a_shorter_hold_shortens_nothing(open_mailboxes: Open) -> None:
    """The longest counts; a pause of no time, or of none that can be told, is none."""
    mailboxes = open_mailboxes()
    for none in (0, -1, float("nan")):
        await mailboxes.pause("a/g", none)
    await goes_at_once(mailboxes)
    for for_s in (40, 60, 1, 0):
        await mailboxes.pause("a/g", for_s)
    assert 50 < (await refused(mailboxes, within_s=1)).retry_delay_s <= 60
    await mailboxes.pause("a/g", float("inf"))
    assert (await refused(mailboxes, within_s=1)).retry_delay_s <= 86_400


async def test_no_stampede_after_a_hold(open_mailboxes: Open) -> None:
    """The order goes on where it was, so many at once."""
    mailboxes = open_mailboxes(concurrent=2)
    await mailboxes.pause("a/g", 0.3)
    inside, peak, order = 0, 0, []

    async def visit(number: int) -> None:
        nonlocal inside, peak
        async with mailboxes.slot("a/g", within_s=PATIENCE_S):
            order.append(number)
            inside += 1
            peak = max(peak, inside)
            await asyncio.sleep(0.01)
            inside -= 1

    await asyncio.gather(*map(visit, range(12)))
    assert order == list(range(12))
    assert peak == 2


async def test_a_hold_counts_without_limits(open_mailboxes: Open) -> None:
    """Where nothing is limited everything goes, but for what Graph has asked."""
    mailboxes = open_mailboxes()
    visits = [Visit(mailboxes, upload_bytes=10**9) for _ in range(20)]
    await asyncio.gather(*(visit.began.wait() for visit in visits))
    await mailboxes.pause("a/g", 60)
    assert (await refused(mailboxes, within_s=1)).why == GRAPH_ASKED
    await asyncio.gather(*(visit.end() for visit in visits))


async def test_a_place_is_free_after_an_exception(open_mailboxes: Open) -> None:
    """However the slot ends."""
    mailboxes = open_mailboxes(concurrent=1)
    with pytest.raises(ZeroDivisionError):
        async with mailboxes.slot("a/g", within_s=0):
            raise ZeroDivisionError
    visit = (await queue(mailboxes, {}))[0]
    visit.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visit.task
    await goes_at_once(mailboxes)


async def test_who_gives_up_keeps_nothing(open_mailboxes: Open) -> None:
    """The next in the queue goes when the one before it is cancelled; the bytes are not spent."""
    mailboxes = open_mailboxes(upload_bytes=100, window_s=30)
    await goes_at_once(mailboxes, upload_bytes=50)
    large, small = await queue(mailboxes, {"upload_bytes": 60}, {"upload_bytes": 50})
    large.task.cancel()
    await small.end()
    with pytest.raises(asyncio.CancelledError):
        await large.task


async def test_a_storm_of_cancellations(open_mailboxes: Open) -> None:
    """Whenever they are cancelled, never are more inside, and at the end all is there to be had."""
    mailboxes = open_mailboxes(concurrent=3, upload_bytes=10**6, window_s=60)
    chance, inside, begun = random.Random(7), 0, 0

    async def visit(lasts_s: float) -> None:
        nonlocal inside, begun
        async with mailboxes.slot("a/g", upload_bytes=1000, within_s=PATIENCE_S):
            inside += 1
            begun += 1
            assert inside <= 3
            try:
                await asyncio.sleep(lasts_s)
            finally:
                inside -= 1

    tasks = []
    for _ in range(300):
        task = asyncio.create_task(visit(chance.uniform(0, 0.01)))
        tasks.append(task)
        if chance.random() < 0.7:
            asyncio.get_running_loop().call_later(chance.uniform(0, 0.3), task.cancel)
        if chance.random() < 0.2:
            await asyncio.sleep(0.001)
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
    visits = [Visit(mailboxes) for _ in range(3)]
    for each in visits:
        await each.end()
    async with mailboxes.slot("a/g", upload_bytes=10**6 - begun * 1000, within_s=1):
        pass
