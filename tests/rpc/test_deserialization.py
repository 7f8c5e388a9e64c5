"""Tests of rpc/deserialization.py: how a request's bytes are read."""

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
def test_a_chunk_is_read_without_a_copy(length: int) -> None:
    """A chunk of any length is what protobuf reads, as a view of the message's bytes."""
    message = UploadFileAttachmentRequest(chunk=b"\x12" * length).SerializeToString()
    chunk: Any = chunk_of(message)
    assert chunk is not None
    assert (chunk, chunk.obj is message) == (b"\x12" * length, True)


def test_a_length_in_more_bytes_than_needed_is_read() -> None:
    """A chunk's length in more bytes than it needs is read, as protobuf does."""
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
def test_any_other_message_is_left_to_protobuf(message: bytes) -> None:
    """A message that isn't one whole chunk is read by protobuf."""
    assert chunk_of(message) is None
    assert chunk_or(lambda data: ("read", data))(message) == ("read", message)


@given(st.binary(max_size=12).map(lambda rest: b"\x12" + rest) | st.binary(max_size=300))
def test_a_chunk_is_what_protobuf_reads(message: bytes) -> None:
    """A chunk that is found in any bytes is all that protobuf finds in them."""
    chunk = chunk_of(message)
    if chunk is not None:
        assert UploadFileAttachmentRequest.FromString(message) == UploadFileAttachmentRequest(
            chunk=bytes(chunk)
        )


class Server:
    """A server that records the handlers that are added to it."""

    def __init__(self) -> None:
        self.handlers: dict[str, Any] = {}

    def add_registered_method_handlers(self, _service: str, handlers: dict[str, Any]) -> None:
        self.handlers |= handlers


def test_a_unary_method_is_served_as_a_stream() -> None:
    """A unary method gets its message as bytes, from a stream, and an upload's handler stays."""
    server = Server()
    made = DeserializingServer(cast("grpc.aio.Server", server), max_message_bytes=1000)
    made.add_registered_method_handlers(
        "Service",
        {
            "Upload": grpc.stream_unary_rpc_method_handler(lambda *_: None),
            "Create": grpc.unary_unary_rpc_method_handler(lambda *_: None),
        },
    )
    upload, create = server.handlers["Upload"], server.handlers["Create"]
    assert (upload.request_streaming, upload.response_streaming) == (True, False)
    assert (create.request_streaming, create.response_streaming) == (True, True)
    assert create.request_deserializer is None


@pytest.mark.parametrize(
    "handler",
    [
        grpc.unary_stream_rpc_method_handler(lambda *_: None),
        grpc.stream_stream_rpc_method_handler(lambda *_: None),
    ],
)
def test_a_method_that_streams_its_response_is_refused(handler: Any) -> None:
    """A method that streams its response is refused, because it would be served as a unary one."""
    made = DeserializingServer(cast("grpc.aio.Server", Server()), max_message_bytes=1000)
    with pytest.raises(TypeError, match="List streams its response"):
        made.add_registered_method_handlers("Service", {"List": handler})
