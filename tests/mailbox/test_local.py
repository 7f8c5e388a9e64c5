"""mailbox.local: exact moments in virtual time, and random sequences of slots and pauses."""

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

# A grain of this window is shorter than 1 s, so slots that begin at whole seconds stay apart.
WINDOW_S = 10.0
NEVER_S = 10**6


def mailboxes_of(concurrent: int = 0, upload_bytes: int = 0) -> LocalMailboxes:
    return LocalMailboxes(
        MailboxLimits(concurrent=concurrent, upload_bytes=upload_bytes, upload_window_s=WINDOW_S)
    )


def now_s() -> float:
    return asyncio.get_running_loop().time()


async def use_slot(mailboxes: LocalMailboxes, upload_bytes: int = 0, **options: float) -> float:
    """Use a slot; return when it began."""
    within_s = options.get("within_s", NEVER_S)
    async with mailboxes.slot("a/g", upload_bytes=upload_bytes, within_s=within_s):
        began_s = now_s()
        await asyncio.sleep(options.get("lasts_s", 0))
    return began_s


@in_virtual_time
async def test_a_slot_begins_when_its_bytes_fit() -> None:
    """Each slot begins at the moment when its bytes fit into the window."""
    mailboxes, began_s = mailboxes_of(upload_bytes=10), now_s()
    sizes = (10, 4, 4, 4, 7)
    begun = await asyncio.gather(*(use_slot(mailboxes, size) for size in sizes))
    assert [each - began_s for each in begun] == [0, 10, 10, 20, 30]


@in_virtual_time
async def test_a_queue_that_is_too_long_is_refused_at_once() -> None:
    """A request is refused at once when the queue before it fills more windows than it can wait."""
    mailboxes, began_s = mailboxes_of(upload_bytes=10), now_s()
    waiting = [asyncio.create_task(use_slot(mailboxes, 10)) for _ in range(3)]
    await asyncio.sleep(1)
    with pytest.raises(MailboxBusy) as caught:
        await use_slot(mailboxes, 10, within_s=28.5)
    assert caught.value.retry_delay_s == 29
    assert now_s() == began_s + 1
    waiting.append(asyncio.create_task(use_slot(mailboxes, 10, within_s=29.5)))
    await asyncio.sleep(0)
    waiting.pop(2).cancel()
    await asyncio.sleep(0)
    assert await use_slot(mailboxes, 10, within_s=29.5) == began_s + 30
    assert await asyncio.gather(*waiting) == [began_s, began_s + 10, began_s + 20]


@in_virtual_time
async def test_a_late_start_refuses_the_next_in_the_queue() -> None:
    """A slot that begins later than expected has the next request refused if it can't wait."""
    mailboxes, began_s = mailboxes_of(concurrent=1, upload_bytes=10), now_s()
    first = asyncio.create_task(use_slot(mailboxes, 1, lasts_s=5))
    second = asyncio.create_task(use_slot(mailboxes, 9))
    third = asyncio.create_task(use_slot(mailboxes, 5, within_s=12))
    with pytest.raises(MailboxBusy) as caught:
        await third
    assert (now_s(), caught.value.retry_delay_s) == (began_s + 5, 10)
    assert (await first, await second) == (began_s, began_s + 5)


@in_virtual_time
async def test_a_slot_begins_at_the_last_moment_of_the_wait() -> None:
    """A slot that is free at the very end of `within_s` is taken."""
    mailboxes, began_s = mailboxes_of(concurrent=1), now_s()
    first = asyncio.create_task(use_slot(mailboxes, lasts_s=5))
    await asyncio.sleep(0)
    await mailboxes.pause("a/g", 8)
    assert await use_slot(mailboxes, within_s=8) == began_s + 8
    await first


@in_virtual_time
async def test_a_refusal_at_the_moment_in_which_the_head_begins() -> None:
    """A request whose wait ends as the head of the queue begins is refused."""
    mailboxes, began_s = mailboxes_of(concurrent=1, upload_bytes=10), now_s()
    await use_slot(mailboxes, 10)
    await asyncio.sleep(5)
    hurried = asyncio.create_task(use_slot(mailboxes, within_s=5))
    head = asyncio.create_task(use_slot(mailboxes, 1, lasts_s=1))
    late = asyncio.create_task(use_slot(mailboxes, within_s=5))
    assert await hurried == began_s + 5
    with pytest.raises(MailboxBusy):
        await late
    assert now_s() == began_s + 10
    assert await head == began_s + 10


@in_virtual_time
async def test_a_longer_pause_delays_a_waiting_request() -> None:
    """A pause that comes during another delays a waiting request, and never shortens its wait."""
    mailboxes, began_s = mailboxes_of(), now_s()
    await mailboxes.pause("a/g", 5)
    waiting = asyncio.create_task(use_slot(mailboxes))
    await asyncio.sleep(3)
    await mailboxes.pause("a/g", 7)
    await mailboxes.pause("a/g", 1)
    assert await waiting == began_s + 10


