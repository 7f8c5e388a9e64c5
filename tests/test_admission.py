"""Tests of admission.py: the memory of calls, and who gets it."""

import asyncio
from functools import partial

import grpc.aio
import pytest

from attachment_gateway.admission import (
    LOOK_EVERY_S,
    MIB,
    Admission,
    AwaitedCaller,
    CallAdmission,
    Reservation,
)
from attachment_gateway.deadline import Deadline
from attachment_gateway.errors import GatewayError, GatewayOverloaded, ReservationLost
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.support.calls import BEARER, Start, failure, upload
from tests.support.raw_graph import Exchange, RawGraph, answer


async def waiting(
    admission: Admission, size_bytes: int, kept: int = 0, caller: str = "a"
) -> asyncio.Task[Reservation]:
    task = asyncio.create_task(admission.wait(caller, size_bytes, kept_bytes=kept))
    await asyncio.sleep(0)
    return task


async def test_reservations_are_limited_to_the_memory() -> None:
    """Reservations of at most the memory succeed, and one more only after a release."""
    admission = Admission(100)
    first, second = admission.reserve("a", 60), admission.reserve("a", 40)
    assert first is not None
    assert second is not None
    assert admission.reserve("a", 1) is None
    first.release()
    assert admission.reserve("a", 60) is not None


async def test_reservations_are_given_in_order_of_arrival() -> None:
    """A small reservation that would fit waits behind a large one that came before it."""
    admission = Admission(100)
    first = admission.reserve("a", 60)
    assert first is not None
    large, small = await waiting(admission, 50), await waiting(admission, 10)
    await asyncio.sleep(0)
    assert (large.done(), small.done(), admission.reserve("a", 1)) == (False, False, None)
    first.release()
    await asyncio.sleep(0)
    assert (large.done(), small.done()) == (True, True)


async def test_a_reservation_larger_than_the_memory_is_alone() -> None:
    """A reservation larger than the memory is given, and blocks all others until its release."""
    admission = Admission(100)
    reservation = admission.reserve("a", 500)
    assert reservation is not None
    other = await waiting(admission, 1)
    assert not other.done()
    reservation.release()
    await other


async def test_a_shared_reservation_is_free_after_its_last_release() -> None:
    """A shared reservation is free only after each of its holders has released it."""
    admission = Admission(100)
    reservation = admission.reserve("a", 100)
    assert reservation is not None
    reservation.share()
    reservation.release()
    assert admission.reserve("a", 1) is None
    reservation.release()
    assert admission.reserve("a", 100) is not None


@pytest.mark.parametrize("admitted", [True, False])
async def test_a_cancelled_wait_keeps_no_memory(admitted: bool) -> None:
    """A wait that is cancelled keeps no memory, also if it was admitted just before."""
    admission = Admission(100)
    reservation = admission.reserve("a", 100)
    assert reservation is not None
    gone, next_one = await waiting(admission, 80), await waiting(admission, 100)
    if admitted:
        reservation.release()
    gone.cancel()
    await asyncio.wait({gone})
    if not admitted:
        reservation.release()
    (await next_one).release()
    assert admission.reserve("a", 100) is not None


async def test_waiting_calls_keep_at_most_the_memory() -> None:
    """If calls that wait keep more than the memory, the caller with the most loses its last."""
    admission = Admission(100)
    reservation = admission.reserve("a", 100)
    assert reservation is not None
    calls = [await waiting(admission, 1, kept=30, caller=each) for each in ("b", "b", "b", "c")]
    with pytest.raises(GatewayOverloaded, match="the 100 bytes for uploads are reserved, and 3"):
        await calls[2]
    assert not any(call.done() for call in (calls[0], calls[1], calls[3]))
    last = await waiting(admission, 1, kept=41, caller="d")
    with pytest.raises(GatewayOverloaded):
        await calls[1]
    reservation.release()
    for call in (calls[0], calls[3], last):
        (await call).release()
    assert not admission._kept_bytes


async def test_a_call_that_has_read_a_message_comes_first() -> None:
    """A call that needs more memory for what it has read comes before all that have read none."""
    admission = Admission(100)
    reservation, other = admission.reserve("a", 40), admission.reserve("a", 60)
    assert reservation is not None
    assert other is not None
    reader = await waiting(admission, 10)
    growing = asyncio.create_task(admission.grow(reservation, 80, kept_bytes=10))
    await asyncio.sleep(0)
    assert (reservation.size_bytes, reader.done(), growing.done()) == (10, False, False)
    other.release()
    await growing
    assert reservation.size_bytes == 80
    await reader
    reservation.release()
    reader.result().release()
    assert admission.is_idle
    assert admission._free_bytes == 100


async def test_calls_that_grow_never_wait_for_each_other() -> None:
    """If all memory is held by calls that want more, the largest is refused, and others go on."""
    admission = Admission(100)
    reservations = [admission.reserve("a", 50), admission.reserve("a", 50)]
    growing = []
    for reservation, kept_bytes in zip(reservations, (40, 45), strict=True):
        assert reservation is not None
        growing.append(asyncio.create_task(admission.grow(reservation, 100, kept_bytes=kept_bytes)))
        await asyncio.sleep(0)
    with pytest.raises(GatewayOverloaded):
        await growing[1]
    assert not growing[0].done()
    assert reservations[1] is not None
    reservations[1].release()
    await growing[0]


