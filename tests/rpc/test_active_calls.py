"""Tests of rpc/active_calls.py: the most calls and connections in one process."""

import asyncio

import grpc.aio
import pytest

from graphattachments.v1.attachment_pb2 import PostRef
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.support.calls import BEARER, Start, failure, upload
from tests.support.raw_graph import RawGraph, answer


@pytest.mark.parametrize(
    ("limit", "told"),
    [
        ({"max_calls": 2}, "the gateway has 2 calls in flight, the most that it takes at once"),
        ({"max_connections": 2}, "the gateway has 2 connections with calls in flight"),
    ],
)
async def test_one_call_more_than_the_limit_is_refused(
    start: Start, graph: RawGraph, limit: dict[str, int], told: str
) -> None:
    """A call beyond a limit is refused at once, and after another has ended it is taken."""
    graph.script = [answer(delay_s=0.5)] * 3
    gateway = await start(**limit, listen="127.0.0.1:0")
    posts = [PostRef(group_id=f"g{at}", thread_id="t", post_id="p") for at in range(3)]
    channels = [
        grpc.aio.insecure_channel(gateway.address, options=[("channel", at)]) for at in range(3)
    ]
    calls = [
        AttachmentServiceStub(channel).UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
        for channel, post in zip(channels[:2], posts[:2], strict=True)
    ]
    await asyncio.sleep(0.2)
    stub = AttachmentServiceStub(channels[2])
    refused = await failure(stub.UploadFileAttachment(upload(posts[2], [b"x"]), metadata=BEARER))
    assert (refused.code.name, refused.info.reason) == (
        "RESOURCE_EXHAUSTED",
        "GATEWAY_OVERLOADED",
    )
    assert refused.message.startswith(told)
    assert "RetryInfo" in refused.details
    await asyncio.gather(*calls)
    await stub.UploadFileAttachment(upload(posts[2], [b"x"]), metadata=BEARER)
    for channel in channels:
        await channel.close()
    assert len(graph.received) == 3
