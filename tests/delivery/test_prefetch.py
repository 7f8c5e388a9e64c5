"""Tests of delivery/prefetch.py: when the post is listed for a baseline, over sockets."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc.aio
import pytest

from attachment_gateway.delivery.attempt_baseline import AttemptBaseline
from attachment_gateway.delivery.baseline import MAX_IDS, Baseline
from attachment_gateway.delivery.post_reader import Listing
from attachment_gateway.delivery.prefetch import ListedBaseline
from attachment_gateway.delivery.stamps import ReadClocks
from attachment_gateway.server.gateway import running
from attachment_gateway.settings import Settings
from graph_emulator.control import EmulatorClient
from graph_emulator.faults import Fault, FaultAnswer
from graph_emulator.posts import Post
from graph_emulator.server import RunningEmulator
from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
    UploadHeader,
)
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from graphattachments.v1.event_pb2 import Event
from tests.support.calls import BEARER, QUICK, AsyncStub

With = Callable[[str], Awaitable[AsyncStub]]


@pytest.fixture
async def with_baseline(emulator: RunningEmulator, tmp_path: Path) -> AsyncIterator[With]:
    """A function that starts a gateway with a setting of `baseline`, and returns its client."""
    async with AsyncExitStack() as stack:

        async def started(baseline: str) -> AsyncStub:
            address = f"unix:{tmp_path}/{baseline}"
            settings = Settings(listen=address, graph_url=emulator.url, baseline=baseline, **QUICK)
            gateway = await stack.enter_async_context(running(settings))
            channel = grpc.aio.insecure_channel(gateway.address)
            return AttachmentServiceStub(await stack.enter_async_context(channel))

        yield started


def reference(post: Post) -> PostRef:
    return PostRef(group_id=post.group_id, thread_id=post.thread_id, post_id=post.post_id)


async def uploaded(
    stub: AsyncStub,
    post: Post,
    request_id: str,
    before_the_end: Callable[[], Awaitable[None]] | None = None,
) -> str:
    """Upload a file in two chunks, and return its id."""

    async def messages() -> AsyncIterator[UploadFileAttachmentRequest]:
        header = UploadHeader(
            post=reference(post), attachment=Attachment(name="a"), request_id=request_id
        )
        yield UploadFileAttachmentRequest(header=header)
        yield UploadFileAttachmentRequest(chunk=b"hello, ")
        if before_the_end is not None:
            await before_the_end()
        yield UploadFileAttachmentRequest(chunk=b"world")

    call = stub.UploadFileAttachment(messages(), metadata=BEARER, timeout=10)
    return (await call).attachment.id


async def created(stub: AsyncStub, post: Post, request_id: str) -> str:
    """Create an event, and return its id."""
    holder = ItemAttachment(event=Event(subject="Planning"))
    request = CreateAttachmentRequest(
        post=reference(post),
        attachment=Attachment(name="a", item_attachment=holder),
        request_id=request_id,
    )
    return (await stub.CreateAttachment(request, metadata=BEARER, timeout=10)).attachment.id


def methods(control: EmulatorClient) -> list[str]:
    return [request.method for request in control.requests()]


async def until_listed(control: EmulatorClient, times: int) -> None:
    async with asyncio.timeout(5):
        while methods(control).count("GET") < times:  # noqa: ASYNC110 the emulator has no event
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("baseline", "file", "item"), [("always", 1, 1), ("auto", 0, 1), ("never", 0, 0)]
)
async def test_the_setting_decides_which_calls_list(
    with_baseline: With,
    control: EmulatorClient,
    post: Post,
    baseline: str,
    file: int,
    item: int,
) -> None:
    """A call with a request id lists the post once or not at all; one without it never does."""
    stub = await with_baseline(baseline)
    assert await uploaded(stub, post, "")
    assert await created(stub, post, "")
    assert methods(control) == ["POST", "POST"]
    assert await uploaded(stub, post, str(uuid4()))
    assert methods(control)[2:] == ["GET"] * file + ["POST"]
    assert await created(stub, post, str(uuid4()))
    assert methods(control)[3 + file :] == ["GET"] * item + ["POST"]


async def test_the_post_is_listed_while_the_stream_comes_in(
    with_baseline: With, control: EmulatorClient, post: Post
) -> None:
    """The list is asked for behind the header, and is not asked for again."""
    stub = await with_baseline("always")
    assert await uploaded(stub, post, str(uuid4()), lambda: until_listed(control, 1))
    assert methods(control) == ["GET", "POST"]


async def test_a_list_from_before_another_writer_is_read_again(
    with_baseline: With, control: EmulatorClient, post: Post
) -> None:
    """If another call wrote to the post after the list, the post is listed under the lease."""
    stub = await with_baseline("always")

    async def write() -> None:
        await until_listed(control, 1)
        assert await uploaded(stub, post, "")

    assert await uploaded(stub, post, str(uuid4()), write)
    assert methods(control) == ["GET", "POST", "GET", "POST"]


async def test_a_list_that_is_older_than_the_settling_time_is_read_again(
    with_baseline: With, control: EmulatorClient, post: Post
) -> None:
    """A baseline is at most `settle_s` old when the attempt leaves."""
    stub = await with_baseline("always")

    async def wait() -> None:
        await until_listed(control, 1)
        await asyncio.sleep(1.5 * QUICK["settle_s"])

    assert await uploaded(stub, post, str(uuid4()), wait)
    assert methods(control) == ["GET", "GET", "POST"]


async def test_a_list_that_is_too_large_leaves_no_earlier_baseline() -> None:
    """After a list that is too large, the next attempt has no baseline, not an earlier one's."""
    now = asyncio.get_running_loop().time()
    earlier = ListedBaseline(baseline=Baseline(frozenset()), asked_at=now)
    attempt_baseline = AttemptBaseline(settle_s=15)
    attempt_baseline.begin(earlier, is_wanted=True)
    assert attempt_baseline.is_ready()
    clocks = ReadClocks(date_s=None, read_at=0.0, wall_s=0.0)
    ids: list[dict[str, Any]] = [{"id": f"{number}"} for number in range(MAX_IDS + 1)]
    for listed, has_one in ((ids[:-1], True), (ids, False)):
        listing = Listing(listed=tuple(listed), clocks=clocks, is_whole=True)
        attempt_baseline.take(listing, asked_at=now)
        assert (attempt_baseline.value is not None, attempt_baseline.is_ready()) == (
            has_one,
            has_one,
        )


