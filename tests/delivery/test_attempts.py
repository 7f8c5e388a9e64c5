"""Tests of deliveries from the call to the response, against the local Graph."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeAlias
from urllib.parse import quote
from uuid import uuid4

import grpc.aio
import pytest
from structlog.testing import capture_logs

from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.delivery.runner import Runner
from attachment_gateway.errors import Violations
from attachment_gateway.graph.off_loop import OffLoop
from attachment_gateway.graph.request import FileRequest, GraphRequest
from attachment_gateway.graph.response import NoResponse, Response
from attachment_gateway.http1.failure import Failure
from attachment_gateway.ledger.memory import MemoryLedger
from attachment_gateway.mailbox import MailboxBusy, MailboxLimits
from attachment_gateway.mailbox.local import LocalMailboxes
from attachment_gateway.server.gateway import running
from attachment_gateway.settings import Settings
from graph_emulator.control import EmulatorClient
from graph_emulator.faults import UNTIL_CLEARED, Fault, FaultAnswer
from graph_emulator.posts import AttachmentDraft, Post
from graph_emulator.server import RunningEmulator
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    CreateAttachmentResponse,
    UploadFileAttachmentRequest,
    UploadFileAttachmentResponse,
    UploadHeader,
)
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from graphattachments.v1.event_pb2 import Event
from graphattachments.v1.outlook_pb2 import DateTimeTimeZone, ItemBody
from tests.support.calls import BEARER, QUICK, AsyncStub, failure
from tests.support.graph_requests import HEAD
from tests.support.redis_server import redis_server

UploadCall: TypeAlias = (
    "grpc.aio.StreamUnaryCall[UploadFileAttachmentRequest, UploadFileAttachmentResponse]"
)
CreateCall: TypeAlias = "grpc.aio.UnaryUnaryCall[CreateAttachmentRequest, CreateAttachmentResponse]"
Make: TypeAlias = "Callable[[AsyncStub, Post], UploadCall | CreateCall]"

SETTLE_S = 0.5
CONTENT = b"hello, world"
FIVE_SECONDS = timedelta(seconds=5)

EVENT = Event(
    subject="Planning",
    body=ItemBody(content="All\nagreed"),
    start=DateTimeTimeZone(date_time="2026-03-02T10:00:00", time_zone="Europe/Berlin"),
)


@pytest.fixture
async def stub(emulator: RunningEmulator, tmp_path: Path) -> AsyncIterator[AsyncStub]:
    """A client of a gateway in front of the local Graph."""
    usual = {**QUICK, "settle_s": SETTLE_S, "graph_url": emulator.url}
    async with (
        running(Settings(listen=f"unix:{tmp_path}/gw", **usual)) as gateway,
        grpc.aio.insecure_channel(gateway.address) as channel,
    ):
        yield AttachmentServiceStub(channel)


def named(post: Post, *, long: bool = False) -> PostRef:
    conversation_id = post.conversation_id if long else ""
    return PostRef(
        group_id=post.group_id,
        conversation_id=conversation_id,
        thread_id=post.thread_id,
        post_id=post.post_id,
    )


def upload(
    stub: AsyncStub,
    post: Post,
    content: bytes = CONTENT,
    *,
    name: str = "hello.txt",
    request_id: str = "",
    timeout_s: float = 10,
    token: str = "t",
) -> UploadCall:
    header = UploadHeader(post=named(post), attachment=Attachment(name=name), request_id=request_id)
    messages = [
        UploadFileAttachmentRequest(header=header),
        UploadFileAttachmentRequest(chunk=content),
    ]
    metadata = (("authorization", f"Bearer {token}"),)
    return stub.UploadFileAttachment(iter(messages), metadata=metadata, timeout=timeout_s)


def create(
    stub: AsyncStub, post: Post, *, request_id: str = "", timeout_s: float = 10
) -> CreateCall:
    attachment = Attachment(name="Planning", item_attachment=ItemAttachment(event=EVENT))
    request = CreateAttachmentRequest(
        post=named(post), attachment=attachment, request_id=request_id
    )
    return stub.CreateAttachment(request, metadata=BEARER, timeout=timeout_s)


def trouble(status: int = 504, code: str = "UnknownError", **how: Any) -> Fault:
    return Fault(answer=FaultAnswer(status=status, code=code), **how)


def twin(control: EmulatorClient, post: Post, age: timedelta, **draft: Any) -> str:
    """Place an attachment of somebody else, with an age by the post's clock, and return its id."""
    described = {"kind": "file", "name": "hello.txt", "content": CONTENT, **draft}
    offset = timedelta(seconds=control.config().clock_offset_s)
    placed = control.place(AttachmentDraft(**described), post, datetime.now(UTC) - age + offset)
    return placed.id


