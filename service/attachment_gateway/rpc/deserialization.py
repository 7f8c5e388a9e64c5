"""How a request's bytes are read: a lone chunk stays where it is, and what is no message is told.

Otherwise protobuf would copy each chunk twice, into the message and out of it; and gRPC would
answer UNKNOWN, which means something else here, with the text of an exception. Strings that aren't
UTF-8, which some languages let through, are no message, too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import grpc.aio
from google.protobuf.message import DecodeError

from attachment_gateway.errors import FieldViolation, InvalidRequest
from graphattachments.v1.attachment_service_pb2 import UploadFileAttachmentRequest

# Protobuf's encoding: a tag of field number and wire type, here of length and bytes; the length in
# groups of seven bits, the lowest first, the eighth telling that more follow.
_LENGTH_DELIMITED = 2
_CHUNK = UploadFileAttachmentRequest.CHUNK_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_MORE = 0x80

# The groups of the largest message that gRPC carries, whose length has 32 bits.
_MAX_GROUPS = 5

_Read = Callable[[bytes], Any]


def check_understood(request: object) -> None:
    """Raise InvalidRequest if a request is one that couldn't be read."""
    if isinstance(request, DecodeError):
        raise InvalidRequest(
            FieldViolation(
                "request", "these bytes are no message of the contract; are all its strings UTF-8?"
            )
        )


class DeserializingServer:
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
        ours = {name: _with_our_deserializer(name, handler) for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, ours)


def _with_our_deserializer(name: str, handler: Any) -> Any:
    if handler.response_streaming:
        raise TypeError(f"{name} streams its response; give it a deserializer here")
    read, write = _or_error(handler.request_deserializer), handler.response_serializer
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(handler.stream_unary, chunk_or(read), write)
    return grpc.unary_unary_rpc_method_handler(handler.unary_unary, read, write)


def _or_error(read: _Read) -> _Read:
    def read_or_error(message: bytes) -> Any:
        try:
            return read(message)
        except DecodeError as error:
            return error

    return read_or_error


def chunk_or(read: _Read) -> _Read:
    """Return what reads a message as its chunk, if it is nothing else, or as `read` has it."""

    def read_either(message: bytes) -> Any:
        chunk = chunk_of(message)
        return read(message) if chunk is None else chunk

    return read_either


def chunk_of(message: bytes) -> memoryview | None:
    """Return the chunk of a message that holds nothing else; None if it isn't such a one."""
    if not message or message[0] != _CHUNK:
        return None
    length = 0
    for at, group in enumerate(message[1 : 1 + _MAX_GROUPS]):
        length |= (group & ~_MORE) << 7 * at
        if group < _MORE:
            begin = at + 2
            return memoryview(message)[begin:] if length == len(message) - begin else None
    return None