async def test_a_known_request_id_needs_no_list(
    with_baseline: With, control: EmulatorClient, post: Post
) -> None:
    """A repeat of what was created reads the attachment and lists nothing."""
    stub = await with_baseline("always")
    request_id = str(uuid4())
    first = await uploaded(stub, post, request_id)
    assert await uploaded(stub, post, request_id) == first
    assert methods(control) == ["GET", "POST", "GET"]
    assert "$select" not in control.requests()[-1].path


@pytest.mark.parametrize(
    "fault",
    [
        Fault(method="GET", times=0, answer=FaultAnswer(status=403)),
        Fault(method="GET", times=0, answer=FaultAnswer(status=405)),
        Fault(method="GET", times=0, answer=FaultAnswer(status=500)),
        Fault(method="GET", times=0, cut="before_answer"),
        Fault(method="GET", times=0, next_link="{url}"),
        Fault(method="GET", times=0, age_s=5),
    ],
    ids=["403", "405", "500", "cut", "endless", "cached"],
)
async def test_a_list_that_cannot_be_had_does_not_fail_the_call(
    with_baseline: With, control: EmulatorClient, post: Post, fault: Fault
) -> None:
    """Without a list, the call goes on without a baseline."""
    stub = await with_baseline("always")
    control.inject(fault)
    assert await uploaded(stub, post, str(uuid4()))
    assert methods(control)[-1] == "POST"


async def test_a_list_that_hangs_costs_the_settling_time_at_most(
    with_baseline: With, control: EmulatorClient, post: Post
) -> None:
    """A list that doesn't come in `settle_s` is given up."""
    stub = await with_baseline("always")
    control.inject(Fault(method="GET", times=0, delay_s=30))
    assert await uploaded(stub, post, str(uuid4()))
    assert methods(control)[-1] == "POST"
