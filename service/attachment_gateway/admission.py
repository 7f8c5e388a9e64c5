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
from collections.abc import Awaitable, Callable, Coroutine
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
        waiting = self._new_waiting(caller, size_bytes, kept_bytes)
        self._kept_bytes[caller] += kept_bytes
        self._join(self._queues.setdefault(caller, deque()), waiting)
        if self._kept_bytes.total() > min(self._memory_bytes, WAITING_BYTES):
            most = max(self._queues, key=self._kept_bytes.__getitem__)
            self._queues[most][-1].admitted.set_exception(self.overloaded())
            self._leave(self._queues[most][-1])
        return await self._admitted(waiting)

    async def grow(self, caller: str, size_bytes: int) -> Reservation:
        """Wait for a reservation before all who have read no message yet."""
        waiting = self._new_waiting(caller, size_bytes, 0)
        self._join(self._growing, waiting)
        return await self._admitted(waiting)

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

    def _new_waiting(self, caller: str, size_bytes: int, kept_bytes: int) -> _Waiting:
        wanted_bytes = min(size_bytes, self._memory_bytes)
        return _Waiting(caller, wanted_bytes, kept_bytes, self._loop.create_future())

    def _join(self, queue: deque[_Waiting], waiting: _Waiting) -> None:
        queue.append(waiting)
        self._waiting += 1
        self._wanted_bytes += waiting.size_bytes
        if self._looking is None:
            self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)
        self._admit()

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
        queue = self._growing if waiting in self._growing else self._queues.get(caller, deque())
        if waiting not in queue:
            return
        queue.remove(waiting)
        if caller in self._queues and not self._queues[caller]:
            del self._queues[caller]
        self._waiting -= 1
        self._wanted_bytes -= waiting.size_bytes
        self._kept_bytes[caller] -= waiting.kept_bytes
        self._forget(caller)

    def _admit(self) -> None:
        while (first := self._first()) is not None and first.size_bytes <= self._free_bytes:
            self._leave(first)
            if first.caller in self._queues:  # others come before its next call
                self._queues[first.caller] = self._queues.pop(first.caller)
            if not first.admitted.done():  # else its task is about to be cancelled
                first.admitted.set_result(self._reserved(first.caller, first.size_bytes))

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

    def _look(self) -> None:
        """End calls whose callers are late, until all that wait have room; look again later."""
        self._looking = None
        if not self._waiting:
            return
        self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)
        patience_s = max(LEAST_PATIENCE_S, PATIENCE_S * min(1, MANY_WAITING / self._waiting))
        wanted_bytes = self._wanted_bytes - self._free_bytes
        awaited = [(each, each.awaited) for each in self._reservations]
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
        return self._wait(self._admission.wait(self._caller, size_bytes, kept_bytes=kept_bytes))

    def grow(self, size_bytes: int) -> Awaitable[None] | None:
        """Hold `size_bytes` in all, after a message; if the call has to wait, return the awaitable.

        While it waits its reservation is free, so that calls never wait for each other.
        """
        if self.reservation is not None and self.reservation.resize(size_bytes):
            return None
        self._release()
        return self._wait(self._admission.grow(self._caller, size_bytes))

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

    async def _wait(self, reserved: Coroutine[Any, Any, Reservation]) -> None:
        async def reserve() -> None:
            # Stored as soon as it is made: the call may be cancelled before it sees the result.
            self.reservation = await reserved
            self.reservation.awaited = self._awaited

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