@in_virtual_time
async def test_a_refusal_names_the_longer_of_pause_and_window() -> None:
    """The refusal's delay and reason are both of the longer of the pause and the window."""
    mailboxes = mailboxes_of(upload_bytes=10)
    await use_slot(mailboxes, 10)
    for pause_s, delay_s, why in (
        (5, 10, "the gateway's limit of 10 bytes in 10 s"),
        (10, 10, "Graph asked to wait"),
        (15, 15, "Graph asked to wait"),
    ):
        await mailboxes.pause("a/g", pause_s)
        with pytest.raises(MailboxBusy) as caught:
            await use_slot(mailboxes, 1, within_s=9)
        assert (caught.value.retry_delay_s, caught.value.why) == (delay_s, why)


@in_virtual_time
async def test_a_request_cancelled_as_its_slot_begins_releases_it() -> None:
    """A request that is cancelled as its slot begins releases slot and bytes to the next."""
    mailboxes, began_s = mailboxes_of(concurrent=1, upload_bytes=10), now_s()
    async with mailboxes.slot("a/g", upload_bytes=1, within_s=0):
        second = asyncio.create_task(use_slot(mailboxes, 9))
        third = asyncio.create_task(use_slot(mailboxes, 9))
        await asyncio.sleep(5)
    second.cancel()
    assert await third == began_s + 5
    assert second.cancelled()


@in_virtual_time
async def test_idle_mailboxes_are_forgotten() -> None:
    """An idle mailbox is dropped at once without bytes or a pause, else by a later sweep."""
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
class Arrival:
    """A request for a slot: when it comes, what it takes, and when it is cancelled.

    `gives_back`: it gives its bytes back as it ends, unless it is cancelled. `cancelled_after_s`
    counts from `comes_s`.
    """

    mailbox: str
    comes_s: int
    upload_bytes: int
    within_s: int
    lasts_s: int
    gives_back: bool
    cancelled_after_s: int | None


@dataclass(slots=True)
class Seen:
    """What happened to an arrival; `began_s` is None until it begins."""

    arrival: Arrival
    arrived_s: float
    began_s: float | None = None
    gone_s: float = 0.0  # begun, refused or cancelled: no longer waiting
    ended_s: float = 0.0
    gave_back_s: float | None = None
    busy: MailboxBusy | None = None


@dataclass(slots=True)
class World:
    """The mailboxes, and the history of all arrivals and pauses in their order."""

    mailboxes: LocalMailboxes
    limits: MailboxLimits
    seen: list[Seen] = field(default_factory=list)
    pauses: list[tuple[str, float, float]] = field(default_factory=list)

    async def call(self, arrival: Arrival) -> None:
        await asyncio.sleep(arrival.comes_s)
        seen = Seen(arrival, arrived_s=now_s())
        self.seen.append(seen)
        if arrival.cancelled_after_s is not None:
            task = asyncio.current_task()
            assert task is not None
            asyncio.get_running_loop().call_later(arrival.cancelled_after_s, task.cancel)
        try:
            async with self.mailboxes.slot(
                arrival.mailbox, upload_bytes=arrival.upload_bytes, within_s=arrival.within_s
            ) as slot:
                seen.began_s = seen.gone_s = now_s()
                self.check_limits(arrival.mailbox)
                await asyncio.sleep(arrival.lasts_s)
                if arrival.gives_back:
                    seen.gave_back_s = now_s()
                    slot.give_back()
        except MailboxBusy as busy:
            seen.busy = busy
        finally:
            seen.gone_s = now_s() if seen.began_s is None else seen.began_s
            seen.ended_s = now_s()

    async def pause(self, mailbox: str, at_s: int, for_s: int) -> None:
        await asyncio.sleep(at_s)
        self.pauses.append((mailbox, now_s(), now_s() + for_s))
        await self.mailboxes.pause(mailbox, for_s)

    def begun(self, mailbox: str) -> Iterator[Seen]:
        return (
            each
            for each in self.seen
            if each.arrival.mailbox == mailbox and each.began_s is not None
        )

    def bytes_at(self, mailbox: str, at_s: float) -> int:
        return sum(
            min(each.arrival.upload_bytes, self.limits.upload_bytes)
            for each in self.begun(mailbox)
            if each.began_s is not None
            and at_s - WINDOW_S < each.began_s <= at_s
            and (each.gave_back_s is None or each.gave_back_s > at_s)
        )

    def inside_at(self, mailbox: str, at_s: float) -> int:
        """Return how many slots are in use just after a moment, those without an end included."""
        return sum(
            each.began_s is not None and each.began_s <= at_s and not 0 < each.ended_s <= at_s
            for each in self.begun(mailbox)
        )

    def check_limits(self, mailbox: str) -> None:
        """Check the limits and the pauses as a slot begins."""
        if self.limits.concurrent:
            assert self.inside_at(mailbox, now_s()) <= self.limits.concurrent
        if self.limits.upload_bytes:
            assert self.bytes_at(mailbox, now_s()) <= self.limits.upload_bytes
        for paused, since_s, until_s in self.pauses:
            assert paused != mailbox or since_s == now_s() or until_s <= now_s()

    def could_begin(self, seen: Seen, at_s: float) -> bool:
        """Return whether a slot could have begun just after a moment."""
        mailbox = seen.arrival.mailbox
        size_bytes = min(seen.arrival.upload_bytes, self.limits.upload_bytes)
        before = self.seen[: self.seen.index(seen)]
        return not (
            any(each.arrival.mailbox == mailbox and each.gone_s > at_s for each in before)
            or any(
                each == mailbox and began_s <= at_s < end_s for each, began_s, end_s in self.pauses
            )
            or (size_bytes and self.bytes_at(mailbox, at_s) + size_bytes > self.limits.upload_bytes)
            or 0 < self.limits.concurrent <= self.inside_at(mailbox, at_s)
        )

    def moments(self) -> list[float]:
        """Return every moment at which anything may have changed."""
        found = {each.arrived_s for each in self.seen} | {each.gone_s for each in self.seen}
        found |= {each.ended_s for each in self.seen} | {end_s for _, _, end_s in self.pauses}
        found |= {each.began_s + WINDOW_S for each in self.seen if each.began_s is not None}
        return sorted(found)

    def check_history(self) -> None:
        """Check that slots begin in order, as early as possible, and that refusals are true."""
        for mailbox in {each.arrival.mailbox for each in self.seen}:
            began = [each.began_s for each in self.begun(mailbox) if each.began_s is not None]
            assert began == sorted(began)
        for seen in self.seen:
            for at_s in self.moments():
                assert not (seen.arrived_s <= at_s < seen.gone_s and self.could_begin(seen, at_s))
            if seen.busy is not None:
                left_s = seen.arrived_s + seen.arrival.within_s - seen.gone_s
                assert left_s >= 0
                assert left_s == 0 or seen.busy.retry_delay_s > left_s


