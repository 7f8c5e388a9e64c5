"""The mailboxes' limits, kept in Redis for all replicas together.

In each process the calls that wait for a mailbox form a queue, and only its head has a ticket in
Redis. So the order of arrival holds within each process, and among the heads of all processes.
"""

import asyncio
import math
import random
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from uuid import uuid4

from redis.asyncio import Redis

from attachment_gateway.errors import LedgerUnavailable
from attachment_gateway.mailbox import MAX_PAUSE_S, MailboxBusy, MailboxLimits
from attachment_gateway.mailbox.local import LocalMailboxes
from attachment_gateway.mailbox.queue import Obstacle
from attachment_gateway.mailbox.store import Begun, MailboxStore

_T = TypeVar("_T")

# The head of a queue polls Redis after a random delay, so that replicas don't poll all at once. The
# delay is at least POLL_MIN_S; its upper limit doubles up to POLL_MAX_S. When a slot of the same
# process is released, the head polls at once.
POLL_MIN_S = 0.02
POLL_MAX_S = 0.1

# How often the leases of held slots are renewed: twice in each lease of SLOT_LEASE_S.
RENEW_EVERY_S = 10.0

# How long the release of a slot may delay a response that is known already. The release itself goes
# on after that.
RELEASE_TIMEOUT_S = 1.0

# How long `close` waits for releases that are not finished.
CLOSE_TIMEOUT_S = 5.0

# The limits of a process's queue in front of Redis: one head at a time.
_HEAD_ONLY = MailboxLimits(concurrent=1, upload_bytes=0)


@dataclass(eq=False, slots=True, kw_only=True)
class _Ticket:
    """One slot, wanted or begun.

    `asked` is the last poll, and `obstacle` its result, which lasts until `obstacle_until_s`.
    `poll_now` is set when the next poll should not wait. `begun` is how the slot began, and
    `unused` the same if its bytes shall not be counted.
    """

    mailbox: str
    size_bytes: int
    until_s: float
    name: str = field(default_factory=lambda: uuid4().hex)
    asked: asyncio.Task[Begun | Obstacle] | None = None
    obstacle: Obstacle | None = None
    obstacle_until_s: float = -math.inf
    poll_now: asyncio.Event = field(default_factory=asyncio.Event)
    begun: Begun | None = None
    unused: Begun | None = None

    def give_back(self) -> None:
        """Stop counting the bytes when the slot ends; see mailbox.Slot."""
        self.unused = self.begun

    def left_s(self) -> float:
        """Return how long it may still wait."""
        return self.until_s - _now_s()

    def met(self, obstacle: Obstacle) -> None:
        """Record the obstacle that a poll has returned."""
        self.obstacle = obstacle
        self.obstacle_until_s = _now_s() + obstacle.wait_s


