"""Tests of rpc/compression.py: messages in gzip and deflate, and their limit."""

import gzip
import zlib

import grpc.aio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.errors import InvalidRequest
from attachment_gateway.rpc.compression import decompressed
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, PostRef
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.support.calls import BEARER, AsyncStub, Start, create, failure, upload
from tests.support.raw_graph import RawGraph


@given(st.binary(max_size=1000), st.integers(min_value=1, max_value=9))
def test_a_compressed_message_is_as_it_was(message: bytes, level: int) -> None:
    """A message in gzip or deflate, at any level, is what was compressed."""
    assert decompressed(gzip.compress(message, level), 1000) == message
    assert decompressed(zlib.compress(message, level), 1000) == message


@pytest.mark.parametrize("message", [b"", b"\x0a\x00", b"\x12\x02\x1f\x8b", b"\x1f", b"\x78"])
def test_a_plain_message_stays_as_it_is(message: bytes) -> None:
    """A message that doesn't begin as a compressed one isn't touched."""
    assert decompressed(message, 1) is message


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (gzip.compress(bytes(1001)), "larger than 1,000 bytes"),
        (gzip.compress(bytes(1000))[:-9], "cut"),
        (b"\x1f\x8b\x08" + bytes(50), "damaged"),
        (zlib.compress(bytes(1001)), "larger than 1,000 bytes"),
    ],
)
def test_what_cannot_be_decompressed_is_refused(message: bytes, why: str) -> None:
    """A message that expands beyond the limit, is cut or damaged is refused with the reason."""
    with pytest.raises(InvalidRequest, match=why):
        decompressed(message, 1000)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_caller_may_compress(
    stub: AsyncStub, graph: RawGraph, post: PostRef, compression: grpc.Compression
) -> None:
    """Messages of both methods may be compressed."""
    content = b"x" * 100_000
    file = Attachment(name="n", file_attachment=FileAttachment(content_bytes=content))
    await stub.UploadFileAttachment(
        upload(post, [content]), metadata=BEARER, compression=compression
    )
    await stub.CreateAttachment(create(post, file), metadata=BEARER, compression=compression)
    first, second = (received.json["contentBytes"] for received in graph.received)
    assert len(first) > len(content)
    assert first == second


async def test_a_message_that_expands_too_far_is_refused(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A message that expands beyond the largest one is refused, and nothing is sent."""
    gateway = await start()
    file = Attachment(file_attachment=FileAttachment(content_bytes=bytes(20_000_000)))
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        call = AttachmentServiceStub(channel).CreateAttachment(
            create(post, file), metadata=BEARER, compression=grpc.Compression.Gzip
        )
        failed = await failure(call)
    assert failed.info.reason == "INVALID_REQUEST"
    assert "larger than 8,388,608 bytes" in failed.message
    assert graph.connections == 0