def requests(control: EmulatorClient, method: str) -> int:
    return sum(request.method == method for request in control.requests())


STORED = [
    trouble(500, store="before"),
    trouble(502, store="before"),
    trouble(503, store="before"),
    trouble(504, store="before"),
    trouble(509, store="before"),
    trouble(408, store="before"),
    trouble(504, store="after", store_after_s=0.8 * SETTLE_S),
    Fault(store="before", cut="before_answer"),
    Fault(store="before", cut="before_answer", reset=True),
    Fault(store="before", cut="mid_answer"),
    Fault(store="before", broken="truncated"),
    Fault(store="before", broken="garbage"),
    Fault(store="after", store_after_s=0.5 * SETTLE_S, cut="before_answer"),
]


@pytest.mark.parametrize("fault", STORED)
@pytest.mark.parametrize("make", [upload, create])
async def test_a_stored_attachment_is_found(
    stub: AsyncStub, control: EmulatorClient, post: Post, fault: Fault, make: Make
) -> None:
    """When Graph stores an attachment and the response is unclear, the caller gets its id."""
    control.inject(fault)
    made = (await make(stub, post)).attachment
    assert [one.id for one in control.stored()] == [made.id]
    assert requests(control, "POST") == 1


@pytest.mark.parametrize(
    "fault",
    [
        trouble(500),
        trouble(503),
        trouble(504),
        trouble(429, headers={"Retry-After": "0.2"}),
        trouble(429, headers={"Retry-After": "0"}),
        trouble(412, "ErrorIrresolvableConflict"),
        Fault(cut="unread"),
        Fault(cut="unread", reset=True),
        Fault(cut="before_answer"),
        trouble(503, early=True),
    ],
)
@pytest.mark.parametrize("make", [upload, create])
async def test_an_attempt_that_stored_nothing_is_repeated(
    stub: AsyncStub, control: EmulatorClient, post: Post, fault: Fault, make: Make
) -> None:
    """After a response that proves that nothing was stored, the gateway sends one more POST."""
    control.inject(fault)
    made = (await make(stub, post)).attachment
    assert [one.id for one in control.stored()] == [made.id]
    assert requests(control, "POST") == 2


