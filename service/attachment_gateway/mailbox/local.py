"""The mailboxes' limits, kept in one process."""

import asyncio
from dataclasses import dataclass, replace
from typing import Self

from attachment_gateway.mailbox import MAX_PAUSE_S, MailboxBusy, MailboxLimits
from attachment_gateway.mailbox.queue import MailboxQueue, Obstacle, Waiter

# The least time between two searches for idle mailboxes. The use of any mailbox starts a search.
SWEEP_EVERY_S = 30.0

# The shortest timer. Event loops round timers and may call slightly early; `_advance` then sets the
# timer again.
TICK_S = 0.001


@dataclass(frozen=True, slots=True)
class _Begun:
    """A slot in use: its counted bytes, and the time at which they were counted."""

    queue: MailboxQueue
    size_bytes: int
    began_s: float


class LocalMailboxes:
    """Mailboxes whose slots are shared by the calls of this process."""

    def __init__(self, limits: MailboxLimits) -> None:
        self._limits = limits
        self._is_unlimited = not (limits.concurrent or limits.upload_bytes)
        self._queues: dict[str, MailboxQueue] = {}
        self._sweep_at_s = 0.0

    def slot(self, mailbox: str, *, upload_bytes: int = 0, within_s: float) -> "_Slot":
        """Wait for a slot; see Mailboxes."""
        return _Slot(self, mailbox, upload_bytes, within_s)

    async def begin(self, mailbox: str, upload_bytes: int, within_s: float) -> _Begun | None:
        """Begin a slot when it can begin; return None if there is no limit."""
        if self._is_unlimited and not self._queues:  # without queues there is no pause either
            return None
        now_s = asyncio.get_running_loop().time()
        queue = self._queue(mailbox, now_s)
        size_bytes = queue.counted(upload_bytes)
        if not queue.waiters and queue.obstacle(size_bytes, now_s) is None:
            queue.begin(size_bytes, now_s)
        else:
            now_s = await self._wait(queue, size_bytes, now_s + within_s)
        return _Begun(queue, size_bytes, now_s)

    def end(self, queue: MailboxQueue) -> None:
        """Release a slot."""
        queue.end()
        self._advance(queue)

    async def pause(self, mailbox: str, for_s: float) -> None:
        """Let no slot begin for `for_s`; see Mailboxes."""
        if not for_s > 0:
            return
        now_s = asyncio.get_running_loop().time()
        until_s = now_s + min(for_s, MAX_PAUSE_S)
        queue = self._queue(mailbox, now_s)
        queue.pause_until(until_s)
        for waiter in queue.late(until_s):
            _refuse(queue, waiter, queue.obstacle(waiter.size_bytes, now_s))
        self._advance(queue)

    def refuse_late(self, mailbox: str, obstacle: Obstacle) -> None:
        """Refuse the waiters whose time ends before an obstacle that Redis has reported."""
        queue = self._queues.get(mailbox)
        if queue is not None:
            for waiter in queue.late(asyncio.get_running_loop().time() + obstacle.wait_s):
                _refuse(queue, waiter, obstacle)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _queue(self, mailbox: str, now_s: float) -> MailboxQueue:
        if now_s >= self._sweep_at_s:
            self._sweep(now_s)
        queue = self._queues.get(mailbox)
        if queue is None:
            queue = MailboxQueue(mailbox, self._limits.of(mailbox))
            self._queues[mailbox] = queue
        return queue

    def _sweep(self, now_s: float) -> None:
        for queue in list(self._queues.values()):
            self._forget_if_idle(queue, now_s)
        self._sweep_at_s = now_s + SWEEP_EVERY_S

    def _forget_if_idle(self, queue: MailboxQueue, now_s: float) -> None:
        if queue.is_idle(now_s) and self._queues.get(queue.name) is queue:
            del self._queues[queue.name]

    async def _wait(self, queue: MailboxQueue, size_bytes: int, until_s: float) -> float:
        """Wait for a slot; return when it began."""
        loop = asyncio.get_running_loop()
        waiter = Waiter(size_bytes, until_s, loop.create_future())
        queue.join(waiter)
        self._advance(queue)
        self._refuse_if_late(queue, waiter)
        deadline = loop.call_at(until_s, self._time_is_over, queue, waiter)
        try:
            turn = await waiter.turn
        except asyncio.CancelledError:
            self._withdraw(queue, waiter)
            raise
        finally:
            deadline.cancel()
        if isinstance(turn, MailboxBusy):
            raise turn
        now_s = loop.time()
        queue.begin_late(size_bytes, turn, now_s)
        return now_s

    def _advance(self, queue: MailboxQueue) -> None:
        """Begin the waiters that can begin, in order, and set a timer for the next one."""
        now_s = asyncio.get_running_loop().time()
        if queue.timer is not None:
            queue.timer.cancel()
            queue.timer = None
        while queue.waiters:
            head = next(iter(queue.waiters))
            obstacle = queue.obstacle(head.size_bytes, now_s)
            if head.turn.cancelled():  # its task is about to call `_withdraw`
                queue.remove(head)
            elif obstacle is None:
                queue.remove(head)
                queue.begin(head.size_bytes, now_s)
                head.turn.set_result(now_s)
            elif obstacle.wait_s > head.until_s - now_s:
                _refuse(queue, head, obstacle)
            else:
                self._advance_after(queue, obstacle)
                return
        self._forget_if_idle(queue, now_s)

    def _advance_after(self, queue: MailboxQueue, obstacle: Obstacle) -> None:
        if obstacle.wait_s:
            delay_s = max(obstacle.wait_s, TICK_S)
            queue.timer = asyncio.get_running_loop().call_later(delay_s, self._advance, queue)

    def _refuse_if_late(self, queue: MailboxQueue, waiter: Waiter) -> None:
        """Refuse the last waiter if it is known that its slot can't begin in time."""
        now_s = asyncio.get_running_loop().time()
        obstacle = queue.obstacle_to_last(now_s)
        if obstacle is not None and obstacle.wait_s > waiter.until_s - now_s:
            _refuse(queue, waiter, obstacle)

    def _time_is_over(self, queue: MailboxQueue, waiter: Waiter) -> None:
        # The head may be able to begin at this moment, and would be counted as waiting otherwise.
        self._advance(queue)
        _refuse(queue, waiter, queue.obstacle_to_last(asyncio.get_running_loop().time()))

    def _withdraw(self, queue: MailboxQueue, waiter: Waiter) -> None:
        """Remove a cancelled waiter, or undo the slot that it got while it was cancelled."""
        if waiter in queue.waiters:
            queue.remove(waiter)
        elif not waiter.turn.cancelled() and isinstance(began_s := waiter.turn.result(), float):
            queue.undo(waiter.size_bytes, began_s)
        self._advance(queue)


class _Slot:
    """One slot as a context manager; a generator would cost more than begin and end together."""

    __slots__ = ("_begun", "_mailbox", "_mailboxes", "_upload_bytes", "_within_s")

    def __init__(
        self, mailboxes: LocalMailboxes, mailbox: str, upload_bytes: int, within_s: float
    ) -> None:
        self._mailboxes = mailboxes
        self._mailbox = mailbox
        self._upload_bytes = upload_bytes
        self._within_s = within_s
        self._begun: _Begun | None = None

    async def __aenter__(self) -> Self:
        self._begun = await self._mailboxes.begin(self._mailbox, self._upload_bytes, self._within_s)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._begun is not None:
            self._mailboxes.end(self._begun.queue)

    def give_back(self) -> None:
        """Stop counting the bytes; see mailbox.Slot."""
        if self._begun is not None:
            self._begun.queue.give_back(self._begun.size_bytes, self._begun.began_s)
            self._begun = replace(self._begun, size_bytes=0)


def _refuse(queue: MailboxQueue, waiter: Waiter, obstacle: Obstacle | None) -> None:
    if obstacle is not None and not waiter.turn.done():
        queue.remove(waiter)
        waiter.turn.set_result(obstacle.busy())
