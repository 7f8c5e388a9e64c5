"""Memory for calls: reserved before their messages are read, since gRPC hands out whole messages.

Callers that wait take turns, each with its calls in order of arrival; those that hold the least
memory come first, and those that lost a reservation because they were slow come last. Before all
of them come calls that have read a message and need more memory for it, so there are never more of
these than calls that may read at once. While a call waits none of its messages are read, and gRPC's
flow control stops its sender. While others wait, calls whose callers are slow lose their
reservations.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from attachment_gateway.deadline import Deadline
from attachment_gateway.errors import GatewayError, GatewayOverloaded, ReservationLost

MIB = 1024 * 1024

# The retry delay if the memory is reserved: about the time that an upload to Graph takes.
OVERLOADED_RETRY_DELAY_S = 2.0

# The most memory of all calls that wait before their first message is read, which is what gRPC has
# received of them.
WAITING_BYTES = 24 * MIB

# A caller may be late by PATIENCE_S while others wait: some round trips of a far caller. If many
# wait, each of them makes the others wait, so it is shortened, to LEAST_PATIENCE_S at the least.
PATIENCE_S = 0.5
LEAST_PATIENCE_S = 0.25
MANY_WAITING = 16

# How often to look for slow callers while others wait.
LOOK_EVERY_S = 0.05

# A message goes through several iterations of the event loop before it is taken, each as late as a
# look.
LAG_FACTOR = 4

# A call that holds less isn't ended: it would make no room.
LEAST_LOST_BYTES = MIB // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitedCaller:
    """A caller whose next message, or whose reading, a call waits for.

    `late_s`: for how long it has been late, 0 or less if it isn't. `end` ends the call.
    """

    late_s: Callable[[], float]
    end: Callable[[GatewayError], None]


class Reservation:
    """Memory that is reserved until every holder has released it.

    While a caller is `awaited`, the call may be ended if the caller is late and other calls wait.
    """

    def __init__(self, admission: "Admission", caller: str, size_bytes: int) -> None:
        self._admission = admission
        self.caller = caller
        self.size_bytes = size_bytes
        self.awaited: AwaitedCaller | None = None
        self._holders = 1

    def share(self) -> None:
        """Add a holder."""
        self._holders += 1

    def resize(self, size_bytes: int) -> bool:
        """Change the size, if there is room for it now; tell whether it was changed."""
        return self._admission.resize(self, size_bytes)

    def release(self) -> None:
        """Release the reservation of one holder; the last one frees the memory."""
        self._holders -= 1
        if self._holders == 0:
            self._admission.end(self)


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    caller: str
    size_bytes: int
    kept_bytes: int
    admitted: asyncio.Future[Reservation]


class Admission:
    """The memory of all calls in flight."""

    def __init__(self, memory_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._memory_bytes = memory_bytes
        self._free_bytes = memory_bytes
        self._held_bytes = Counter[str]()
        self._lost = Counter[str]()
        """The reservations that a caller has lost since it last had no call."""
        self._queues: dict[str, deque[_Waiting]] = {}
        self._growing = deque[_Waiting]()
        self._waiting = 0
        self._wanted_bytes = 0
        self._kept_bytes = Counter[str]()
        self._reservations: set[Reservation] = set()
        self.reservations = 0
        """The number of reservations that were ever made."""
        self._looking: asyncio.TimerHandle | None = None
        self._look_at = 0.0

    def reserve(self, caller: str, size_bytes: int) -> Reservation | None:
        """Reserve bytes, at most the whole memory; None if they aren't free now or others wait."""
        size_bytes = min(size_bytes, self._memory_bytes)
        if self._waiting or size_bytes > self._free_bytes:
            return None
        return self._reserved(caller, size_bytes)

    async def wait(self, caller: str, size_bytes: int, *, kept_bytes: int) -> Reservation:
        """Wait for a reservation, and keep `kept_bytes` meanwhile. Raises GatewayOverloaded.

        If there is no room for what calls that wait keep, the caller with the most loses its last.
        """
        wanted_bytes = min(size_bytes, self._memory_bytes)
        waiting = _Waiting(caller, wanted_bytes, kept_bytes, self._loop.create_future())
        self._kept_bytes[caller] += kept_bytes
        self._join(self._queues.setdefault(caller, deque()), waiting)
        if self._kept_bytes.total() > min(self._memory_bytes, WAITING_BYTES):
            most = max(self._queues, key=self._kept_bytes.__getitem__)
            self._refuse(self._queues[most][-1])
        return await self._admitted(waiting)

    async def grow(self, reservation: Reservation, size_bytes: int, *, kept_bytes: int) -> None:
        """Wait until a reservation has another size, before all who have read no message yet.

        It has `kept_bytes` meanwhile. If only calls that grow hold memory, none of them would end:
        then the one that holds the most is refused, by GatewayOverloaded.
        """
        kept_bytes = min(kept_bytes, reservation.size_bytes)
        more_bytes = min(size_bytes, self._memory_bytes) - kept_bytes
        waiting = _Waiting(reservation.caller, more_bytes, kept_bytes, self._loop.create_future())
        self._join(self._growing, waiting)
        self.resize(reservation, kept_bytes)
        more = await self._admitted(waiting)
        reservation.size_bytes += more.size_bytes
        self._reservations.discard(more)

    @property
    def is_idle(self) -> bool:
        """Whether no call has a reservation."""
        return not self._reservations

    def overloaded(self) -> GatewayOverloaded:
        """Return the error for a call that gets no reservation in its time."""
        return GatewayOverloaded(
            memory_bytes=self._memory_bytes,
            waiting=self._waiting,
            retry_delay_s=OVERLOADED_RETRY_DELAY_S,
        )

    def resize(self, reservation: Reservation, size_bytes: int) -> bool:
        """Change a reservation's size, if there is room; admit the calls that now fit."""
        size_bytes = min(size_bytes, self._memory_bytes)
        more_bytes = size_bytes - reservation.size_bytes
        if more_bytes > 0 and (self._waiting or more_bytes > self._free_bytes):
            return False
        reservation.size_bytes = size_bytes
        self._hold(reservation.caller, more_bytes)
        if more_bytes < 0:
            self._admit()
        return True

    def end(self, reservation: Reservation) -> None:
        """Free a reservation, and admit the calls that now fit."""
        self._reservations.discard(reservation)
        self.resize(reservation, 0)

    def _reserved(self, caller: str, size_bytes: int) -> Reservation:
        self._hold(caller, size_bytes)
        reservation = Reservation(self, caller, size_bytes)
        self._reservations.add(reservation)
        self.reservations += 1
        return reservation

    def _hold(self, caller: str, size_bytes: int) -> None:
        self._free_bytes -= size_bytes
        self._held_bytes[caller] += size_bytes
        self._forget(caller)

    # The queues: that of a caller isn't kept when it is empty.

    def _join(self, queue: deque[_Waiting], waiting: _Waiting) -> None:
        queue.append(waiting)
        self._waiting += 1
        self._wanted_bytes += waiting.size_bytes
        if self._looking is None:
            self._look_later()
        self._admit()

    def _refuse(self, waiting: _Waiting) -> None:
        self._leave(waiting)
        if not waiting.admitted.done():  # else its task is about to be cancelled
            waiting.admitted.set_exception(self.overloaded())

    async def _admitted(self, waiting: _Waiting) -> Reservation:
        try:
            return await waiting.admitted
        except asyncio.CancelledError:
            if waiting.admitted.cancelled():
                self._leave(waiting)
                self._admit()
            else:  # it was admitted before the cancellation arrived
                waiting.admitted.result().release()
            raise

    def _leave(self, waiting: _Waiting) -> None:
        """Remove a call from its queue; do nothing if it has left."""
        caller = waiting.caller
        queue = self._queues.get(caller, deque())
        if waiting in self._growing:
            self._growing.remove(waiting)
        elif waiting in queue:
            queue.remove(waiting)
            self._kept_bytes[caller] -= waiting.kept_bytes
            if not queue:
                del self._queues[caller]
        else:
            return
        self._waiting -= 1
        self._wanted_bytes -= waiting.size_bytes
        self._forget(caller)

    def _admit(self) -> None:
        while (first := self._first()) is not None:
            if first.size_bytes > self._free_bytes:
                if not self._is_blocked():
                    return
                self._refuse(max(self._growing, key=lambda each: each.kept_bytes))
                continue
            self._leave(first)
            if first.caller in self._queues:  # others come before its next call
                self._queues[first.caller] = self._queues.pop(first.caller)
            if not first.admitted.done():  # else its task is about to be cancelled
                first.admitted.set_result(self._reserved(first.caller, first.size_bytes))

    def _is_blocked(self) -> bool:
        """Tell whether all memory is held by calls that wait for more."""
        held_bytes = self._memory_bytes - self._free_bytes
        return bool(self._growing) and held_bytes == sum(each.kept_bytes for each in self._growing)

    def _first(self) -> _Waiting | None:
        """Return the call that is admitted next."""
        if self._growing:
            return self._growing[0]
        if not self._queues:
            return None
        return self._queues[min(self._queues, key=self._precedence)][0]

    def _forget(self, caller: str) -> None:
        """Forget a caller that has no call here."""
        if not self._held_bytes[caller] and caller not in self._queues:
            for each in (self._held_bytes, self._kept_bytes, self._lost):
                del each[caller]

    def _precedence(self, caller: str) -> tuple[int, int]:
        """Order the callers that wait: at last those that were slow, and those that hold much."""
        return self._lost[caller], self._held_bytes[caller]

    # Slow callers.

    def _look_later(self) -> None:
        self._look_at = self._loop.time() + LOOK_EVERY_S
        self._looking = self._loop.call_at(self._look_at, self._look)

    def _look(self) -> None:
        """End calls whose callers are late, until all that wait have room; look again later."""
        # If this look is late, the event loop was busy, and callers may seem to be late as well.
        lag_s = self._loop.time() - self._look_at
        self._looking = None
        if not self._waiting:
            return
        self._look_later()
        patience_s = max(LEAST_PATIENCE_S, PATIENCE_S * min(1, MANY_WAITING / self._waiting))
        patience_s += LAG_FACTOR * lag_s
        wanted_bytes = self._wanted_bytes - self._free_bytes
        large = [each for each in self._reservations if each.size_bytes >= LEAST_LOST_BYTES]
        awaited = [(each, each.awaited) for each in large]
        late = [(caller.late_s(), each, caller) for each, caller in awaited if caller is not None]
        for late_s, reservation, caller in sorted(late, key=lambda each: each[0], reverse=True):
            if late_s <= patience_s or wanted_bytes <= 0:
                return
            reservation.awaited = None
            self._lost[reservation.caller] += 1
            wanted_bytes -= reservation.size_bytes
            caller.end(
                ReservationLost(
                    late_s=late_s,
                    waiting=self._waiting,
                    retry_delay_s=OVERLOADED_RETRY_DELAY_S,
                )
            )


