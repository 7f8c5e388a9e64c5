"""The mailboxes' limits, kept in one process."""

import asyncio

from attachment_gateway.mailbox import MAX_HOLD_S, MailboxBusy, MailboxLimits
from attachment_gateway.mailbox.queue import Line, Obstacle, Waiter

# How often, when any mailbox is used, those that have become idle are looked for.
SWEEP_EVERY_S = 30.0

# Event loops round timers to a tick of theirs, and may call a little early; then it is set anew.
TICK_S = 0.001


class LocalMailboxes:
    """Turns at mailboxes for everything in this process."""

    def __init__(self, limits: MailboxLimits) -> None:
        self._limits = limits
        self._is_unlimited = not (limits.concurrent or limits.upload_bytes)
        self._lines: dict[str, Line] = {}
        self._sweep_at_s = 0.0

    def turn(self, mailbox: str, *, upload_bytes: int = 0, within_s: float) -> "_Turn":
        """Wait for a turn; see Mailboxes."""
        return _Turn(self, mailbox, upload_bytes, within_s)

    async def begin(self, mailbox: str, upload_bytes: int, within_s: float) -> Line | None:
        """Begin a turn, when it can; return what it is to end in, None where nothing counts it."""
        if self._is_unlimited and not self._lines:  # nor has Graph asked for a hold
            return None
        now_s = asyncio.get_running_loop().time()
        line = self._line(mailbox, now_s)
        size_bytes = line.counted(upload_bytes)
        if not line.waiters and line.obstacle(size_bytes, now_s) is None:
            line.begin(size_bytes, now_s)
        else:
            await self._wait(line, size_bytes, now_s + within_s)
        return line

    def end(self, line: Line) -> None:
        """End a turn."""
        line.end()
        self._move_on(line)

    async def hold(self, mailbox: str, for_s: float) -> None:
        """Let no turn begin for so long; see Mailboxes."""
        if not for_s > 0:
            return
        now_s = asyncio.get_running_loop().time()
        until_s = now_s + min(for_s, MAX_HOLD_S)
        line = self._line(mailbox, now_s)
        line.hold_until(until_s)
        for waiter in line.late(until_s):
            _refuse(line, waiter, line.obstacle(waiter.size_bytes, now_s))
        self._move_on(line)

    def refuse_late(self, mailbox: str, obstacle: Obstacle) -> None:
        """Refuse those in line who can't outlast an obstacle that is known from elsewhere."""
        line = self._lines.get(mailbox)
        if line is not None:
            for waiter in line.late(asyncio.get_running_loop().time() + obstacle.wait_s):
                _refuse(line, waiter, obstacle)

    async def close(self) -> None:
        """Do nothing: there are no connections."""

    def _line(self, mailbox: str, now_s: float) -> Line:
        if now_s >= self._sweep_at_s:
            self._sweep(now_s)
        line = self._lines.get(mailbox)
        if line is None:
            line = self._lines[mailbox] = Line(mailbox, self._limits)
        return line

    def _sweep(self, now_s: float) -> None:
        for line in list(self._lines.values()):
            self._forget_if_idle(line, now_s)
        self._sweep_at_s = now_s + SWEEP_EVERY_S

    def _forget_if_idle(self, line: Line, now_s: float) -> None:
        if line.is_idle(now_s) and self._lines.get(line.name) is line:
            del self._lines[line.name]

    async def _wait(self, line: Line, size_bytes: int, until_s: float) -> None:
        loop = asyncio.get_running_loop()
        waiter = Waiter(size_bytes, until_s, loop.create_future())
        line.join(waiter)
        self._move_on(line)
        self._refuse_if_late(line, waiter)
        patience = loop.call_at(until_s, self._time_is_over, line, waiter)
        try:
            told = await waiter.told
        except asyncio.CancelledError:
            self._withdraw(line, waiter)
            raise
        finally:
            patience.cancel()
        if isinstance(told, MailboxBusy):
            raise told
        line.begin_late(size_bytes, told, loop.time())

    def _move_on(self, line: Line) -> None:
        """Let begin who can, in order, and have the next one looked at when its time comes."""
        now_s = asyncio.get_running_loop().time()
        if line.timer is not None:
            line.timer.cancel()
            line.timer = None
        while line.waiters:
            head = next(iter(line.waiters))
            obstacle = line.obstacle(head.size_bytes, now_s)
            if head.told.cancelled():  # it is about to withdraw
                line.leave(head)
            elif obstacle is None:
                line.leave(head)
                line.begin(head.size_bytes, now_s)
                head.told.set_result(now_s)
            elif obstacle.wait_s > head.until_s - now_s:
                _refuse(line, head, obstacle)
            else:
                self._look_again(line, obstacle)
                return
        self._forget_if_idle(line, now_s)

    def _look_again(self, line: Line, obstacle: Obstacle) -> None:
        if obstacle.wait_s:
            delay_s = max(obstacle.wait_s, TICK_S)
            line.timer = asyncio.get_running_loop().call_later(delay_s, self._move_on, line)

    def _refuse_if_late(self, line: Line, waiter: Waiter) -> None:
        """Refuse the last in line, if it is known that its turn can't come in its time."""
        now_s = asyncio.get_running_loop().time()
        obstacle = line.obstacle_to_last(now_s)
        if obstacle is not None and obstacle.wait_s > waiter.until_s - now_s:
            _refuse(line, waiter, obstacle)

    def _time_is_over(self, line: Line, waiter: Waiter) -> None:
        self._move_on(
            line
        )  # the head's time may come at this very moment, and then it's in the way
        _refuse(line, waiter, line.obstacle_to_last(asyncio.get_running_loop().time()))

    def _withdraw(self, line: Line, waiter: Waiter) -> None:
        """Undo what a waiter has, or was given at the moment in which it was cancelled."""
        if waiter in line.waiters:
            line.leave(waiter)
        elif not waiter.told.cancelled() and isinstance(began_s := waiter.told.result(), float):
            line.undo(waiter.size_bytes, began_s)
        self._move_on(line)


class _Turn:
    """One turn, as a context; a generator would take longer than the turn's beginning and end."""

    __slots__ = ("_line", "_mailbox", "_mailboxes", "_upload_bytes", "_within_s")

    def __init__(
        self, mailboxes: LocalMailboxes, mailbox: str, upload_bytes: int, within_s: float
    ) -> None:
        self._mailboxes = mailboxes
        self._mailbox = mailbox
        self._upload_bytes = upload_bytes
        self._within_s = within_s
        self._line: Line | None = None

    async def __aenter__(self) -> None:
        self._line = await self._mailboxes.begin(self._mailbox, self._upload_bytes, self._within_s)

    async def __aexit__(self, *_: object) -> None:
        if self._line is not None:
            self._mailboxes.end(self._line)


def _refuse(line: Line, waiter: Waiter, obstacle: Obstacle | None) -> None:
    if obstacle is not None and not waiter.told.done():
        line.leave(waiter)
        waiter.told.set_result(obstacle.busy())
