"""The deserializers that the gateway gives its methods."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from attachment_gateway.errors import InvalidRequest
from attachment_gateway.rpc.compression import decompressed
from attachment_gateway.rpc.deserialization import DeserializingServer, create_request
from graphattachments.v1.attachment_service_pb2_grpc import (
    AttachmentServiceServicer,
    add_AttachmentServiceServicer_to_server,
)

if TYPE_CHECKING:
    import grpc.aio

Read = Callable[[bytes], Any]


class _Recorder:
    """Takes the place of a server when a servicer is added, and keeps its deserializers."""

    def __init__(self) -> None:
        self.deserializers: dict[str, Read] = {}

    def add_registered_method_handlers(self, _: str, handlers: Mapping[str, Any]) -> None:
        for name, handler in handlers.items():
            self.deserializers[name] = handler.request_deserializer


# The largest message of a gateway with the default settings.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024


class _Servicer(AttachmentServiceServicer):
    """Has the methods, and none is called."""

    def UploadFileAttachment(self, request_iterator: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError

    def CreateAttachment(self, request: Any, context: Any) -> Any:  # noqa: N802
        raise NotImplementedError


def _deserializers() -> Mapping[str, Read]:
    recorder = _Recorder()
    server = DeserializingServer(
        cast("grpc.aio.Server", recorder), max_message_bytes=MAX_MESSAGE_BYTES
    )
    add_AttachmentServiceServicer_to_server(
        _Servicer(),
        server,  # type: ignore[arg-type]  # it has the methods that are called
    )
    return {**recorder.deserializers, "CreateAttachment": _create}


def _create(message: bytes) -> Any:
    """Read the message of a call that is served as a stream; return an error as the others do."""
    try:
        return create_request(decompressed(message, MAX_MESSAGE_BYTES))
    except InvalidRequest as error:
        return error


DESERIALIZERS: Mapping[str, Read] = _deserializers()
