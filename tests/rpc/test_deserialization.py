"""deserialization: how a request's bytes are read."""

from typing import Any, cast

import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.rpc.deserialization import DeserializingServer, chunk_of, chunk_or
from graphattachments.v1.attachment_service_pb2 import (
    UploadFileAttachmentRequest,
    UploadFooter,
    UploadHeader,
)

LENGTHS = [0, 1, 127, 128, 16_383, 16_384, 262_144, 2_097_151, 2_097_152]


@pytest.mark.parametrize("length", LENGTHS)
def test_a_chunk(length: int) -> None:
    """It is what protobuf reads, at every change of its length's encoding; and no copy."""
    message = UploadFileAttachmentRequest(chunk=b"\x12" * length).SerializeToString()
    chunk: Any = chunk_of(message)
    assert chunk is not None
    assert (chunk, chunk.obj is message) == (b"\x12" * length, True)


def test_a_length_with_more_groups_than_it_needs() -> None:
    """Is a length, as for protobuf."""
    message = b"\x12\x83\x80\x00abc"
    found: Any = chunk_of(message)
    assert UploadFileAttachmentRequest.FromString(message).chunk == b"abc" == found


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"\x12",
        b"\x12\x80",
        b"\x12\x03ab",
        b"\x12\x01ab",
        b"\x12\x01a\x12\x01b",
        b"\x12\x81\x80\x80\x80\x80\x00a",
        UploadFileAttachmentRequest(header=UploadHeader(request_id="r")).SerializeToString(),
        UploadFileAttachmentRequest(footer=UploadFooter(size_bytes=1)).SerializeToString(),
    ],
)
def test_anything_else(message: bytes) -> None:
    """Is left to protobuf."""
    assert chunk_of(message) is None
    assert chunk_or(lambda data: ("read", data))(message) == ("read", message)


@given(st.binary(max_size=12).map(lambda rest: b"\x12" + rest) | st.binary(max_size=300))
def test_it_reads_nothing_that_protobuf_reads_otherwise(message: bytes) -> None:
    """Whatever the bytes, a chunk that is found is all that protobuf finds."""
    chunk = chunk_of(message)
    if chunk is not None:
        assert UploadFileAttachmentRequest.FromString(message) == UploadFileAttachmentRequest(
            chunk=bytes(chunk)
        )


class Server:
    """What handlers are added to."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_registered_method_handlers(self, _service: str, handlers: dict[str, Any]) -> None:
        self.handlers |= handlers


def test_handlers_keep_their_arity() -> None:
    """A stream stays one; only the deserializers are ours."""
    server = Server()
    made = DeserializingServer(cast("grpc.aio.Server", server))
    made.add_registered_method_handlers(
        "Service",
        {
            "Upload": grpc.stream_unary_rpc_method_handler(lambda *_: None),
            "Create": grpc.unary_unary_rpc_method_handler(lambda *_: None),
        },
    )
    assert server.handlers["Upload"].request_streaming
    assert not server.handlers["Create"].request_streaming


@pytest.mark.parametrize(
    "handler",
    [
        grpc.unary_stream_rpc_method_handler(lambda *_: None),
        grpc.stream_stream_rpc_method_handler(lambda *_: None),
    ],
)
def test_a_method_that_streams_its_response_is_refused(handler: Any) -> None:
    """It would be taken for one that answers once; whoever adds one adds its handler, too."""
    made = DeserializingServer(cast("grpc.aio.Server", Server()))
    with pytest.raises(TypeError, match="List streams its response"):
        made.add_registered_method_handlers("Service", {"List": handler})
