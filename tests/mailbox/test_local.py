"""mailbox_local: to the moment, in virtual time, whatever comes in whatever order."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvloop
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.mailbox import MailboxBusy, MailboxLimits
from attachment_gateway.mailbox.local import SWEEP_EVERY_S, LocalMailboxes
from tests.support.virtual_time import VirtualLoop, in_virtual_time

# A grain of the window is shorter than a second: what begins at whole seconds is told apart.
WINDOW_S = 10.0
NEVER_S = 10**6


def mailboxes_of(concurrent: int = 0, upload_bytes: int = 0) -> LocalMailboxes:
    return LocalMailboxes(
        MailboxLimits(concurrent=concurrent, upload_bytes=upload_bytes, upload_window_s=WINDOW_S)
    )


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def turn_at(mailboxes: LocalMailboxes, upload_bytes: int = 0, **slot: float) -> float:
    """Take a slot; when it began."""
    within_s = slot.get("within_s", NEVER_S)
    async with mailboxes.slot("a/g", upload_bytes=upload_bytes, within_s=within_s):
        began_s = now_s()
        await asyncio.sleep(slot.get("lasts_s", 0))
    return began_s


@in_virtual_time
async def test_the_window_opens_to_the_moment() -> None:
    """A slot begins when its bytes fit, and so does the next one if its bytes do."""
    mailboxes, began_s = mailboxes_of(upload_bytes=10), now_s()
    sizes = (10, 4, 4, 4, 7)
    begun = await asyncio.gather(*(turn_at(mailboxes, size) for size in sizes))
    assert [each - began_s for each in begun] == [0, 10, 10, 20, 30]


@in_virtual_time
async def test_a_queue_that_is_too_long_is_told_at_once() -> None:
    """What waits before it counts: its bytes can't come in the same window."""
    mailboxes, began_s = mailboxes_of(upload_bytes=10), now_s()
    waiting = [asyncio.create_task(turn_at(mailboxes, 10)) for _ in range(3)]
    await asyncio.sleep(1)
    with pytest.raises(MailboxBusy) as caught:
        await turn_at(mailboxes, 10, within_s=28.5)
    assert caught.value.retry_delay_s == 29
    assert now_s() == began_s + 1
    waiting.append(asyncio.create_task(turn_at(mailboxes, 10, within_s=29.5)))
    await asyncio.sleep(0)
    waiting.pop(2).cancel()
    await asyncio.sleep(0)
    assert await turn_at(mailboxes, 10, within_s=29.5) == began_s + 30
    assert await asyncio.gather(*waiting) == [began_s, began_s + 10, began_s + 20]


@in_virtual_time
async def test_the_next_in_line_is_told_when_its_time_has_become_too_short() -> None:
    """A slot that began later than it might have leaves the next one too little time."""
    mailboxes, began_s = mailboxes_of(concurrent=1, upload_bytes=10), now_s()
    first = asyncio.create_task(turn_at(mailboxes, 1, lasts_s=5))
    second = asyncio.create_task(turn_at(mailboxes, 9))
    third = asyncio.create_task(turn_at(mailboxes, 5, within_s=12))
    with pytest.raises(MailboxBusy) as caught:
        await third
    assert (now_s(), caught.value.retry_delay_s) == (began_s + 5, 10)
    assert (await first, await second) == (began_s, began_s + 5)


@in_virtual_time
async def test_a_turn_that_comes_at_the_last_moment_is_had() -> None:
    """The time is over when it is over, and not while the slot may still come with it."""
    mailboxes, began_s = mailboxes_of(concurrent=1), now_s()
    first = asyncio.create_task(turn_at(mailboxes, lasts_s=5))
    await asyncio.sleep(0)
    await mailboxes.pause("a/g", 8)
    assert await turn_at(mailboxes, within_s=8) == began_s + 8
    await first


@in_virtual_time
async def test_a_moment_in_which_all_happens() -> None:
    """The window opens for the head as the time of another ends, who can't begin for the head."""
    mailboxes, began_s = mailboxes_of(concurrent=1, upload_bytes=10), now_s()
    await turn_at(mailboxes, 10)
    await asyncio.sleep(5)
    hurried = asyncio.create_task(turn_at(mailboxes, within_s=5))
    head = asyncio.create_task(turn_at(mailboxes, 1, lasts_s=1))
    late = asyncio.create_task(turn_at(mailboxes, within_s=5))
    assert await hurried == began_s + 5
    with pytest.raises(MailboxBusy):
        await late
    assert now_s() == began_s + 10
    assert await head == began_s + 10


@in_virtual_time
async def test_a_longer_hold_is_waited_for() -> None:
    """A pause that comes while one is waited for moves the moment, and never forward."""
    mailboxes, began_s = mailboxes_of(), now_s()
    await mailboxes.pause("a/g", 5)
    waiting = asyncio.create_task(turn_at(mailboxes))
    await asyncio.sleep(3)
    await mailboxes.pause("a/g", 7)
    await mailboxes.pause("a/g", 1)
    assert await waiting == began_s + 10


