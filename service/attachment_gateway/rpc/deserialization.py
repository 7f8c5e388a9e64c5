"""Deserialize requests: a chunk without a copy, and an invalid message as an error to return.

Protobuf would copy each chunk twice, into the message and out of it. For bytes that aren't a valid
message, gRPC would answer UNKNOWN, which means something else here, with an exception's text. A
string that isn't UTF-8, which some languages can send, makes a message invalid, too.
"""

from collections.abc import Callable, Mapping
from typing import Any

import grpc.aio
from google.protobuf.message import DecodeError

from attachment_gateway.errors import FieldViolation, InvalidRequest
from graphattachments.v1.attachment_service_pb2 import UploadFileAttachmentRequest

# Protobuf's encoding of a bytes field: a tag (field number and wire type), the length, the bytes.
# The length is in groups of 7 bits, lowest first; the 8th bit is set if another group follows.
_LENGTH_DELIMITED = 2
_CHUNK = UploadFileAttachmentRequest.CHUNK_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_MORE = 0x80

# The most groups that a length can have: gRPC's lengths have 32 bits.
_MAX_GROUPS = 5

_Read = Callable[[bytes], Any]


def check_understood(request: object) -> None:
    """Raise InvalidRequest if the deserializer returned an error instead of a request."""
    if isinstance(request, DecodeError):
        raise InvalidRequest(
            FieldViolation(
                "request", "not a message of the contract; check that all its strings are UTF-8"
            )
        )


class DeserializingServer:
    """Stands in for the server when a servicer is added, and replaces the deserializers.

    The servicer's methods then get a DecodeError for an invalid message, and in a stream a
    memoryview for a message that holds only a chunk.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Do nothing: add_registered_method_handlers is called with the same methods."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add a service's methods with their deserializers replaced."""
        ours = {name: _with_our_deserializer(name, handler) for name, handler in handlers.items()}
        self._server.add_registered_method_handlers(service, ours)


def _with_our_deserializer(name: str, handler: Any) -> Any:
    if handler.response_streaming:
        raise TypeError(f"{name} streams its response; add its deserializer here")
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
    """Return a deserializer for messages with only a chunk, which uses `read` for all others."""

    def read_either(message: bytes) -> Any:
        chunk = chunk_of(message)
        return read(message) if chunk is None else chunk

    return read_either


def chunk_of(message: bytes) -> memoryview | None:
    """Return the chunk of a message that holds only a chunk; None for any other message."""
    if not message or message[0] != _CHUNK:
        return None
    length = 0
    for at, group in enumerate(message[1 : 1 + _MAX_GROUPS]):
        length |= (group & ~_MORE) << 7 * at
        if group < _MORE:
            begin = at + 2
            return memoryview(message)[begin:] if length == len(message) - begin else None
    return None
