"""One call: its token, ids, deadline and messages, and its log event."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

import grpc.aio
import structlog

from attachment_gateway import metrics
from attachment_gateway.deadline import Deadline
from attachment_gateway.errors import GatewayError, StreamIdle
from attachment_gateway.graph.request import SupportIds
from attachment_gateway.rpc.deserialization import check_understood
from attachment_gateway.rpc.idle_timeout import IdleTimeout

Context = grpc.aio.ServicerContext[Any, Any]

# If an upload is refused while it is read, its messages are read and dropped until none comes for
# FINISH_IDLE_S, but for at most FINISH_MAX_S in all, or LATE_FINISH_MAX_S if its deadline is near.
FINISH_IDLE_S = 0.02
FINISH_MAX_S = 1.0
LATE_FINISH_MAX_S = 0.05

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Call:
    """One call. `token` is "" until it has been read from the metadata."""

    def __init__(self, context: Context, method: str, *, default_deadline_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = context
        self._method = method
        self._began_at = self._loop.time()
        self.token = ""
        self.ids = SupportIds(client_request_id=str(uuid4()))
        # None without a deadline, although its annotation says float.
        left_s = cast("float | None", context.time_remaining())
        self.deadline = Deadline(default_deadline_s if left_s is None else left_s)

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
        *,
        idle_s: float,
        is_whole: Callable[[], bool] = lambda: False,
    ) -> None:
        """Pass each message to `take` until the caller half-closes.

        The idle timeout stops while `take` waits. `is_whole`: whether the messages themselves show
        that the last one has come. Raises StreamIdle if no message comes for `idle_s`, or for up to
        a tenth less, or the error of a deadline that has expired.
        """
        try:
            async with IdleTimeout(idle_s, self.deadline.expired) as idle:
                while (request := await self._context.read()) is not grpc.aio.EOF:
                    check_understood(request)
                    if (waiting := take(request)) is not None:
                        with idle.suspended():
                            await waiting
                    self.deadline.check()
                    idle.restart()
                if not is_whole():
                    await self._confirm_half_close()
        except TimeoutError:
            self.deadline.check()
            raise StreamIdle(idle_s=idle_s) from None
        except GatewayError:
            await self._let_finish()
            raise

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
        most_s = LATE_FINISH_MAX_S if self.deadline.expired.done() else FINISH_MAX_S
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s), asyncio.timeout(FINISH_IDLE_S) as idle:
                while await self._context.read() is not grpc.aio.EOF:
                    idle.reschedule(self._loop.time() + FINISH_IDLE_S)
