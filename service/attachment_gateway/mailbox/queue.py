"""One mailbox: its slots, its waiters, and what keeps a slot from beginning."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

from attachment_gateway.mailbox import (
    GRAPH_ASKED,
    SLOT_RETRY_DELAY_S,
    MailboxBusy,
    MailboxLimits,
)
from attachment_gateway.mailbox.window import UploadWindow


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a slot can't begin, and for how long; 0.0 means until a slot is released."""

    wait_s: float
    why: str

    def busy(self) -> MailboxBusy:
        """Return the error for a waiter that can't begin."""
        return MailboxBusy(retry_delay_s=self.wait_s or SLOT_RETRY_DELAY_S, why=self.why)


@dataclass(frozen=True, slots=True, eq=False)
class Waiter:
    """One wait for a slot: its counted bytes and its deadline.

    The result of `turn` is the time at which the slot began, or the error that refuses it.
    """

    size_bytes: int
    until_s: float
    turn: asyncio.Future[float | MailboxBusy]


class MailboxQueue:
    """A mailbox in use, or recently in use. Times are readings of the event loop's clock.

    `timer` is set while the head waits for a moment in time and not for the release of a slot.
    """

    __slots__ = (
        "_limits",
        "_paused_until_s",
        "_taken",
        "_waiting_bytes",
        "_window",
        "name",
        "timer",
        "waiters",
    )

    def __init__(self, name: str, limits: MailboxLimits) -> None:
        self.name = name
        self.waiters: OrderedDict[Waiter, None] = OrderedDict()  # in order of arrival
        self.timer: asyncio.TimerHandle | None = None
        self._limits = limits
        self._window = UploadWindow(limits)
        self._paused_until_s = 0.0
        self._taken = 0
        self._waiting_bytes = 0

    def obstacle(self, size_bytes: int, now_s: float) -> Obstacle | None:
        """Return why a head with `size_bytes` counted bytes can't begin now, None if it can."""
        pause_s = self._paused_until_s - now_s
        bytes_s = self._window.fits_in_s(size_bytes, now_s)
        if pause_s > 0 and pause_s >= bytes_s:
            return Obstacle(pause_s, GRAPH_ASKED)
        if bytes_s > 0:
            return Obstacle(bytes_s, self._limits.upload_bytes_reached)
        if self._limits.concurrent and self._taken >= self._limits.concurrent:
            return Obstacle(0.0, self._limits.concurrent_reached)
        return None

    def obstacle_to_last(self, now_s: float) -> Obstacle | None:
        """Return why the last waiter can't begin now, if all before it begin as early as possible.

        None only if there is nothing to wait for.
        """
        return self.obstacle(self._waiting_bytes, now_s)

    def pause_until(self, until_s: float) -> None:
        """Let no slot begin before `until_s`."""
        self._paused_until_s = max(self._paused_until_s, until_s)

    def late(self, until_s: float) -> list[Waiter]:
        """Return the waiters whose deadline is before `until_s`."""
        return [waiter for waiter in self.waiters if waiter.until_s < until_s]

    def join(self, waiter: Waiter) -> None:
        """Add a waiter behind all others."""
        self.waiters[waiter] = None
        self._waiting_bytes += waiter.size_bytes

    def remove(self, waiter: Waiter) -> None:
        """Remove a waiter."""
        del self.waiters[waiter]
        self._waiting_bytes -= waiter.size_bytes

    def counted(self, size_bytes: int) -> int:
        """Return how many of the bytes count."""
        return self._window.counted(size_bytes)

    def begin(self, size_bytes: int, now_s: float) -> None:
        """Take a slot, and count the bytes."""
        self._taken += 1
        self._window.add(size_bytes, now_s)

    def begin_late(self, size_bytes: int, began_s: float, now_s: float) -> None:
        """Count a slot's bytes from `now_s`, when its task resumed, and not from `began_s`."""
        if now_s > began_s:
            self._window.take_back(size_bytes, began_s)
            self._window.add(size_bytes, now_s)

    def end(self) -> None:
        """Release a slot."""
        self._taken -= 1

    def undo(self, size_bytes: int, began_s: float) -> None:
        """Release a slot that was not used, and stop counting its bytes."""
        self.end()
        self.give_back(size_bytes, began_s)

    def give_back(self, size_bytes: int, began_s: float) -> None:
        """Stop counting the bytes of a slot, which may still be in use."""
        self._window.take_back(size_bytes, began_s)

    def is_idle(self, now_s: float) -> bool:
        """Tell whether there is nothing to remember."""
        return (
            not self._taken
            and not self.waiters
            and self._paused_until_s <= now_s
            and self._window.is_empty(now_s)
        )