@in_virtual_time
async def test_what_lasts_longest_is_told() -> None:
    """Of a pause and the window, and the delay and the reason are of the same."""
    mailboxes = mailboxes_of(upload_bytes=10)
    await turn_at(mailboxes, 10)
    for pause_s, delay_s, why in (
        (5, 10, "our own limit of 10 bytes in 10 s"),
        (10, 10, "Graph asked to wait"),
        (15, 15, "Graph asked to wait"),
    ):
        await mailboxes.pause("a/g", pause_s)
        with pytest.raises(MailboxBusy) as caught:
            await turn_at(mailboxes, 1, within_s=9)
        assert (caught.value.retry_delay_s, caught.value.why) == (delay_s, why)


@in_virtual_time
async def test_who_is_cancelled_when_its_turn_comes_gives_it_on() -> None:
    """In the very moment: the slot and the bytes go to the next."""
    mailboxes, began_s = mailboxes_of(concurrent=1, upload_bytes=10), now_s()
    async with mailboxes.slot("a/g", upload_bytes=1, within_s=0):
        second = asyncio.create_task(turn_at(mailboxes, 9))
        third = asyncio.create_task(turn_at(mailboxes, 9))
        await asyncio.sleep(5)
    second.cancel()
    assert await third == began_s + 5
    assert second.cancelled()


