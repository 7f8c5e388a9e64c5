"""Memory for uploads: reserved before their bytes are read, in order of arrival.

A small upload never overtakes a large one, so that the large one isn't delayed without end.
While an upload waits none of its bytes are read, and gRPC's flow control stops its sender.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from attachment_gateway.deadline import Deadline
from attachment_gateway.errors import GatewayOverloaded

# The retry delay if the memory is reserved: about the time that an upload to Graph takes.
OVERLOADED_RETRY_DELAY_S = 2.0


class Reservation:
    """Upload memory that is reserved until every holder has released it."""

    def __init__(self, admission: "Admission", size_bytes: int) -> None:
        self._admission = admission
        self._size_bytes = size_bytes
        self._holders = 1

    def share(self) -> None:
        """Add a holder."""
        self._holders += 1

    def release(self) -> None:
        """Release the reservation of one holder; the last one frees the memory."""
        self._holders -= 1
        if self._holders == 0:
            self._admission.release(self._size_bytes)


@dataclass(frozen=True, slots=True)
class _Waiting:
    size_bytes: int
    kept_bytes: int
    admitted: asyncio.Future[Reservation]


class Admission:
    """The memory for all uploads in flight; the uploads that wait may take up to as much again."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._free_bytes = memory_bytes
        self._kept_bytes = 0
        self._queue: deque[_Waiting] = deque()

    def reserve(self, size_bytes: int) -> Reservation | None:
        """Reserve bytes, at most the whole memory; None if they aren't free now or others wait."""
        size_bytes = min(size_bytes, self._memory_bytes)
        if self._queue or size_bytes > self._free_bytes:
            return None
        self._free_bytes -= size_bytes
        return Reservation(self, size_bytes)

    async def wait(self, size_bytes: int, *, kept_bytes: int) -> Reservation:
        """Wait for a reservation, which takes `kept_bytes` meanwhile. Raises GatewayOverloaded."""
        if self._kept_bytes + kept_bytes > self._memory_bytes:
            raise self.overloaded()
        admitted: asyncio.Future[Reservation] = asyncio.get_running_loop().create_future()
        waiting = _Waiting(min(size_bytes, self._memory_bytes), kept_bytes, admitted)
        self._queue.append(waiting)
        self._kept_bytes += kept_bytes
        try:
            return await admitted
        except asyncio.CancelledError:
            if admitted.cancelled():
                self._queue.remove(waiting)
                self._admit()
            else:  # it was admitted before the cancellation arrived
                admitted.result().release()
            raise
        finally:
            self._kept_bytes -= kept_bytes

    def overloaded(self) -> GatewayOverloaded:
        """Return the error for an upload that gets no reservation in its time."""
        return GatewayOverloaded(
            memory_bytes=self._memory_bytes,
            waiting=len(self._queue),
            retry_delay_s=OVERLOADED_RETRY_DELAY_S,
        )

    def release(self, size_bytes: int) -> None:
        """Free bytes, and admit the uploads that now fit."""
        self._free_bytes += size_bytes
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._queue[0].size_bytes <= self._free_bytes:
            first = self._queue.popleft()
            self._free_bytes -= first.size_bytes
            first.admitted.set_result(Reservation(self, first.size_bytes))


class CallAdmission:
    """A context that holds one call's reservation and releases it at the end."""

    def __init__(self, admission: Admission, deadline: Deadline) -> None:
        self._admission = admission
        self._deadline = deadline
        self.reservation: Reservation | None = None

    def admit(self, size_bytes: int, *, kept_bytes: int) -> Awaitable[None] | None:
        """Reserve bytes if the call has no reservation; if it has to wait, return the awaitable."""
        if self.reservation is None:
            self.reservation = self._admission.reserve(size_bytes)
        return None if self.reservation is not None else self._wait(size_bytes, kept_bytes)

    async def _wait(self, size_bytes: int, kept_bytes: int) -> None:
        async def reserve() -> None:
            # Stored as soon as it is made: the call may be cancelled before it sees the result.
            self.reservation = await self._admission.wait(size_bytes, kept_bytes=kept_bytes)

        await self._deadline.in_time(reserve(), late=self._admission.overloaded)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.reservation is not None:
            self.reservation.release()