def _note(order: list[str], caller: str, _: object) -> None:
    order.append(caller)


def _end(ended: list[float], late_s: float, reservation: Reservation, _: GatewayError) -> None:
    ended.append(late_s)
    reservation.release()


async def test_the_caller_with_the_least_memory_comes_first() -> None:
    """Of several callers, the one that holds the least is admitted first, and each in order."""
    admission = Admission(100)
    held = [admission.reserve("a", 50), admission.reserve("b", 30), admission.reserve("a", 20)]
    order = list[str]()
    for caller in ("a", "b", "a", "c"):
        task = await waiting(admission, 20, caller=caller)
        task.add_done_callback(partial(_note, order, caller))
    for reservation in held[::-1]:
        assert reservation is not None
        reservation.release()
        await asyncio.sleep(0.01)
    assert order == ["c", "b", "a", "a"]


async def test_a_reservation_grows_only_into_free_memory() -> None:
    """A reservation grows if there is room and nobody waits, and shrinks at any time."""
    admission = Admission(100)
    first = admission.reserve("a", 40)
    assert first is not None
    assert first.resize(80)
    other = await waiting(admission, 30)
    assert not first.resize(81)
    assert first.resize(70)
    await other
    assert first.size_bytes == 70
    assert not first.resize(71)


@pytest.mark.parametrize(("late_s", "is_lost"), [(0.4, False), (0.6, True)])
async def test_a_late_caller_loses_its_memory_to_one_that_waits(
    late_s: float, is_lost: bool
) -> None:
    """While another call waits, a caller that is late by more than PATIENCE_S is ended."""
    admission = Admission(100 * MIB)
    ended = list[GatewayError]()
    reservations = [admission.reserve("a", 50 * MIB), admission.reserve("a", 50 * MIB)]
    for reservation, each_s in zip(reservations, (late_s, 0.1), strict=True):
        assert reservation is not None
        reservation.awaited = AwaitedCaller(late_s=partial(float, each_s), end=ended.append)
    await asyncio.sleep(2 * LOOK_EVERY_S)
    assert not ended
    other = await waiting(admission, 10 * MIB)
    await asyncio.sleep(2 * LOOK_EVERY_S)
    assert [type(each) for each in ended] == [ReservationLost] * is_lost
    other.cancel()


async def test_a_late_caller_that_holds_little_is_kept() -> None:
    """A call whose end would make no room isn't ended."""
    admission = Admission(10 * MIB)
    small, large = admission.reserve("a", 1000), admission.reserve("a", 10 * MIB - 1000)
    assert small is not None
    assert large is not None
    ended = list[GatewayError]()
    small.awaited = AwaitedCaller(late_s=partial(float, 60), end=ended.append)
    other = await waiting(admission, MIB)
    await asyncio.sleep(3 * LOOK_EVERY_S)
    assert not ended
    other.cancel()


async def test_no_more_callers_are_ended_than_is_needed() -> None:
    """The latest caller is ended first, and no other if its memory is enough."""
    admission = Admission(100 * MIB)
    ended = list[float]()
    for late_s in (5.0, 9.0, 7.0):
        reservation = admission.reserve("a", 30 * MIB)
        assert reservation is not None
        reservation.awaited = AwaitedCaller(
            late_s=partial(float, late_s), end=partial(_end, ended, late_s, reservation)
        )
    await (await waiting(admission, 60 * MIB))
    assert ended == [9.0, 7.0]


async def test_uploads_wait_for_each_other(start: Start, graph: RawGraph, post: PostRef) -> None:
    """If the memory has room for one upload, calls of both RPCs are sent one by one and succeed."""
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


async def test_a_call_that_waits_to_its_deadline_is_told_overloaded(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """A call that waits for memory until its deadline gets GATEWAY_OVERLOADED with a delay."""
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


async def test_a_cancelled_call_keeps_memory_while_its_attempt_runs(
    start: Start, graph: RawGraph, post: PostRef
) -> None:
    """The memory of a cancelled call is released only after its attempt has ended."""
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


@pytest.mark.parametrize("steps", range(6))
async def test_a_call_cancelled_as_it_is_admitted_releases_its_reservation(steps: int) -> None:
    """No bytes stay reserved, at whatever step of the event loop the call is cancelled."""
    admission = Admission(100)
    first = admission.reserve("a", 100)
    assert first is not None
    deadline = Deadline(10)

    async def call() -> None:
        with CallAdmission(admission, "a", deadline) as admitted:
            waiting = admitted.reserve(50, kept_bytes=1)
            assert waiting is not None
            await waiting
            await asyncio.sleep(5)

    calling = asyncio.create_task(call())
    await asyncio.sleep(0.01)
    first.release()
    for _ in range(steps):
        await asyncio.sleep(0)
    calling.cancel()
    await asyncio.gather(calling, return_exceptions=True)
    await asyncio.sleep(0.01)
    deadline.close()
    assert admission.reserve("a", 100) is not None
    assert admission._free_bytes == 0
