"""Health checks and reflection, whose messages are received only when memory is reserved for them.

The libraries' servicers would have gRPC receive each message before they are asked.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, cast

import grpc.aio
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from attachment_gateway.admission import (
    OVERLOADED_RETRY_DELAY_S,
    Admission,
    CallAdmission,
)
from attachment_gateway.errors import GatewayError, TooManyCalls
from attachment_gateway.rpc import status
from attachment_gateway.rpc.active_calls import forget_frames
from attachment_gateway.rpc.call import Call, CallLimits, Context
from attachment_gateway.rpc.deserialization import not_understood

# The most messages that are read at once.
READS = 2

# The most calls in flight. A watch of the health, or a client's reflection, may last.
MAX_CALLS = 100

_Method = Callable[[Any, Context], Any]
_Next = Callable[[], Awaitable[Any]]


class AdmittingServer:
    """Stands in for the server when a servicer is added, and replaces the methods' handlers."""

    def __init__(
        self, server: grpc.aio.Server, limits: CallLimits, *, max_message_bytes: int
    ) -> None:
        self._server = server
        self._limits = limits
        self._message_bytes = max_message_bytes
        self._admission = Admission(READS * max_message_bytes)
        self._in_flight = 0

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Do nothing: add_registered_method_handlers is called with the same methods."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add a service's methods with their handlers replaced."""
        ours = {name: self._admitting(name, handler) for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, ours)

    def _admitting(self, name: str, handler: Any) -> Any:
        if handler.request_streaming:
            serve, method = _serve_stream, handler.stream_stream
        elif handler.response_streaming:
            serve, method = _serve_watch, handler.unary_stream
        else:
            serve, method = _serve_unary, handler.unary_unary

        async def served(_: object, context: Context) -> None:
            async with self._call(name, context) as (call, admission):
                read = partial(self._next, call, admission, handler.request_deserializer)
                await serve(method, read, context)

        return grpc.stream_stream_rpc_method_handler(served, None, handler.response_serializer)

    @asynccontextmanager
    async def _call(self, name: str, context: Context) -> AsyncIterator[tuple[Call, CallAdmission]]:
        """Begin a call; an error within the context ends it with that error's status."""
        call = Call(context, name, self._limits)
        self._in_flight += 1
        try:
            with CallAdmission(self._admission, call.caller, call.deadline) as admission:
                if self._in_flight > MAX_CALLS:
                    raise TooManyCalls(
                        what="calls for health and reflection in flight",
                        most=MAX_CALLS,
                        retry_delay_s=OVERLOADED_RETRY_DELAY_S,
                    )
                yield call, admission
        except GatewayError as error:
            forget_frames(error)
            made = rpc_status.to_status(status.to_status(error, {}))
            trailers = (*made.trailing_metadata, *status.pushback(error))
            await context.abort(made.code, made.details, trailers)
        finally:
            self._in_flight -= 1
            call.deadline.close()

    async def _next(
        self, call: Call, admission: CallAdmission, read: Callable[[bytes], Any]
    ) -> Any:
        """Return a call's next request, None after the half-close; memory is reserved meanwhile."""
        waiting = admission.reserve(self._message_bytes, kept_bytes=0)
        if waiting is not None:
            await waiting
        message = await call.next_message(admission)
        admission.shrink(0)
        try:
            return None if message is None else read(message)
        except DecodeError:
            raise not_understood() from None


async def _serve_unary(method: _Method, next_request: _Next, context: Context) -> None:
    request = await next_request()
    if request is not None:
        await context.write(await method(request, context))


async def _serve_stream(method: _Method, next_request: _Next, context: Context) -> None:
    async def requests() -> AsyncIterator[Any]:
        while (request := await next_request()) is not None:
            yield request

    async for response in method(requests(), context):
        await context.write(response)


async def _serve_watch(method: _Method, next_request: _Next, context: Context) -> None:
    request = await next_request()
    latest = _LatestResponse(context)
    watching = asyncio.create_task(method(request, cast("Context", latest)))
    try:
        await latest.write_all()
    finally:
        watching.cancel()


class _LatestResponse:
    """The context of a watch; a caller that doesn't read gets the latest response when it does.

    grpc_health writes while it holds a lock that all watches and changes of the health share.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._response: object = None
        self._is_new = asyncio.Event()

    async def write(self, response: object) -> None:
        """Keep the response, to be written instead of those that weren't written yet."""
        self._response = response
        self._is_new.set()

    async def write_all(self) -> None:
        """Write each response that is new, until the call is cancelled."""
        while True:
            await self._is_new.wait()
            self._is_new.clear()
            await self._context.write(self._response)
