"""Calls to a gateway: the messages that a caller sends, and the errors that it gets."""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import grpc.aio
import pytest
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo
from grpc_status import rpc_status

from attachment_gateway.server.gateway import Gateway
from graphattachments.v1.attachment_pb2 import Attachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
    UploadFooter,
    UploadHeader,
)

if TYPE_CHECKING:
    from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceAsyncStub

TOKEN = "eyJ0eXAi.eyJhcHBpZCI6.c2lnbg"
BEARER = (("authorization", f"Bearer {TOKEN}"),)

# Settings for a Graph that settles within 0.2 s, and a ledger in memory.
QUICK: dict[str, Any] = {"ledger": "memory:", "settle_s": 0.2}

Start = Callable[..., Awaitable[Gateway]]

# A stub on an asynchronous channel, a class that exists in the type stubs only.
AsyncStub: TypeAlias = "AttachmentServiceAsyncStub"


def upload(
    post: PostRef, chunks: Iterable[bytes], footer: UploadFooter | None = None, **header: Any
) -> Iterator[UploadFileAttachmentRequest]:
    """Return the messages of an upload."""
    described = {"post": post, "attachment": Attachment(name="report.pdf"), **header}
    requests = [UploadFileAttachmentRequest(header=UploadHeader(**described))]
    requests += [UploadFileAttachmentRequest(chunk=chunk) for chunk in chunks]
    return iter([*requests, UploadFileAttachmentRequest(footer=footer)] if footer else requests)


def create(post: PostRef, attachment: Attachment, **fields: Any) -> CreateAttachmentRequest:
    """Return the message of a create."""
    return CreateAttachmentRequest(post=post, attachment=attachment, **fields)


@dataclass
class Failure:
    """The error of a call, with its details by their type's name."""

    code: grpc.StatusCode
    message: str
    info: ErrorInfo
    details: dict[str, Message]
    trailers: dict[str, str]
    trailers_bytes: int
    """The size as HPACK counts it: each name, its value, in base64 if binary, and 32 bytes."""

    @property
    def metadata(self) -> dict[str, str]:
        """Return ErrorInfo's metadata without the two request ids."""
        ids = {"graph_request_id", "client_request_id"}
        return {name: text for name, text in self.info.metadata.items() if name not in ids}


@dataclass(frozen=True)
class _Status:
    """The status with which a call ended, with the methods that grpc_status asks for."""

    of_code: grpc.StatusCode
    of_details: str
    of_trailers: Any

    def code(self) -> grpc.StatusCode:
        return self.of_code

    def details(self) -> str:
        return self.of_details

    def trailing_metadata(self) -> Any:
        return self.of_trailers


async def server_status(call: Any) -> _Status:
    """Wait until a call has failed, and return the server's status.

    A client of grpc.aio that is cut off in a write may replace it by INTERNAL (grpc/grpc#36066),
    but not before the callbacks have been called.
    """
    seen = list[_Status]()
    call.add_done_callback(
        lambda ended: seen.append(
            _Status(
                _at_once(ended.code()),
                _at_once(ended.details()),
                _at_once(ended.trailing_metadata()),
            )
        )
    )
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    last = _Status(
        caught.value.code(), caught.value.details() or "", caught.value.trailing_metadata()
    )
    return next((each for each in (*seen, last) if each.of_trailers), last)


def _at_once(result: Any) -> Any:
    """Return the result of a coroutine that doesn't wait for anything."""
    try:
        result.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("it waits")


async def failure(call: Any) -> Failure:
    """Return the error of a call, which must fail."""
    ended = await server_status(call)
    status = rpc_status.from_call(cast("grpc.Call", ended))
    assert status is not None, ended
    details: dict[str, Message] = {}
    for packed in status.details:
        for kind in (ErrorInfo, BadRequest, ResourceInfo, RetryInfo):
            unpacked = kind()
            if packed.Unpack(unpacked):
                details[kind.__name__] = unpacked
    info = details.pop("ErrorInfo")
    assert isinstance(info, ErrorInfo)
    assert info.domain == "attachment-gateway"
    trailing = list(ended.trailing_metadata())
    message = ended.details()
    return Failure(
        code=ended.code(),
        message=message,
        info=info,
        details=details,
        trailers={key: text for key, text in trailing if "bin" not in key},
        trailers_bytes=_wire_bytes([*trailing, ("grpc-message", message), ("grpc-status", "14")]),
    )


def _wire_bytes(trailers: Sequence[tuple[str, str | bytes]]) -> int:
    return sum(len(name) + 32 + _value_bytes(value) for name, value in trailers)


def _value_bytes(value: str | bytes) -> int:
    """Return a value's size: bytes in base64 without padding, and text percent-encoded."""
    if isinstance(value, bytes):
        return -(-len(value) * 4 // 3)
    return sum(1 if 0x20 <= byte <= 0x7E and byte != 0x25 else 3 for byte in value.encode())
