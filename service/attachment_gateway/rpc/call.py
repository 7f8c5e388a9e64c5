"""The calls in flight: each one's token, ids and time, and the one door by which it ends."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from os import urandom
from typing import Any, NoReturn, TypeVar, cast

import grpc.aio
import structlog
from grpc_status import rpc_status

from attachment_gateway import metrics
from attachment_gateway.rpc import status
from attachment_gateway.rpc.bearer_token import bearer_token
from attachment_gateway.errors import (
    GatewayDraining,
    GatewayError,
    GatewayFault,
    LedgerUnavailable,
    NotSent,
    StreamIdle,
)
from attachment_gateway.rpc.idle_timeout import Patience
from attachment_gateway.rpc.deserialization import check_understood

_T = TypeVar("_T")

Context = grpc.aio.ServicerContext[Any, Any]

# The gateway answers before the caller's deadline, so that its answer is seen: by a twentieth of
# the time left when the call arrives, half a second at most.
ANSWER_EARLY_SHARE = 0.05
ANSWER_EARLY_MAX_S = 0.5

# A sender that is about to be refused may finish what it is sending: as long as messages come one
# right after the other, and so long in all; a part of the time before its deadline if that is near.
FINISH_IDLE_S = 0.02
FINISH_MAX_S = 1.0
LATE_FINISH_MAX_S = 0.05

# What a caller is told to wait before it comes again to a gateway that is about to stop: its
# connection goes to another one, or to this one's successor.
DRAINING_RETRY_DELAY_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class Call:
    """One RPC.

    `expired` is the budget: it comes true, with what to answer if nothing was sent, when the
    caller's deadline is near or the gateway has to stop. Every wait of the call looks at it.
    """

    def __init__(self, context: Context, method: str, *, default_deadline_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._method = method
        self._began = self._loop.time()
        self.token = ""
        self.client_request_id = _new_id()
        self.graph_request_id = ""
        self.expired: asyncio.Future[GatewayError] = self._loop.create_future()
        self._context = context
        # None without a deadline, whatever its type says.
        left_s = cast("float | None", context.time_remaining())
        if left_s is None:
            left_s = default_deadline_s
        early_s = min(left_s * ANSWER_EARLY_SHARE, ANSWER_EARLY_MAX_S)
        self._ends_at = self._began + left_s - early_s
        self._timer = self._loop.call_at(self._ends_at, self._run_out)

    def left_s(self) -> float:
        """Return what is left of the call's time, none if it has ended."""
        left_s = self._ends_at - self._loop.time()
        return 0.0 if self.expired.done() else left_s

    def expire(self, error: GatewayError) -> None:
        """End the call's time."""
        if not self.expired.done():
            self.expired.set_result(error)

    def _run_out(self) -> None:
        self.expire(NotSent())

    def close(self) -> None:
        """Let go of the timer."""
        self._timer.cancel()

    def log(self, code: str, **fields: str) -> None:
        """Write the one event of the call."""
        metrics.calls(self._method, code, fields.get("reason", "")).inc()
        took_s = round(self._loop.time() - self._began, 3)
        log.info("call", method=self._method, code=code, took_s=took_s, **fields, **self.ids)

    @property
    def ids(self) -> dict[str, str]:
        """The ids that Microsoft's support asks for, as far as they are known."""
        if self.graph_request_id:
            return {
                "graph_request_id": self.graph_request_id,
                "client_request_id": self.client_request_id,
            }
        return {"client_request_id": self.client_request_id}

    async def read(
        self,
        take: Callable[[Any], Awaitable[None] | None],
        *,
        idle_s: float,
        is_whole: Callable[[], bool] = lambda: False,
    ) -> None:
        """Hand each message to `take` until the caller half-closes.

        What `take` may have to wait for is no idleness of the caller's. `is_whole` tells, at the
        end, whether the messages themselves say that they are all. Raises StreamIdle if no
        message comes for `idle_s`, or up to a tenth less, or the error of a budget that is spent.
        """
        try:
            async with Patience(idle_s, self.expired) as patience:
                while (request := await self._context.read()) is not grpc.aio.EOF:
                    check_understood(request)
                    if (waiting := take(request)) is not None:
                        with patience.lifted():
                            await waiting
                    if self.expired.done():
                        raise self.expired.result()
                    patience.renew()
                if not is_whole():
                    await self._surely_half_closed()
        except TimeoutError:
            raise (
                self.expired.result() if self.expired.done() else StreamIdle(idle_s=idle_s)
            ) from None
        except GatewayError:
            await self._let_finish()
            raise

    async def _surely_half_closed(self) -> None:
        """Tell a half-close from a caller that is gone.

        gRPC ends the messages in the same way for both, and the cancellation of this task comes
        separately, perhaps a moment later. One more read goes through the same queue behind it.
        """
        await self._context.read()

    async def _let_finish(self) -> None:
        """Read on for a moment, for nothing, before the caller is told of an error.

        A sender in the middle of a message that is refused may tell that it couldn't send, and not
        what it was told: grpc.aio's clients do.
        """
        most_s = LATE_FINISH_MAX_S if self.expired.done() else FINISH_MAX_S
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s), asyncio.timeout(FINISH_IDLE_S) as patience:
                while await self._context.read() is not grpc.aio.EOF:
                    patience.reschedule(self._loop.time() + FINISH_IDLE_S)

    async def in_time(self, wait: Coroutine[Any, Any, _T], late: Callable[[], GatewayError]) -> _T:
        """Wait for something in the call's time; `late` is told if that ends first."""
        waiting = asyncio.create_task(wait)
        try:
            if await self.outlasts(waiting):
                return waiting.result()
        finally:
            waiting.cancel()
        error = self.expired.result()
        raise late() if isinstance(error, NotSent) else error

    async def outlasts(self, work: asyncio.Task[Any]) -> bool:
        """Wait for the work; whether it was done in the call's time. It is never cancelled."""
        first = self._loop.create_future()

        def tell(_: object) -> None:
            if not first.done():
                first.set_result(None)

        work.add_done_callback(tell)
        self.expired.add_done_callback(tell)
        try:
            await first
        finally:
            work.remove_done_callback(tell)
            self.expired.remove_done_callback(tell)
        return work.done()


