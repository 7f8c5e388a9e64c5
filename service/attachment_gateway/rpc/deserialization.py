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
from attachment_gateway.rpc.compression import decompressed
from attachment_gateway.rpc.element_count import check_elements
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
)

# Protobuf's encoding of a bytes field: a tag (field number and wire type), the length, the bytes.
# The length is in groups of 7 bits, lowest first; the 8th bit is set if another group follows.
_LENGTH_DELIMITED = 2
_CHUNK = UploadFileAttachmentRequest.CHUNK_FIELD_NUMBER << 3 | _LENGTH_DELIMITED
_MORE = 0x80

# The most groups that a length can have: gRPC's lengths have 32 bits.
_MAX_GROUPS = 5

_Read = Callable[[bytes], Any]


def check_understood(request: object) -> None:
    """Raise InvalidRequest if the deserializer returned it instead of a request."""
    if isinstance(request, InvalidRequest):
        raise request


def create_request(message: bytes) -> CreateAttachmentRequest:
    """Return the request in a message. Raises InvalidRequest if it isn't one, or too complex."""
    check_elements(message, CreateAttachmentRequest.DESCRIPTOR)
    try:
        return CreateAttachmentRequest.FromString(message)
    except DecodeError:
        raise not_understood() from None


def not_understood() -> InvalidRequest:
    """Return the error for bytes that aren't a message of the method."""
    return InvalidRequest(
        FieldViolation(
            "request", "not a message of the contract; check that all its strings are UTF-8"
        )
    )


class DeserializingServer:
    """Stands in for the server when a servicer is added, and replaces the deserializers.

    The servicer's methods then get an InvalidRequest for an invalid message, and in a stream a
    memoryview for a message that holds only a chunk.
    """

    def __init__(self, server: grpc.aio.Server, *, max_message_bytes: int) -> None:
        self._server = server
        self._max_message_bytes = max_message_bytes

    def add_generic_rpc_handlers(self, handlers: object) -> None:
        """Do nothing: add_registered_method_handlers is called with the same methods."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Add a service's methods with their deserializers replaced."""
        ours = {name: self._handler(name, each) for name, each in handlers.items()}
        self._server.add_registered_method_handlers(service, ours)

    def _handler(self, name: str, handler: Any) -> Any:
        return _with_our_deserializer(name, handler, self._max_message_bytes)


def _with_our_deserializer(name: str, handler: Any, max_bytes: int) -> Any:
    """Return the handler of a method that reads its messages itself.

    A unary method is served as a stream, and its message passed as bytes: so it isn't received
    before the method asks for it. Callers see no difference.
    """
    if handler.response_streaming:
        raise TypeError(f"{name} streams its response; add its deserializer here")
    write = handler.response_serializer
    if handler.request_streaming:
        read = _or_error(chunk_or(handler.request_deserializer), max_bytes)
        return grpc.stream_unary_rpc_method_handler(handler.stream_unary, read, write)
    return grpc.stream_stream_rpc_method_handler(handler.unary_unary, None, write)


def _or_error(read: _Read, max_bytes: int) -> _Read:
    def read_or_error(message: bytes) -> Any:
        try:
            return read(decompressed(message, max_bytes))
        except DecodeError:
            return not_understood()
        except InvalidRequest as error:
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