class RedisMailboxes:
    """Mailboxes whose slots are shared by all processes that use the same Redis.

    `slot` and `pause` also raise LedgerUnavailable. `close` also closes the client.
    """

    def __init__(self, client: Redis, limits: MailboxLimits) -> None:
        self._limits = limits
        self._store = MailboxStore(client, limits)
        self._queues = LocalMailboxes(_HEAD_ONLY)
        self._heads: dict[str, _Ticket] = {}
        self._begun: set[_Ticket] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._renewing: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def slot(
        self, mailbox: str, *, upload_bytes: int = 0, within_s: float
    ) -> AsyncIterator[_Ticket]:
        """Wait for a slot; see Mailboxes."""
        size_bytes = min(upload_bytes, self._limits.upload_bytes)
        ticket = _Ticket(mailbox=mailbox, size_bytes=size_bytes, until_s=_now_s() + within_s)
        await self._wait_in_queue(ticket)
        self._keep(ticket)
        try:
            yield ticket
        finally:
            self._begun.discard(ticket)
            releasing = self._spawn(self._release(ticket))
            await asyncio.wait({releasing}, timeout=RELEASE_TIMEOUT_S)

    async def pause(self, mailbox: str, for_s: float) -> None:
        """Let no slot begin for `for_s`; see Mailboxes."""
        if not for_s > 0:
            return
        await asyncio.shield(self._spawn(self._store.pause(mailbox, min(for_s, MAX_PAUSE_S))))
        self._poll_now(mailbox)

    async def close(self) -> None:
        """Finish the releases, within CLOSE_TIMEOUT_S, and close the connections."""
        if self._renewing is not None:
            self._renewing.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
        await self._store.close()

    async def _wait_in_queue(self, ticket: _Ticket) -> None:
        try:
            async with self._queues.slot(ticket.mailbox, within_s=ticket.left_s()):
                await self._wait_as_head(ticket)
        except MailboxBusy as busy:
            if (
                busy.why == _HEAD_ONLY.of(ticket.mailbox).concurrent_reached
            ):  # its time ended behind the head
                raise self._obstacle_of_head(ticket.mailbox).busy() from None
            raise

    def _obstacle_of_head(self, mailbox: str) -> Obstacle:
        """Return the last known obstacle to the head, and so to all waiters behind it."""
        head = self._heads.get(mailbox)
        if head is None or head.obstacle is None:
            return Obstacle(0.0, self._limits.of(mailbox).concurrent_reached)
        return Obstacle(max(head.obstacle_until_s - _now_s(), 0.0), head.obstacle.why)

    async def _wait_as_head(self, ticket: _Ticket) -> None:
        self._heads[ticket.mailbox] = ticket
        try:
            await self._poll_until_begun(ticket)
        except BaseException:
            self._spawn(self._withdraw(ticket))
            raise
        finally:
            del self._heads[ticket.mailbox]

    async def _poll_until_begun(self, ticket: _Ticket) -> None:
        poll_s = POLL_MIN_S
        while isinstance(answer := await self._poll(ticket), Obstacle):
            left_s = ticket.left_s()
            if left_s <= 0 or answer.wait_s > left_s:
                raise answer.busy()
            ticket.met(answer)
            self._queues.refuse_late(ticket.mailbox, answer)
            poll_s = min(2 * poll_s, POLL_MAX_S)
            delay_s = random.uniform(POLL_MIN_S, poll_s)  # noqa: S311 spreads polls, keeps no secret
            with suppress(TimeoutError):
                async with asyncio.timeout(min(delay_s, answer.wait_s or delay_s, left_s)):
                    await ticket.poll_now.wait()
            ticket.poll_now.clear()
        ticket.begun = answer

    async def _poll(self, ticket: _Ticket) -> Begun | Obstacle:
        """Begin the slot, or keep the ticket's position in Redis's queue.

        The poll runs to its end even if the caller is cancelled: its result tells whether there is
        a slot to release.
        """
        ticket.asked = self._spawn(
            self._store.enter(ticket.mailbox, ticket.name, size_bytes=ticket.size_bytes)
        )
        return await asyncio.shield(ticket.asked)

    async def _withdraw(self, ticket: _Ticket) -> None:
        """Release what the last poll may have taken."""
        found: Begun | Obstacle | None = None
        if ticket.asked is not None:
            with suppress(LedgerUnavailable):
                found = await ticket.asked
        ticket.unused = found if isinstance(found, Begun) else None
        await self._release(ticket)

    async def _release(self, ticket: _Ticket) -> None:
        # Without Redis the slot ends with its lease. The call's result is known and stays the same.
        with suppress(LedgerUnavailable):
            await self._store.release(
                ticket.mailbox, ticket.name, size_bytes=ticket.size_bytes, unused=ticket.unused
            )
        self._poll_now(ticket.mailbox)

    def _poll_now(self, mailbox: str) -> None:
        if mailbox in self._heads:
            self._heads[mailbox].poll_now.set()

    def _keep(self, ticket: _Ticket) -> None:
        self._begun.add(ticket)
        if self._renewing is None or self._renewing.done():
            self._renewing = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while self._begun:
            await asyncio.sleep(RENEW_EVERY_S)
            for ticket in tuple(self._begun):
                with suppress(LedgerUnavailable):
                    await self._store.renew(ticket.mailbox, ticket.name)

    def _spawn(self, work: Coroutine[Any, Any, _T]) -> asyncio.Task[_T]:
        """Run it as a task, to its end even if the caller is cancelled."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # keeps asyncio from logging an error for which no caller waits


def _now_s() -> float:
    return asyncio.get_running_loop().time()