class Calls:
    """Begins and ends calls, and can end them all."""

    def __init__(self, *, default_deadline_s: float) -> None:
        self._default_deadline_s = default_deadline_s
        self._calls: set[Call] = set()
        self._draining = False

    async def run(
        self, context: Context, method: str, answered: Callable[[Call], Awaitable[_T]]
    ) -> _T:
        """Run a call and return what it is answered with.

        What it raises becomes its status, here and nowhere else.
        """
        call = Call(context, method, default_deadline_s=self._default_deadline_s)
        self._calls.add(call)
        try:
            self._admit()
            call.token = bearer_token(context.invocation_metadata() or ())
            answer = await answered(call)
        except GatewayError as error:
            return await _abort(context, call, error)
        except asyncio.CancelledError:
            call.log("CANCELLED")
            raise
        except Exception:
            log.exception("unforeseen", method=method, **call.ids)
            return await _abort(context, call, GatewayFault())
        else:
            context.set_trailing_metadata(_trailers(call))
            call.log("OK")
            return answer
        finally:
            call.close()
            self._calls.discard(call)

    def drain(self) -> None:
        """Take no more calls."""
        self._draining = True

    def expire_all(self) -> None:
        """End the time of all calls in flight."""
        for call in self._calls:
            call.expire(_draining())

    def _admit(self) -> None:
        if self._draining:
            raise _draining()


def _draining() -> GatewayDraining:
    return GatewayDraining(retry_delay_s=DRAINING_RETRY_DELAY_S)


def _new_id() -> str:
    """Return a random UUID, of version 4, for half of what `uuid4` and `str` take."""
    digits = urandom(16).hex()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-8{digits[17:20]}-{digits[20:]}"


def _trailers(call: Call) -> tuple[tuple[str, str], ...]:
    ids = (("client-request-id", call.client_request_id),)
    return (("graph-request-id", call.graph_request_id), *ids) if call.graph_request_id else ids


async def _abort(context: Context, call: Call, error: GatewayError) -> NoReturn:
    """End the call with the error's status; raises, as abort does."""
    made = rpc_status.to_status(status.to_status(error, call.ids))
    trailers = (*made.trailing_metadata, *_trailers(call), *status.pushback(error))
    why = {"why": error.why} if isinstance(error, LedgerUnavailable) else {}
    call.log(made.code.name, reason=status.reason_of(error), **why)
    await context.abort(made.code, made.details, trailers)