async def test_a_clear_success_takes_one_request(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A successful delivery sends one POST and no look-up."""
    await upload(stub, post, request_id=str(uuid4()))
    assert [request.method for request in control.requests()] == ["POST"]


async def test_an_unclear_attempt_is_not_repeated_before_it_settles(
    emulator: RunningEmulator, control: EmulatorClient, post: Post, tmp_path: Path
) -> None:
    """A call that ends before its unclear attempt settles sends no second POST."""
    slow = Settings(
        listen=f"unix:{tmp_path}/slow", **{**QUICK, "settle_s": 4.0, "graph_url": emulator.url}
    )
    control.inject(trouble(504))
    async with running(slow) as gateway, grpc.aio.insecure_channel(gateway.address) as channel:
        failed = await failure(upload(AttachmentServiceStub(channel), post, timeout_s=2))
        assert failed.info.reason == "OUTCOME_UNKNOWN"
        await asyncio.sleep(3)
    assert (requests(control, "POST"), control.stored()) == (1, [])


@pytest.mark.parametrize("status", [401, 404, 412, 429, 500])
async def test_a_failed_look_up_leaves_the_outcome_unknown(
    stub: AsyncStub, control: EmulatorClient, post: Post, status: int
) -> None:
    """If every look-up after an unclear attempt fails, the call ends with OUTCOME_UNKNOWN."""
    control.inject(trouble(504, store="before"))
    control.inject(trouble(status, method="GET", times=0))
    failed = await failure(upload(stub, post, timeout_s=1.5))
    assert failed.info.reason == "OUTCOME_UNKNOWN"


@pytest.mark.parametrize("status", [401, 404, 412, 429, 500])
async def test_a_failed_look_up_is_repeated(
    stub: AsyncStub, control: EmulatorClient, post: Post, status: int
) -> None:
    """If three look-ups fail, the gateway looks again and finds the stored attachment."""
    control.inject(trouble(504, store="before"))
    control.inject(trouble(status, method="GET", times=3))
    made = (await upload(stub, post)).attachment
    assert [one.id for one in control.stored()] == [made.id]


@pytest.mark.parametrize("stored", [True, False])
async def test_an_older_twin_is_told_apart_by_its_stamp(
    stub: AsyncStub, control: EmulatorClient, post: Post, stored: bool
) -> None:
    """An equal attachment that is older than Graph's stamps may lag is no candidate."""
    old = twin(control, post, timedelta(minutes=10))
    control.inject(trouble(504, store="before" if stored else "never"))
    made = (await upload(stub, post)).attachment
    assert {one.id for one in control.stored()} == {old, made.id}
    assert made.id != old


@pytest.mark.parametrize("offset_s", [-3600, 0, 3600])
async def test_an_older_twin_that_stamps_do_not_exclude_leaves_it_unknown(
    stub: AsyncStub, control: EmulatorClient, post: Post, offset_s: int
) -> None:
    """An equal attachment of 5 s ago may be ours, if Graph's stamps lag or its clock is wrong."""
    control.configure(clock_offset_s=offset_s)
    twin(control, post, FIVE_SECONDS)
    control.inject(trouble(504))
    failed = await failure(upload(stub, post))
    assert failed.info.reason == "OUTCOME_UNKNOWN"
    assert requests(control, "POST") == 1


async def test_a_twin_from_the_second_of_the_send_leaves_it_unknown(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """Equal bytes under another name in the second of the send make the outcome unknown."""
    twin(control, post, timedelta(0), name="other.txt")
    control.inject(trouble(504))
    failed = await failure(upload(stub, post))
    assert failed.info.reason == "OUTCOME_UNKNOWN"
    assert requests(control, "POST") == 1


async def test_an_attachment_of_another_call_is_no_candidate(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """Three calls with the same file make three attachments, also if one response was lost."""
    first = (await upload(stub, post)).attachment
    control.inject(trouble(504))
    second = (await upload(stub, post)).attachment
    third = (await upload(stub, post, request_id=str(uuid4()))).attachment
    assert [one.id for one in control.stored()] == [first.id, second.id, third.id]


async def test_a_look_up_reads_all_pages_and_waits_for_the_lag(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A look-up reads all pages, and is repeated until a late attachment is listed."""
    control.configure(page_size=1, lag_s=0.6 * SETTLE_S)
    for _ in range(3):
        twin(control, post, FIVE_SECONDS)
    control.inject(trouble(504, store="before"))
    made = (await upload(stub, post)).attachment
    assert control.stored()[3].id == made.id
    assert requests(control, "POST") == 1


async def test_a_post_has_one_attempt_at_a_time(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """Sixteen calls to one post send their POSTs one after the other, without a conflict."""
    control.configure(latency_s=0.02)
    await asyncio.gather(*(upload(stub, post, b"%d" % number) for number in range(16)))
    control.configure(latency_s=0)
    assert len(control.stored()) == 16
    assert requests(control, "POST") == 16
    assert control.peaks().posts[post.post_id] == 1


async def test_128_calls_stay_within_graphs_limits(
    stub: AsyncStub, control: EmulatorClient
) -> None:
    """128 calls succeed with 128 POSTs, and no group has more than 4 requests at once."""
    control.configure(latency_s=0.01)
    one = [control.add_post() for _ in range(64)]
    groups = [Post(group_id=str(uuid4()), post_id=f"p-{at}") for at in range(16)]
    many = [control.add_post(post) for post in groups for _ in range(4)]
    await asyncio.gather(*(upload(stub, post) for post in [*one, *many]))
    control.configure(latency_s=0)
    assert requests(control, "POST") == 128
    assert len(control.stored()) == 128
    assert max(control.peaks().groups.values()) <= 4


# request_id


async def test_a_repeat_returns_the_first_attachment(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A repeat with the same request id reads the first attachment again and returns it."""
    request_id = str(uuid4())
    first = (await upload(stub, post, request_id=request_id)).attachment
    again = (await upload(stub, post, request_id=request_id.upper(), token="u")).attachment
    assert again == first
    assert len(control.stored()) == 1
    shown = control.requests()[-1]
    assert shown.method == "GET"


async def test_a_repeat_of_an_item_returns_the_first_attachment(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A repeat of an item's request returns the first attachment with its item."""
    request_id = str(uuid4())
    first = (await create(stub, post, request_id=request_id)).attachment
    again = (await create(stub, post, request_id=request_id)).attachment
    assert (again.id, again.item_attachment.event.subject) == (first.id, "Planning")
    assert len(control.stored()) == 1


async def test_a_repeat_by_the_other_rpc_and_route_is_a_repeat(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """The RPC, the route and the case of the group id make no other request."""
    request_id = str(uuid4())
    first = (await upload(stub, post, request_id=request_id)).attachment
    file = Attachment(name="hello.txt", file_attachment=FileAttachment(content_bytes=CONTENT))
    request = CreateAttachmentRequest(
        post=named(post, long=True), attachment=file, request_id=request_id
    )
    request.post.group_id = request.post.group_id.upper()
    assert (await stub.CreateAttachment(request, metadata=BEARER)).attachment.id == first.id
    assert len(control.stored()) == 1


@pytest.mark.parametrize("change", [{"content": b"other"}, {"name": "other"}])
async def test_a_request_id_of_another_request_is_refused(
    stub: AsyncStub, control: EmulatorClient, post: Post, change: dict[str, Any]
) -> None:
    """A request id that comes with other content, name or post is refused, and nothing is sent."""
    request_id = str(uuid4())
    await upload(stub, post, request_id=request_id)
    failed = await failure(upload(stub, post, request_id=request_id, **change))
    assert failed.info.reason == "REQUEST_ID_REUSED"
    other = control.add_post()
    failed = await failure(upload(stub, other, request_id=request_id))
    assert failed.info.reason == "REQUEST_ID_REUSED"
    assert requests(control, "POST") == 1


async def test_a_repeat_does_not_wait_for_the_post(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A repeat is answered while another delivery holds the post."""
    request_id = str(uuid4())
    first = (await upload(stub, post, request_id=request_id)).attachment
    control.inject(Fault(store="before", delay_s=2))
    busy = upload(stub, post, b"other")
    await asyncio.sleep(0.3)
    assert (await upload(stub, post, request_id=request_id)).attachment.id == first.id
    failed = await failure(upload(stub, post, b"changed", request_id=request_id))
    assert failed.info.reason == "REQUEST_ID_REUSED"
    assert not busy.done()
    await busy


async def test_concurrent_repeats_get_one_attachment(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """Eight concurrent calls with one request id make one attachment, and all get its id."""
    control.configure(latency_s=0.05)
    request_id = str(uuid4())
    calls = [upload(stub, post, request_id=request_id) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    control.configure(latency_s=0)
    [stored] = control.stored()
    assert {answer.attachment.id for answer in answers} == {stored.id}


async def test_a_repeat_of_a_deleted_attachment_is_not_found(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A repeat whose attachment was deleted fails with NOT_FOUND, and nothing is created."""
    request_id = str(uuid4())
    await upload(stub, post, request_id=request_id)
    control.inject(trouble(404, "ErrorItemNotFound", method="GET", times=0))
    failed = await failure(upload(stub, post, request_id=request_id))
    assert (failed.code.name, failed.info.reason) == ("NOT_FOUND", "GRAPH_NOT_FOUND")
    assert "was created, but is not there any more" in failed.message
    assert requests(control, "POST") == 1


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (401, "GRAPH_UNAUTHENTICATED"),
        (403, "GRAPH_PERMISSION_DENIED"),
        (429, "OUTCOME_UNKNOWN"),
        (500, "OUTCOME_UNKNOWN"),
    ],
)
async def test_a_repeat_fails_if_graph_does_not_show_the_attachment(
    stub: AsyncStub, control: EmulatorClient, post: Post, status: int, reason: str
) -> None:
    """A repeat returns an attachment only if Graph shows it."""
    request_id = str(uuid4())
    await upload(stub, post, request_id=request_id)
    control.inject(trouble(status, method="GET", times=0))
    failed = await failure(upload(stub, post, request_id=request_id, timeout_s=1))
    assert failed.info.reason == reason


async def test_a_repeat_of_an_unknown_outcome_finds_it_out(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A repeat of an unknown outcome sends a POST only if the first attempt stored nothing."""
    for store, posts in (("before", 1), ("never", 2)):
        control.clear()
        request_id = str(uuid4())
        control.inject(trouble(504, store=store))
        control.inject(trouble(500, method="GET", times=3))
        failed = await failure(upload(stub, post, request_id=request_id, timeout_s=0.3))
        assert failed.info.reason == "OUTCOME_UNKNOWN"
        made = (await upload(stub, post, request_id=request_id)).attachment
        assert [one.id for one in control.stored()] == [made.id]
        assert requests(control, "POST") == posts


async def test_a_success_without_an_id_is_never_repeated(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """After a 201 without an id, neither the call nor its repeat sends a POST."""
    request_id = str(uuid4())
    control.inject(Fault(answer=FaultAnswer(status=201, body=b"{")))
    for _ in range(2):
        failed = await failure(upload(stub, post, request_id=request_id))
        assert failed.info.reason == "OUTCOME_UNKNOWN"
        assert "was created" in failed.message
    assert requests(control, "POST") == 1


async def test_a_repeat_of_a_refused_request_is_sent(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A repeat of a request that Graph refused sends it, because nothing was created."""
    request_id = str(uuid4())
    control.inject(trouble(403, "ErrorAccessDenied"))
    failed = await failure(upload(stub, post, request_id=request_id))
    assert failed.info.reason == "GRAPH_PERMISSION_DENIED"
    made = (await upload(stub, post, request_id=request_id)).attachment
    assert [one.id for one in control.stored()] == [made.id]


async def test_a_repeat_waits_for_the_call_in_progress(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A repeat of a running call gets its attachment, or REQUEST_IN_PROGRESS at its deadline."""
    request_id = str(uuid4())
    control.inject(Fault(store="before", delay_s=0.5))
    first = upload(stub, post, request_id=request_id)
    await asyncio.sleep(0.2)
    failed = await failure(upload(stub, post, request_id=request_id, timeout_s=0.1))
    assert (failed.code.name, failed.info.reason) == ("ABORTED", "REQUEST_IN_PROGRESS")
    assert "RetryInfo" in failed.details
    again = await upload(stub, post, request_id=request_id)
    assert again.attachment.id == (await first).attachment.id


async def test_a_cancelled_call_finishes_its_attempt(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """An attempt of a cancelled call runs to its end, and the repeat returns its attachment."""
    request_id = str(uuid4())
    control.inject(Fault(store="before", delay_s=0.3))
    call = upload(stub, post, request_id=request_id)
    await asyncio.sleep(0.15)
    call.cancel()
    made = (await upload(stub, post, request_id=request_id)).attachment
    assert [one.id for one in control.stored()] == [made.id]
    assert requests(control, "POST") == 1


@pytest.mark.parametrize("how", ["cancel", "deadline"])
async def test_a_created_attachment_survives_the_end_of_its_call(
    stub: AsyncStub, control: EmulatorClient, post: Post, how: str
) -> None:
    """A call that ends while a surplus is looked for has its attachment in the ledger."""
    request_id = str(uuid4())
    control.inject(trouble(504), Fault(store="before", delay_s=0.3))
    call = upload(stub, post, request_id=request_id, timeout_s=3)
    async with asyncio.timeout(10):
        while requests(control, "POST") < 2:  # noqa: ASYNC110 there is no event for it
            await asyncio.sleep(0.02)
    control.inject(Fault(method="GET", delay_s=4))
    if how == "cancel":
        await asyncio.sleep(0.6)
        call.cancel()
    else:
        assert (await call).attachment.id == control.stored()[0].id
    control.clear_faults()
    made = (await upload(stub, post, request_id=request_id)).attachment
    assert [one.id for one in control.stored()] == [made.id]


async def test_200_cancelled_calls_leave_no_task(
    emulator: RunningEmulator, control: EmulatorClient, tmp_path: Path
) -> None:
    """After 200 cancelled calls, no delivery runs and no task is left."""
    settings = Settings(listen=f"unix:{tmp_path}/storm", **{**QUICK, "graph_url": emulator.url})
    control.configure(latency_s=0.02)
    posts = [control.add_post() for _ in range(40)]
    async with running(settings) as gateway, grpc.aio.insecure_channel(gateway.address) as channel:
        stub = AttachmentServiceStub(channel)
        await upload(stub, posts[0])
        before = len(asyncio.all_tasks())
        for number in range(200):
            call = upload(stub, posts[number % len(posts)], request_id=str(uuid4()))
            asyncio.get_running_loop().call_later(number % 17 / 100, call.cancel)
        async with asyncio.timeout(60):
            while gateway.runner._running or len(asyncio.all_tasks()) > before:  # noqa: ASYNC110 there is no event for it
                await asyncio.sleep(0.1)
    control.configure(latency_s=0)


async def test_a_surplus_attachment_is_logged(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """If an attempt stores its attachment after it was ruled out, the gateway logs the surplus."""
    control.inject(trouble(504, store="after", store_after_s=1.2 * SETTLE_S))
    with capture_logs() as log:
        control.inject(Fault(store="before", delay_s=0.5))
        await upload(stub, post)
    assert [entry["event"] for entry in log] == ["surplus", "call"]
    assert len(control.stored()) == 2


FORGED = 37  # uploads of 3 MB, whose requests of 4 MB fill the 150 MB of a mailbox
LARGE = bytes(3_000_000)


def jwt(signature: str) -> str:
    """Return a token that names one app; who has signed it is known to Graph alone."""
    claims = urlsafe_b64encode(b'{"appid":"6731de76"}').decode().rstrip("=")
    return f"eyJ0.{claims}.{signature}"


def refused_posts(control: EmulatorClient, count: int, fault: Fault) -> list[Post]:
    """Add posts on which Graph answers every upload so."""
    posts = [control.add_post() for _ in range(count)]
    control.inject(*(replace(fault, post_id=post.post_id, times=UNTIL_CLEARED) for post in posts))
    # Graph counts no request that it doesn't authenticate; the local Graph counts all.
    control.configure(concurrent_requests_per_group=1000)
    return posts


@pytest.fixture(params=["memory:", "redis"])
async def group_stub(
    request: pytest.FixtureRequest, emulator: RunningEmulator, tmp_path: Path
) -> AsyncIterator[AsyncStub]:
    """A client of a gateway with a ledger of either kind, on which an honest token is accepted."""
    with redis_server() if request.param == "redis" else nullcontext() as server:
        ledger = request.param if server is None else server.url
        settings = {**QUICK, "graph_url": emulator.url, "ledger": ledger}
        async with (
            running(Settings(listen=f"unix:{tmp_path}/group", **settings)) as gateway,
            grpc.aio.insecure_channel(gateway.address) as channel,
        ):
            stub = AttachmentServiceStub(channel)
            yield stub


@pytest.mark.parametrize("is_fresh", [False, True])
async def test_refused_uploads_leave_an_honest_app_its_limits(
    group_stub: AsyncStub, control: EmulatorClient, post: Post, *, is_fresh: bool
) -> None:
    """While Graph refuses uploads of forged tokens, and after it, an honest app's uploads go on.

    The forged tokens name the honest app, and are one token or a new one for each upload.
    """
    posts = refused_posts(control, FORGED, trouble(401, delay_s=0.2))
    await upload(group_stub, post, token=jwt("honest"))
    forged = [
        upload(group_stub, each, LARGE, token=jwt(f"forged{number * is_fresh}"), timeout_s=60)
        for number, each in enumerate(posts)
    ]
    refusals = asyncio.gather(*map(failure, forged))
    await asyncio.sleep(0.3)
    await upload(group_stub, post, LARGE, token=jwt("honest"), timeout_s=30)
    assert not refusals.done()
    assert {each.info.reason for each in await refusals} == {"GRAPH_UNAUTHENTICATED"}
    await upload(group_stub, post, LARGE, token=jwt("honest"), timeout_s=30)
    await upload(group_stub, post, LARGE, token=jwt("renewed"), timeout_s=30)


@pytest.mark.parametrize("status", [403, 404, 413])
async def test_an_upload_that_graph_did_not_take_is_not_counted(
    stub: AsyncStub, control: EmulatorClient, post: Post, status: int
) -> None:
    """Uploads that Graph refuses unread leave the bytes of their mailbox to others."""
    await upload(stub, post)
    (other,) = refused_posts(control, 1, trouble(status))
    for _ in range(FORGED):
        await failure(upload(stub, other, LARGE))
    await upload(stub, post, LARGE)


@pytest.fixture
async def small_stub(emulator: RunningEmulator, tmp_path: Path) -> AsyncIterator[AsyncStub]:
    """A client of a gateway whose mailboxes take one LARGE upload in 5 minutes."""
    settings = {**QUICK, "graph_url": emulator.url, "mailbox_upload_bytes": 5_000_000}
    async with (
        running(Settings(listen=f"unix:{tmp_path}/small", **settings)) as gateway,
        grpc.aio.insecure_channel(gateway.address) as channel,
    ):
        yield AttachmentServiceStub(channel)


async def test_an_upload_with_an_unclear_outcome_is_counted(
    small_stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """An upload whose outcome was unclear stays counted, also when it turns out not to exist."""
    await upload(small_stub, post)
    control.inject(trouble(504))
    assert (await failure(upload(small_stub, post, LARGE))).info.reason == "GRAPH_UNAVAILABLE"
    assert (await failure(upload(small_stub, post, LARGE))).info.reason == "MAILBOX_LIMIT"


class UnsentGraph:
    """A Graph whose first attempt ends so, and whose second creates the attachment."""

    def __init__(self, first: Response | NoResponse) -> None:
        body = b'{"@odata.type":"#microsoft.graph.fileAttachment","id":"A"}'
        created = Response(http_status=201, headers={}, body=body, offered=True)
        self.results = [first, created]
        self.off_loop = OffLoop()

    def create_attachment(
        self, _request: GraphRequest, *, may_offer: Callable[[], bool], on_new_connection: bool
    ) -> Self:
        self.may_offer, self.on_new_connection = may_offer, on_new_connection
        return self

    async def send(self) -> Response | NoResponse:
        result = self.results.pop(0)
        assert not result.offered or self.may_offer()
        return result


@pytest.mark.parametrize(
    "first",
    [
        NoResponse(failure=Failure.CONNECT_FAILED, offered=False),
        Response(http_status=503, headers={}, body=b"", offered=False),
    ],
)
async def test_an_upload_that_was_not_sent_whole_is_not_counted(
    first: Response | NoResponse,
) -> None:
    """An upload of which Graph didn't get the last piece isn't counted, so it's sent again."""
    graph: Any = UnsentGraph(first)
    request = FileRequest(HEAD, Attachment(name="n"), Violations()).seal((), file_bytes=0)
    resources = Resources(
        graph=graph,
        ledger=MemoryLedger(settle_s=1.0, retention_s=10.0),
        mailboxes=LocalMailboxes(MailboxLimits(upload_bytes=request.size_bytes)),
        settle_s=1.0,
        timeout_s=1.0,
    )
    deadline = Deadline(10)
    assert (await Runner(resources).deliver(request, deadline)).id == "A"
    deadline.close()
    with pytest.raises(MailboxBusy):
        async with resources.mailbox(HEAD).slot(upload_bytes=1, within_s=1):
            raise AssertionError


async def test_a_throttled_call_waits_though_its_token_is_accepted(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A call whose token was new at its 429 waits as Graph asked, also if it's accepted since."""
    throttled = control.add_post()
    control.inject(
        Fault(store="before", post_id=post.post_id, delay_s=0.3),
        trouble(429, post_id=throttled.post_id, headers={"Retry-After": "1"}),
    )
    await asyncio.gather(upload(stub, post), upload(stub, throttled))
    first, again = [
        one.received_at
        for one in control.requests()
        if one.method == "POST" and quote(throttled.post_id, safe="") in one.path
    ]
    assert (again - first).total_seconds() > 0.95


async def test_the_attempt_after_a_503_uses_a_new_connection(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """After a 503 the next attempt goes over a new connection, as Microsoft asks."""
    await upload(stub, post)
    control.inject(trouble(503))
    await upload(stub, post)
    first, refused, again = [one for one in control.requests() if one.method == "POST"]
    assert first.connection == refused.connection != again.connection
