"""admission: memory for uploads, first come, first served."""

import asyncio

import grpc.aio
import pytest

from attachment_gateway.admission import Admission, Reservation
from attachment_gateway.errors import GatewayOverloaded
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.support.calls import BEARER, Start, failure, upload
from tests.support.raw_graph import Exchange, RawGraph, answer


async def waiting(
    admission: Admission, size_bytes: int, kept: int = 0
) -> asyncio.Task[Reservation]:
    task = asyncio.create_task(admission.wait(size_bytes, kept_bytes=kept))
    await asyncio.sleep(0)
    return task


async def test_as_much_as_there_is() -> None:
    """And no more at once."""
    admission = Admission(100)
    first, second = admission.reserve(60), admission.reserve(40)
    assert first is not None
    assert second is not None
    assert admission.reserve(1) is None
    first.release()
    assert admission.reserve(60) is not None


async def test_first_come_first_served() -> None:
    """A small one that would fit waits behind a large one, which is not starved."""
    admission = Admission(100)
    first = admission.reserve(60)
    assert first is not None
    large, small = await waiting(admission, 50), await waiting(admission, 10)
    await asyncio.sleep(0)
    assert (large.done(), small.done(), admission.reserve(1)) == (False, False, None)
    first.release()
    await asyncio.sleep(0)
    assert (large.done(), small.done()) == (True, True)


async def test_more_than_all() -> None:
    """Is alone."""
    admission = Admission(100)
    reservation = admission.reserve(500)
    assert reservation is not None
    other = await waiting(admission, 1)
    assert not other.done()
    reservation.release()
    await other


async def test_room_is_held_by_all_who_hold_it() -> None:
    """Until the last of them has let go."""
    admission = Admission(100)
    reservation = admission.reserve(100)
    assert reservation is not None
    reservation.share()
    reservation.release()
    assert admission.reserve(1) is None
    reservation.release()
    assert admission.reserve(100) is not None


@pytest.mark.parametrize("admitted", [True, False])
async def test_who_gives_up_keeps_nothing(admitted: bool) -> None:
    """Whether it was let in at that very moment or not."""
    admission = Admission(100)
    reservation = admission.reserve(100)
    assert reservation is not None
    gone, next_one = await waiting(admission, 80), await waiting(admission, 100)
    if admitted:
        reservation.release()
    gone.cancel()
    await asyncio.wait({gone})
    if not admitted:
        reservation.release()
    (await next_one).release()
    assert admission.reserve(100) is not None


async def test_waiting_takes_memory_too() -> None:
    """And no more than uploads may."""
    admission = Admission(100)
    reservation = admission.reserve(100)
    assert reservation is not None
    first = await waiting(admission, 1, kept=60)
    with pytest.raises(GatewayOverloaded, match="the 100 bytes for uploads are taken, and 1 calls"):
        await admission.wait(1, kept_bytes=41)
    reservation.release()
    await first


async def test_uploads_wait_for_each_other(start: Start, graph: RawGraph, post: PostRef) -> None:
    """With room for one at a time they go one after the other, by either RPC, and all succeed."""
    busy, most = 0, 0

    async def slow(exchange: Exchange) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await answer(delay_s=0.05)(exchange)
        busy -= 1

    graph.script = [slow] * 12
    gateway = await start(upload_memory_bytes=1_000_000)
    posts = [PostRef(group_id=f"g{at}", thread_id="t", post_id="p") for at in range(8)]
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        calls = [
            stub.UploadFileAttachment(
                upload(each, [bytes(500_000)], size_bytes=500_000), metadata=BEARER
            )
            for each in posts[:6]
        ] + [
            stub.CreateAttachment(
                CreateAttachmentRequest(
                    post=each,
                    attachment=Attachment(
                        name="n", file_attachment=FileAttachment(content_bytes=bytes(250_000))
                    ),
                ),
                metadata=BEARER,
            )
            for each in posts[6:]
        ]
        await asyncio.gather(*calls)
    assert (len(graph.received), most) == (8, 1)


async def test_a_full_gateway(start: Start, graph: RawGraph, post: PostRef) -> None:
    """Tells those whose time ends while they wait, and when to come again."""
    graph.script = [answer(delay_s=2)]
    gateway = await start(upload_memory_bytes=1_000_000)
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        first = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
        await asyncio.sleep(0.3)
        call = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER, timeout=1)
        failed = await failure(call)
        assert (failed.code.name, failed.info.reason) == (
            "RESOURCE_EXHAUSTED",
            "GATEWAY_OVERLOADED",
        )
        assert "RetryInfo" in failed.details
        await first
    assert len(graph.received) == 1


async def test_room_outlives_its_caller(start: Start, graph: RawGraph, post: PostRef) -> None:
    """A body that is still needed is still there."""
    graph.script = [answer(delay_s=1)]
    gateway = await start(upload_memory_bytes=1_000_000)
    other = PostRef(group_id="other", thread_id="t", post_id="p")
    async with grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        gone = stub.UploadFileAttachment(upload(post, [b"x"]), metadata=BEARER)
        await asyncio.sleep(0.3)
        gone.cancel()
        call = stub.UploadFileAttachment(upload(other, [b"x"]), metadata=BEARER, timeout=0.4)
        assert (await failure(call)).info.reason == "GATEWAY_OVERLOADED"
        await stub.UploadFileAttachment(upload(other, [b"x"]), metadata=BEARER)