ARRIVALS = st.builds(
    Arrival,
    mailbox=st.sampled_from(["a/g", "a/g", "a/h"]),
    comes_s=st.integers(0, 20),
    upload_bytes=st.sampled_from([0, 1, 30, 50, 100, 150]),
    within_s=st.sampled_from([0, 1, 5, 30, NEVER_S]),
    lasts_s=st.integers(0, 6),
    gives_back=st.booleans(),
    cancelled_after_s=st.none() | st.integers(0, 20),
)
PAUSES = st.tuples(st.sampled_from(["a/g", "a/h"]), st.integers(0, 20), st.integers(1, 15))


@given(
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([0, 100]),
    st.lists(ARRIVALS, max_size=25),
    st.lists(PAUSES, max_size=3),
)
def test_random_arrivals_and_pauses(
    concurrent: int, upload_bytes: int, arrivals: list[Arrival], pauses: list[tuple[str, int, int]]
) -> None:
    """Slots keep the limits, the order and the pauses, begin in time, and leave nothing behind."""

    async def happen() -> None:
        limits = MailboxLimits(
            concurrent=concurrent, upload_bytes=upload_bytes, upload_window_s=WINDOW_S
        )
        mailboxes = LocalMailboxes(limits)
        world = World(mailboxes, limits)
        work = [
            *(world.call(each) for each in arrivals),
            *(world.pause(*each) for each in pauses),
        ]
        results = await asyncio.gather(*work, return_exceptions=True)
        unforeseen = [each for each in results if isinstance(each, Exception)]
        assert unforeseen == []
        world.check_history()
        await asyncio.sleep(WINDOW_S + SWEEP_EVERY_S)
        async with mailboxes.slot("another", within_s=0):
            queues = list(mailboxes._queues)
            # Without limits no queue is kept, except for a pause.
            assert queues == ["another"] or not (queues or concurrent or upload_bytes)
        loop: Any = asyncio.get_running_loop()
        timers = loop._scheduled
        assert [timer for timer in timers if not timer.cancelled()] == []

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(happen())


def test_the_window_is_kept_on_the_loop_of_the_service() -> None:
    """The window is kept on uvloop, whose timers have a resolution of 1 ms."""

    async def happen() -> None:
        mailboxes = LocalMailboxes(
            MailboxLimits(concurrent=2, upload_bytes=10, upload_window_s=0.1)
        )
        begun = await asyncio.gather(
            *(use_slot(mailboxes, 5, within_s=60, lasts_s=0.0003) for _ in range(12))
        )
        for earlier, later in zip(begun, begun[2:], strict=False):
            assert later - earlier > 0.09  # the test reads the clock later than the window

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(happen())
