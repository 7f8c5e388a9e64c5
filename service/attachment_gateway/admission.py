"""Memory for calls: reserved before their messages are read, since gRPC hands out whole messages.

Calls that wait are admitted in order of arrival, but of several callers the one with the least
memory comes first; a small call never overtakes a large one of the same caller. While a call waits
none of its messages are read, and gRPC's flow control stops its sender. While others wait, the
calls whose callers are slow lose their reservations.
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

# The most memory of all calls that wait: what gRPC has received of them, and their first message.
WAITING_BYTES = 24 * MIB

# A caller may be late by PATIENCE_S while others wait: some round trips of a far caller. If many
# wait, each of them makes the others wait, so it is shortened, to LEAST_PATIENCE_S at the least.
PATIENCE_S = 0.5
LEAST_PATIENCE_S = 0.1
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


@dataclass(frozen=True, slots=True)
class _Waiting:
    caller: str
    size_bytes: int
    admitted: asyncio.Future[Reservation]


class Admission:
    """The memory of all calls in flight."""

    def __init__(self, memory_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._memory_bytes = memory_bytes
        self._free_bytes = memory_bytes
        self._held_bytes = Counter[str]()
        self._queues: dict[str, deque[_Waiting]] = {}
        self._waiting = 0
        self._wanted_bytes = 0
        self._kept_bytes = 0
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
        """Wait for a reservation, and keep `kept_bytes` meanwhile. Raises GatewayOverloaded."""
        if self._kept_bytes + kept_bytes > min(self._memory_bytes, WAITING_BYTES):
            raise self.overloaded()
        waiting = _Waiting(caller, min(size_bytes, self._memory_bytes), self._loop.create_future())
        self._join(waiting)
        self._kept_bytes += kept_bytes
        try:
            return await waiting.admitted
        except asyncio.CancelledError:
            if waiting.admitted.cancelled():
                self._leave(waiting)
                self._admit()
            else:  # it was admitted before the cancellation arrived
                waiting.admitted.result().release()
            raise
        finally:
            self._kept_bytes -= kept_bytes

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
        if not self._held_bytes[caller]:
            del self._held_bytes[caller]

    # The queues of the callers: an empty one isn't kept.

    def _join(self, waiting: _Waiting) -> None:
        self._queues.setdefault(waiting.caller, deque()).append(waiting)
        self._waiting += 1
        self._wanted_bytes += waiting.size_bytes
        if self._looking is None:
            self._looking = self._loop.call_later(LOOK_EVERY_S, self._look)

    def _leave(self, waiting: _Waiting) -> None:
        queue = self._queues.get(waiting.caller)
        if queue is None or waiting not in queue:  # it has left already
            return
        queue.remove(waiting)
        if not queue:
            del self._queues[waiting.caller]
        self._waiting -= 1
        self._wanted_bytes -= waiting.size_bytes

    def _admit(self) -> None:
        while self._queues:
            first = self._queues[min(self._queues, key=self._held_bytes.__getitem__)][0]
            if first.size_bytes > self._free_bytes:
                return
            self._leave(first)
            if not first.admitted.done():  # else its task is about to be cancelled
                first.admitted.set_result(self._reserved(first.caller, first.size_bytes))

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
        """Hold `size_bytes` in all; if the call has to wait for them, return the awaitable.

        While it waits it holds nothing but `kept_bytes`, so that calls never wait for each other.
        """
        if self.reservation is None:
            self.reservation = self._admission.reserve(self._caller, size_bytes)
            is_reserved = self.reservation is not None
        else:
            is_reserved = self.reservation.resize(size_bytes)
        return None if is_reserved else self._wait(size_bytes, kept_bytes)

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
        self._release()

        async def reserve() -> None:
            # Stored as soon as it is made: the call may be cancelled before it sees the result.
            self.reservation = await self._admission.wait(
                self._caller, size_bytes, kept_bytes=kept_bytes
            )
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