class CallAdmission:
    """A context that holds one call's reservation and releases it at the end."""

    def __init__(self, admission: Admission, caller: str, deadline: Deadline) -> None:
        self._admission = admission
        self._caller = caller
        self._deadline = deadline
        self._awaited: AwaitedCaller | None = None
        self.reservation: Reservation | None = None

    def reserve(self, size_bytes: int, *, kept_bytes: int) -> Awaitable[None] | None:
        """Reserve memory to read; if the call has to wait, return the awaitable.

        While it waits it keeps `kept_bytes`.
        """
        self.reservation = self._admission.reserve(self._caller, size_bytes)
        if self.reservation is not None:
            return None
        return self._wait(size_bytes, kept_bytes)

    def grow(self, size_bytes: int, *, kept_bytes: int) -> Awaitable[None] | None:
        """Hold `size_bytes` in all, after a message; if the call has to wait, return the awaitable.

        While it waits it holds `kept_bytes`.
        """
        reservation = self.reservation
        if reservation is None or reservation.resize(size_bytes):
            return None
        growing = self._admission.grow(reservation, size_bytes, kept_bytes=kept_bytes)
        return self._deadline.in_time(growing, late=self._admission.overloaded)

    def shrink(self, size_bytes: int) -> None:
        """Hold at most `size_bytes` from now on."""
        if self.reservation is not None:
            self.reservation.resize(min(size_bytes, self.reservation.size_bytes))

    def share_with(self, work: "asyncio.Future[Any]") -> None:
        """Hold the reservation until the work has ended as well, which a cancelled call leaves."""
        reservation = self.reservation
        if reservation is not None:
            reservation.share()
            work.add_done_callback(lambda _: reservation.release())

    def await_caller(self, caller: AwaitedCaller | None) -> None:
        """From now on the call may be ended if its caller is late; with None it may not."""
        self._awaited = caller
        if self.reservation is not None:
            self.reservation.awaited = caller

    async def _wait(self, size_bytes: int, kept_bytes: int) -> None:
        async def reserve() -> None:
            # Stored as soon as it is made: the call may be cancelled before it sees the result.
            self.reservation = await self._admission.wait(
                self._caller, size_bytes, kept_bytes=kept_bytes
            )

        await self._deadline.in_time(reserve(), late=self._admission.overloaded)

    def _release(self) -> None:
        if self.reservation is not None:
            self.reservation.release()
            self.reservation = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._release()
