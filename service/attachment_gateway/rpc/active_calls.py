"""The calls in flight, their limits, and the only place where a call ends with a status."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import structlog
from grpc_status import rpc_status

from attachment_gateway.admission import OVERLOADED_RETRY_DELAY_S
from attachment_gateway.errors import (
    GatewayDraining,
    GatewayError,
    GatewayFault,
    LedgerUnavailable,
    TooManyCalls,
)
from attachment_gateway.rpc import status
from attachment_gateway.rpc.bearer_token import bearer_token
from attachment_gateway.rpc.call import Call, CallLimits, Context

_T = TypeVar("_T")

# The retry delay of a gateway that is about to stop: the caller then connects to another gateway,
# or to the process that replaces this one.
DRAINING_RETRY_DELAY_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class ActiveCalls:
    """Runs calls, at most `max_calls` on at most `max_connections`, and can end all of them."""

    def __init__(self, limits: CallLimits, *, max_calls: int, max_connections: int) -> None:
        self._limits = limits
        self._max_calls = max_calls
        self._max_connections = max_connections
        self._calls: set[Call] = set()
        self._callers = Counter[str]()
        self._is_draining = False

    async def run(
        self, context: Context, method: str, answered: Callable[[Call], Awaitable[_T]]
    ) -> _T:
        """Run a call and return its response.

        If `answered` raises, the call ends with the status of that error. No other place does this.
        """
        call = Call(context, method, self._limits)
        self._add(call)
        try:
            self._admit()
            call.token = bearer_token(context.invocation_metadata() or ())
            response = await answered(call)
        except GatewayError as error:
            forget_frames(error)
            return await _abort(context, call, error)
        except asyncio.CancelledError:
            call.log("CANCELLED")
            raise
        except Exception:
            log.exception("unforeseen", method=method, **call.ids.known())
            return await _abort(context, call, GatewayFault())
        else:
            context.set_trailing_metadata(status.id_trailers(call.ids.known()))
            call.log("OK")
            return response
        finally:
            call.deadline.close()
            self._remove(call)

    def drain(self) -> None:
        """Refuse new calls from now on, with GatewayDraining."""
        self._is_draining = True

    def expire_all(self) -> None:
        """Expire the deadlines of all calls in flight, with GatewayDraining."""
        for call in self._calls:
            call.deadline.expire(_draining())

    def _admit(self) -> None:
        if self._is_draining:
            raise _draining()
        if len(self._calls) > self._max_calls:
            raise _too_many("calls in flight", self._max_calls)
        if len(self._callers) > self._max_connections:
            raise _too_many("connections with calls in flight", self._max_connections)

    def _add(self, call: Call) -> None:
        self._calls.add(call)
        self._callers[call.caller] += 1

    def _remove(self, call: Call) -> None:
        self._calls.discard(call)
        self._callers[call.caller] -= 1
        if not self._callers[call.caller]:
            del self._callers[call.caller]


def forget_frames(error: BaseException) -> None:
    """Drop the frames of an error that was foreseen, and of those behind it.

    They hold what the call has read, and a task or future that holds the error as well keeps them
    until a garbage collection.
    """
    behind: BaseException | None = error
    while behind is not None:
        behind.__traceback__ = None
        behind = behind.__context__


def _draining() -> GatewayDraining:
    return GatewayDraining(retry_delay_s=DRAINING_RETRY_DELAY_S)


def _too_many(what: str, most: int) -> TooManyCalls:
    return TooManyCalls(what=what, most=most, retry_delay_s=OVERLOADED_RETRY_DELAY_S)


async def _abort(context: Context, call: Call, error: GatewayError) -> NoReturn:
    """End the call with the error's status. Always raises, as `abort` does."""
    ids = call.ids.known()
    made = rpc_status.to_status(status.to_status(error, ids))
    trailers = (*made.trailing_metadata, *status.id_trailers(ids), *status.pushback(error))
    why = {"why": error.why} if isinstance(error, LedgerUnavailable) else {}
    call.log(made.code.name, reason=error.reason, **why)
    await context.abort(made.code, made.details, trailers)
