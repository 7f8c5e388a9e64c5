"""The calls in flight, and the only place where a call ends, with its response or a status."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

import structlog
from grpc_status import rpc_status

from attachment_gateway.errors import (
    GatewayDraining,
    GatewayError,
    GatewayFault,
    LedgerUnavailable,
)
from attachment_gateway.rpc import status
from attachment_gateway.rpc.bearer_token import bearer_token
from attachment_gateway.rpc.call import Call, Context

_T = TypeVar("_T")

# The retry delay of a gateway that is about to stop: the caller then connects to another gateway,
# or to the process that replaces this one.
DRAINING_RETRY_DELAY_S = 1.0

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class ActiveCalls:
    """Runs calls, and can end all of them."""

    def __init__(self, *, default_deadline_s: float) -> None:
        self._default_deadline_s = default_deadline_s
        self._calls: set[Call] = set()
        self._is_draining = False

    async def run(
        self, context: Context, method: str, answered: Callable[[Call], Awaitable[_T]]
    ) -> _T:
        """Run a call and return its response.

        If `answered` raises, the call ends with the status of that error. No other place does this.
        """
        call = Call(context, method, default_deadline_s=self._default_deadline_s)
        self._calls.add(call)
        try:
            self._admit()
            call.token = bearer_token(context.invocation_metadata() or ())
            response = await answered(call)
        except GatewayError as error:
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
            self._calls.discard(call)

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


def _draining() -> GatewayDraining:
    return GatewayDraining(retry_delay_s=DRAINING_RETRY_DELAY_S)


async def _abort(context: Context, call: Call, error: GatewayError) -> NoReturn:
    """End the call with the error's status. Always raises, as `abort` does."""
    ids = call.ids.known()
    made = rpc_status.to_status(status.to_status(error, ids))
    trailers = (*made.trailing_metadata, *status.id_trailers(ids), *status.pushback(error))
    why = {"why": error.why} if isinstance(error, LedgerUnavailable) else {}
    call.log(made.code.name, reason=error.reason, **why)
    await context.abort(made.code, made.details, trailers)
