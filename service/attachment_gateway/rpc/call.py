"""One RPC: its token, ids and deadline, its messages, and its one log event."""

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

# A sender that is about to be refused may finish what it is sending: as long as messages come one
# right after the other, at most FINISH_MAX_S in all, LATE_FINISH_MAX_S if its deadline is near.
FINISH_IDLE_S = 0.02
FINISH_MAX_S = 1.0
LATE_FINISH_MAX_S = 0.05

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Call:
    """One RPC. `token` is "" until it has been read from the metadata."""

    def __init__(self, context: Context, method: str, *, default_deadline_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._context = context
        self._method = method
        self._began_at = self._loop.time()
        self.token = ""
        self.ids = SupportIds(client_request_id=str(uuid4()))
        # None without a deadline, whatever its type says.
        left_s = cast("float | None", context.time_remaining())
        self.deadline = Deadline(default_deadline_s if left_s is None else left_s)

    def log(self, code: str, **fields: str) -> None:
        """Write the one event of the call."""
        metrics.calls(self._method, code, fields.get("reason", "")).inc()
        took_s = round(self._loop.time() - self._began_at, 3)
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
        """Hand each message to `take` until the caller half-closes.

        What `take` waits for doesn't count as idleness of the caller. `is_whole` tells, at the end,
        whether the messages themselves say that they are all. Raises StreamIdle if no message
        comes for `idle_s`, or up to a tenth less, or the error of a deadline that has expired.
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
        """Tell a half-close from a caller that is gone.

        gRPC ends the messages in the same way for both, and the cancellation of this task comes
        separately, perhaps a moment later. One more read goes through the same queue behind it.
        """
        await self._context.read()

    async def _let_finish(self) -> None:
        """Read on for a moment, and drop what comes, before the caller is told of an error.

        A client in the middle of writing a message when the call ends may report that it couldn't
        write, and not the status: grpc.aio's do.
        """
        most_s = LATE_FINISH_MAX_S if self.deadline.expired.done() else FINISH_MAX_S
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s), asyncio.timeout(FINISH_IDLE_S) as idle:
                while await self._context.read() is not grpc.aio.EOF:
                    idle.reschedule(self._loop.time() + FINISH_IDLE_S)
