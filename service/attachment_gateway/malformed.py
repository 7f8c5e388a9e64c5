"""Bytes that are no message become the caller's error.

Otherwise gRPC answers UNKNOWN with the text of an exception: a code that means something else here.
Strings that aren't UTF-8, which some languages let through, are such bytes, too.
"""

from collections.abc import Callable
from typing import Any

import grpc.aio
from google.protobuf.message import DecodeError

from attachment_gateway.errors import InvalidRequest


def understood(request: object) -> None:
    """Raise InvalidRequest if a request is one that couldn't be read."""
    if isinstance(request, DecodeError):
        raise InvalidRequest(
            "request", "these bytes are no message of the contract; are all its strings UTF-8?"
        )


class MalformedRequests(grpc.aio.ServerInterceptor):
    """Hands what can't be read to the servicer, as the DecodeError that it is."""

    async def intercept_service(
        self, continuation: Any, handler_call_details: grpc.HandlerCallDetails
    ) -> Any:
        """Replace the deserializer of a call that is ours."""
        handler = await continuation(handler_call_details)
        if handler is None or not handler_call_details.method.startswith("/graphattachments."):
            return handler
        read, write = _lenient(handler.request_deserializer), handler.response_serializer
        if handler.request_streaming:
            return grpc.stream_unary_rpc_method_handler(handler.stream_unary, read, write)
        return grpc.unary_unary_rpc_method_handler(handler.unary_unary, read, write)


def _lenient(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def lenient(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError as error:
            return error

    return lenient
