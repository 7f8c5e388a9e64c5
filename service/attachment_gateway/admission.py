"""Memory for uploads: reserved before their bytes are read, first come, first served.

Strictly in order of arrival: a small one doesn't overtake a large one, so neither starves. While an
upload waits nothing of it is read, and gRPC's flow control holds its sender back.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from attachment_gateway.deadline import Deadline
from attachment_gateway.errors import GatewayOverloaded

# When to come again to a gateway that is full: about the time that an upload to Graph takes.
OVERLOADED_RETRY_DELAY_S = 2.0


class Reservation:
    """Bytes that are reserved until every holder has released them."""

    def __init__(self, admission: "Admission", size_bytes: int) -> None:
        self._admission = admission
        self._size_bytes = size_bytes
        self._holders = 1

    def share(self) -> None:
        """Add a holder."""
        self._holders += 1

    def release(self) -> None:
        """Release it, once for each holder."""
        self._holders -= 1
        if self._holders == 0:
            self._admission.release(self._size_bytes)


@dataclass(frozen=True, slots=True)
class _Waiting:
    size_bytes: int
    kept_bytes: int
    admitted: asyncio.Future[Reservation]


class Admission:
    """The memory of all uploads in flight together; those that wait keep no more than as much."""

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        self._free_bytes = memory_bytes
        self._kept_bytes = 0
        self._queue: deque[_Waiting] = deque()

    def reserve(self, size_bytes: int) -> Reservation | None:
        """Reserve bytes, at once or not at all; more than the whole memory is all of it."""
        size_bytes = min(size_bytes, self._memory_bytes)
        if self._queue or size_bytes > self._free_bytes:
            return None
        self._free_bytes -= size_bytes
        return Reservation(self, size_bytes)

    async def wait(self, size_bytes: int, *, kept_bytes: int) -> Reservation:
        """Wait for bytes; `kept_bytes` is what waiting takes. Raises GatewayOverloaded."""
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
            else:  # it was admitted at that very moment
                admitted.result().release()
            raise
        finally:
            self._kept_bytes -= kept_bytes

    def overloaded(self) -> GatewayOverloaded:
        """Return the error of one that can't be admitted in its time."""
        return GatewayOverloaded(
            memory_bytes=self._memory_bytes,
            waiting=len(self._queue),
            retry_delay_s=OVERLOADED_RETRY_DELAY_S,
        )

    def release(self, size_bytes: int) -> None:
        """Release bytes for others."""
        self._free_bytes += size_bytes
        self._admit()

    def _admit(self) -> None:
        while self._queue and self._queue[0].size_bytes <= self._free_bytes:
            first = self._queue.popleft()
            self._free_bytes -= first.size_bytes
            first.admitted.set_result(Reservation(self, first.size_bytes))


class CallAdmission:
    """One call's reservation, a context that releases it at its end."""

    def __init__(self, admission: Admission, deadline: Deadline) -> None:
        self._admission = admission
        self._deadline = deadline
        self.reservation: Reservation | None = None

    def admit(self, size_bytes: int, *, kept_bytes: int) -> Awaitable[None] | None:
        """Reserve bytes, unless there are some already; what is returned has to be awaited."""
        if self.reservation is None:
            self.reservation = self._admission.reserve(size_bytes)
        return None if self.reservation is not None else self._wait(size_bytes, kept_bytes)

    async def _wait(self, size_bytes: int, kept_bytes: int) -> None:
        self.reservation = await self._deadline.in_time(
            self._admission.wait(size_bytes, kept_bytes=kept_bytes),
            late=self._admission.overloaded,
        )

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
