"""Bytes that are no message become the caller's error.

Otherwise gRPC answers UNKNOWN with the text of an exception: a code that means something else here.
Strings that aren't UTF-8, which some languages let through, are such bytes, too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import grpc.aio
from google.protobuf.message import DecodeError

from attachment_gateway.errors import InvalidRequest
from attachment_gateway.wire import chunk_or


def understood(request: object) -> None:
    """Raise InvalidRequest if a request is one that couldn't be read."""
    if isinstance(request, DecodeError):
        raise InvalidRequest(
            "request", "these bytes are no message of the contract; are all its strings UTF-8?"
        )


class UnderstandingServer:
    """What a servicer is added to, in the place of the server.

    Its methods get what can't be read, as the DecodeError that it is; and in a stream what is only
    a chunk, as the chunk.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Do nothing: the same methods come once more, by their names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add a service's methods, their deserializers replaced."""
        lenient = {name: _with_lenient(handler) for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, lenient)


def _with_lenient(handler: Any) -> Any:
    read, write = _lenient(handler.request_deserializer), handler.response_serializer
    if handler.request_streaming:
        read = chunk_or(read)
        return grpc.stream_unary_rpc_method_handler(handler.stream_unary, read, write)
    return grpc.unary_unary_rpc_method_handler(handler.unary_unary, read, write)


def _lenient(read: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def lenient(data: bytes) -> Any:
        try:
            return read(data)
        except DecodeError as error:
            return error

    return lenient