@in_virtual_time
async def test_idle_mailboxes_are_forgotten() -> None:
    """At once where nothing is to be remembered, else when others are used after it is over."""
    mailboxes = mailboxes_of(concurrent=4, upload_bytes=10)
    async with mailboxes.slot("a/none", within_s=0):
        assert list(mailboxes._queues) == ["a/none"]
    assert not mailboxes._queues
    for number in range(5000):
        async with mailboxes.slot(f"a/{number}", upload_bytes=10, within_s=0):
            pass
        await mailboxes.pause(f"b/{number}", 5)
    assert len(mailboxes._queues) == 10_000
    await asyncio.sleep(SWEEP_EVERY_S)
    async with mailboxes.slot("a/none", within_s=0):
        assert list(mailboxes._queues) == ["a/none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Who comes, when, with what; and when it is cancelled, counted from its coming."""

    mailbox: str
    comes_s: int
    upload_bytes: int
    within_s: int
    lasts_s: int
    cancelled_after_s: int | None


@dataclass(slots=True)
class Seen:
    """What became of a caller; times are None for what didn't happen."""

    caller: Caller
    arrived_s: float
    began_s: float | None = None
    gone_s: float = 0.0  # no longer waiting: begun, refused or cancelled
    ended_s: float = 0.0
    busy: MailboxBusy | None = None


@dataclass(slots=True)
class Resources:
    """All that happens, in the order in which it does."""

    mailboxes: LocalMailboxes
    limits: MailboxLimits
    seen: list[Seen] = field(default_factory=list)
    holds: list[tuple[str, float, float]] = field(default_factory=list)

    async def call(self, caller: Caller) -> None:
        await asyncio.sleep(caller.comes_s)
        seen = Seen(caller, arrived_s=now_s())
        self.seen.append(seen)
        if caller.cancelled_after_s is not None:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(caller.cancelled_after_s, task.cancel)
        try:
            async with self.mailboxes.slot(
                caller.mailbox, upload_bytes=caller.upload_bytes, within_s=caller.within_s
            ):
                seen.began_s = seen.gone_s = now_s()
                self.check_limits(caller.mailbox)
                await asyncio.sleep(caller.lasts_s)
        except MailboxBusy as busy:
            seen.busy = busy
        finally:
            seen.gone_s = now_s() if seen.began_s is None else seen.began_s
            seen.ended_s = now_s()

    async def pause(self, mailbox: str, at_s: int, for_s: int) -> None:
        await asyncio.sleep(at_s)
        self.holds.append((mailbox, now_s(), now_s() + for_s))
        await self.mailboxes.pause(mailbox, for_s)

    def begun(self, mailbox: str) -> Iterator[Seen]:
        return (
            each
            for each in self.seen
            if each.caller.mailbox == mailbox and each.began_s is not None
        )

    def bytes_at(self, mailbox: str, at_s: float) -> int:
        return sum(
            min(each.caller.upload_bytes, self.limits.upload_bytes)
            for each in self.begun(mailbox)
            if each.began_s is not None and at_s - WINDOW_S < each.began_s <= at_s
        )

    def inside_at(self, mailbox: str, at_s: float) -> int:
        """Count those inside just after a moment; one that has not ended yet counts."""
        return sum(
            each.began_s is not None and each.began_s <= at_s and not 0 < each.ended_s <= at_s
            for each in self.begun(mailbox)
        )

    def check_limits(self, mailbox: str) -> None:
        """Check what must pause whenever a slot begins."""
        if self.limits.concurrent:
            assert self.inside_at(mailbox, now_s()) <= self.limits.concurrent
        if self.limits.upload_bytes:
            assert self.bytes_at(mailbox, now_s()) <= self.limits.upload_bytes
        for held, since_s, until_s in self.holds:
            assert held != mailbox or since_s == now_s() or until_s <= now_s()

    def could_begin(self, who: Seen, at_s: float) -> bool:
        """Tell whether nothing stood in the way just after a moment: it waited for nothing."""
        mailbox = who.caller.mailbox
        size_bytes = min(who.caller.upload_bytes, self.limits.upload_bytes)
        before = self.seen[: self.seen.index(who)]
        return not (
            any(each.caller.mailbox == mailbox and each.gone_s > at_s for each in before)
            or any(h == mailbox and began_s <= at_s < end_s for h, began_s, end_s in self.holds)
            or (size_bytes and self.bytes_at(mailbox, at_s) + size_bytes > self.limits.upload_bytes)
            or 0 < self.limits.concurrent <= self.inside_at(mailbox, at_s)
        )

    def moments(self) -> list[float]:
        """Return every moment at which anything may have changed."""
        found = {each.arrived_s for each in self.seen} | {each.gone_s for each in self.seen}
        found |= {each.ended_s for each in self.seen} | {end_s for _, _, end_s in self.holds}
        found |= {each.began_s + WINDOW_S for each in self.seen if each.began_s is not None}
        return sorted(found)

    def check_history(self) -> None:
        """Check the order, that nobody waited for nothing, and that each was told the truth."""
        for mailbox in {each.caller.mailbox for each in self.seen}:
            began = [each.began_s for each in self.begun(mailbox) if each.began_s is not None]
            assert began == sorted(began)
        for who in self.seen:
            for at_s in self.moments():
                assert not (who.arrived_s <= at_s < who.gone_s and self.could_begin(who, at_s))
            if who.busy is not None:
                left_s = who.arrived_s + who.caller.within_s - who.gone_s
                assert left_s >= 0
                assert left_s == 0 or who.busy.retry_delay_s > left_s


CALLERS = st.builds(
    Caller,
    mailbox=st.sampled_from(["a/g", "a/g", "a/h"]),
    comes_s=st.integers(0, 20),
    upload_bytes=st.sampled_from([0, 1, 30, 50, 100, 150]),
    within_s=st.sampled_from([0, 1, 5, 30, NEVER_S]),
    lasts_s=st.integers(0, 6),
    cancelled_after_s=st.none() | st.integers(0, 20),
)
HOLDS = st.tuples(st.sampled_from(["a/g", "a/h"]), st.integers(0, 20), st.integers(1, 15))


@given(
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([0, 100]),
    st.lists(CALLERS, max_size=25),
    st.lists(HOLDS, max_size=3),
)
def test_whatever_happens(
    concurrent: int, upload_bytes: int, callers: list[Caller], holds: list[tuple[str, int, int]]
) -> None:
    """The limits pause, in order, nobody waits for nothing, and at the end nothing is kept."""

    async def happen() -> None:
        limits = MailboxLimits(
            concurrent=concurrent, upload_bytes=upload_bytes, upload_window_s=WINDOW_S
        )
        mailboxes = LocalMailboxes(limits)
        resources = Resources(mailboxes, limits)
        work = [
            *(resources.call(each) for each in callers),
            *(resources.pause(*each) for each in holds),
        ]
        results = await asyncio.gather(*work, return_exceptions=True)
        unforeseen = [each for each in results if isinstance(each, Exception)]
        assert unforeseen == []
        resources.check_history()
        await asyncio.sleep(WINDOW_S + SWEEP_EVERY_S)
        async with mailboxes.slot("another", within_s=0):
            queues = list(mailboxes._queues)
            # Where nothing is limited, nothing is counted either, unless a pause is remembered.
            assert queues == ["another"] or not (queues or concurrent or upload_bytes)
        loop: Any = asyncio.get_running_loop()
        timers = loop._scheduled
        assert [timer for timer in timers if not timer.cancelled()] == []

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(happen())


def test_on_the_loop_of_the_service() -> None:
    """Its timers go by the millisecond; the window is kept all the same."""

    async def happen() -> None:
        mailboxes = LocalMailboxes(
            MailboxLimits(concurrent=2, upload_bytes=10, upload_window_s=0.1)
        )
        begun = await asyncio.gather(
            *(turn_at(mailboxes, 5, within_s=60, lasts_s=0.0003) for _ in range(12))
        )
        for earlier, later in zip(begun, begun[2:], strict=False):
            assert later - earlier > 0.09  # read a moment after they were counted

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(happen())
