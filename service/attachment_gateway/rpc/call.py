"""One call: its token, ids, deadline and messages, and its log event."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, cast
from uuid import uuid4

import grpc.aio
import structlog
from google.protobuf.message import Message

from attachment_gateway import metrics
from attachment_gateway.admission import AwaitedCaller, CallAdmission
from attachment_gateway.deadline import Deadline
from attachment_gateway.errors import GatewayError, StreamIdle, StreamProtocol
from attachment_gateway.graph.request import SupportIds
from attachment_gateway.rpc.compression import decompressed
from attachment_gateway.rpc.deserialization import check_understood
from attachment_gateway.rpc.idle_timeout import IdleTimeout, PaceLimits

Context = grpc.aio.ServicerContext[Any, Any]

# If an upload is refused while it is read, its messages are read and dropped until none comes for
# FINISH_IDLE_S, for at most FINISH_MAX_S and at most FINISH_BYTES in all. No message is asked for
# if one as large as those before it would be too much.
FINISH_IDLE_S = 0.02
FINISH_MAX_S = 0.05
FINISH_BYTES = 1024 * 1024

# How long a caller may take to read the first part of its response, before it is late.
READS_WITHIN_S = 2.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """The limits of each call.

    `default_deadline_s`: the deadline of a call that has none; `max_deadline_s`: the longest.
    `max_message_bytes`: the largest message, decompressed. `pace`: how slow a caller may be.
    """

    default_deadline_s: float
    max_deadline_s: float
    max_message_bytes: int
    pace: PaceLimits


class Call:
    """One call. `token` is "" until it has been read from the metadata."""

    def __init__(self, context: Context, method: str, limits: CallLimits) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = context
        self._method = method
        self._limits = limits
        self._began_at = self._loop.time()
        self._largest_bytes = 0
        self.caller: str = context.peer()
        self.token = ""
        self.ids = SupportIds(client_request_id=str(uuid4()))
        # None without a deadline, although its annotation says float.
        left_s = cast("float | None", context.time_remaining())
        left_s = limits.default_deadline_s if left_s is None else left_s
        self.deadline = Deadline(min(left_s, limits.max_deadline_s))

    def log(self, code: str, **fields: str) -> None:
        """Write the call's log event, and count the call."""
        metrics.calls(self._method, code, fields.get("reason", "")).inc()
        took_s = round(self._loop.time() - self._began_at, 3)
        if self.ids.recognised_by:
            fields["recognised_by"] = self.ids.recognised_by
        log.info(
            "call", method=self._method, code=code, took_s=took_s, **fields, **self.ids.known()
        )

    async def read(
        self,
        take: Callable[[Any], Awaitable[None] | None],
        admission: CallAdmission,
        *,
        is_whole: Callable[[], bool] = lambda: False,
    ) -> None:
        """Pass each message to `take` until the caller half-closes.

        The idle timeout stops while `take` waits. `is_whole`: whether the messages themselves show
        that the last one has come. Raises StreamIdle if the caller is slower than its limits, or
        the error of a deadline that has expired.
        """
        async with self._awaiting(admission) as idle:
            try:
                while (request := await self._context.read()) is not grpc.aio.EOF:
                    check_understood(request)
                    size_bytes = _size_bytes(request)
                    self._largest_bytes = max(self._largest_bytes, size_bytes)
                    if (waiting := take(request)) is not None:
                        with idle.suspended():
                            await waiting
                    self.deadline.check()
                    idle.received(size_bytes)
            except GatewayError:
                await self._let_finish()
                raise
            if not is_whole():
                await self._confirm_half_close()

    async def read_one(self, admission: CallAdmission) -> bytes:
        """Return the only message of a unary call, as bytes. Raises StreamIdle, as `read` does."""
        message = await self.next_message(admission)
        if message is None:
            raise StreamProtocol("half-closed without a message; the call has one message")
        return message

    async def next_message(self, admission: CallAdmission) -> bytes | None:
        """Return the next message, None after the half-close. Raises StreamIdle, as `read` does."""
        async with self._awaiting(admission):
            message = await self._context.read()
        if message is grpc.aio.EOF:
            return None
        return decompressed(cast("bytes", message), self._limits.max_message_bytes)

    async def answer(self, response: object, admission: CallAdmission) -> None:
        """Send the response of a unary call, and wait until gRPC has sent it.

        If the caller doesn't read it in time, the call ends without a status.
        """
        began_at = self._loop.time()
        admission.await_caller(
            AwaitedCaller(
                late_s=lambda: self._loop.time() - began_at - READS_WITHIN_S,
                end=self.deadline.expire,
            )
        )
        writing = asyncio.create_task(self._context.write(response))
        try:
            if not await self.deadline.outlasts(writing):
                raise asyncio.CancelledError("the caller did not read the response")
        finally:
            writing.cancel()

    @asynccontextmanager
    async def _awaiting(self, admission: CallAdmission) -> AsyncIterator[IdleTimeout]:
        """While the context is open, the caller has to send. Raises StreamIdle, or `expired`'s."""
        try:
            async with IdleTimeout(self._limits.pace, self.deadline.expired) as idle:
                admission.await_caller(AwaitedCaller(late_s=idle.late_s, end=self.deadline.expire))
                yield idle
        except TimeoutError:
            self.deadline.check()
            raise StreamIdle(
                idle_s=self._limits.pace.idle_s, least_rate=self._limits.pace.least_rate
            ) from None
        finally:
            admission.await_caller(None)

    async def _confirm_half_close(self) -> None:
        """Distinguish a half-close from a caller that has disconnected.

        gRPC ends the messages in the same way for both. If the caller has disconnected, gRPC
        cancels this task, perhaps a moment later. A second read goes through the same queue after
        the cancellation, so it doesn't return before that.
        """
        await self._context.read()

    async def _let_finish(self) -> None:
        """Read and drop the caller's messages for a moment before the call ends with an error.

        If the call ends while a client writes a message, the client may report a failed write
        instead of the status; grpc.aio's clients do.
        """
        left_bytes = FINISH_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(FINISH_MAX_S), asyncio.timeout(FINISH_IDLE_S) as idle:
                while self._largest_bytes <= left_bytes:
                    if (request := await self._context.read()) is grpc.aio.EOF:
                        return
                    left_bytes -= _size_bytes(request)
                    idle.reschedule(self._loop.time() + FINISH_IDLE_S)


def _size_bytes(request: Any) -> int:
    """Return the size of a message; 0 if it isn't one."""
    if isinstance(request, memoryview):
        return len(request)
    return request.ByteSize() if isinstance(request, Message) else 0
