"""sending, search, delivery, confirmation: what becomes of a call, against the local Graph."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias
from uuid import uuid4

import grpc.aio
import pytest
from structlog.testing import capture_logs

from attachment_gateway.server.gateway import running
from attachment_gateway.settings import Settings
from graph_emulator.control import EmulatorClient
from graph_emulator.faults import Fault, FaultAnswer
from graph_emulator.server import RunningEmulator
from graph_emulator.server import running as emulator_running
from graph_emulator.world import AttachmentDraft, Post
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


@pytest.fixture(scope="module")
def emulator() -> Iterator[RunningEmulator]:
    """A local Graph."""
    with emulator_running() as emulator:
        yield emulator


@pytest.fixture
def control(emulator: RunningEmulator) -> Iterator[EmulatorClient]:
    """What the local Graph has seen and stored, and what goes wrong with it."""
    with EmulatorClient(emulator.control_url) as control:
        control.clear()
        control.configure(lag_s=0, page_size=None, clock_offset_s=0, rewrite_items=True)
        yield control


@pytest.fixture
def post(control: EmulatorClient) -> Post:
    """A post of one's own."""
    return control.add_post()


@pytest.fixture
async def stub(emulator: RunningEmulator, tmp_path: Path) -> AsyncIterator[AsyncStub]:
    """A gateway's client."""
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
    """Someone else's file, as the post's clock has it."""
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
async def test_what_was_stored_is_found(
    stub: AsyncStub, control: EmulatorClient, post: Post, fault: Fault, make: Make
) -> None:
    """However its success was hidden, one attachment comes of it, and the caller gets its id."""
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
async def test_what_was_not_stored_is_sent_again(
    stub: AsyncStub, control: EmulatorClient, post: Post, fault: Fault, make: Make
) -> None:
    """When it is certain that nothing came of it."""
    control.inject(fault)
    made = (await make(stub, post)).attachment
    assert [one.id for one in control.stored()] == [made.id]
    assert requests(control, "POST") == 2


async def test_nothing_more_is_sent_where_all_goes_well(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """One POST, and no look."""
    await upload(stub, post, request_id=str(uuid4()))
    assert [request.method for request in control.requests()] == ["POST"]


async def test_it_is_not_sent_again_before_it_is_settled(
    emulator: RunningEmulator, control: EmulatorClient, post: Post, tmp_path: Path
) -> None:
    """A call whose time ends before that can't know."""
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
async def test_unclear_is_sticky(
    stub: AsyncStub, control: EmulatorClient, post: Post, status: int
) -> None:
    """What Graph says to the looks afterwards doesn't end it otherwise."""
    control.inject(trouble(504, store="before"))
    control.inject(trouble(status, method="GET", times=0))
    failed = await failure(upload(stub, post, timeout_s=1.5))
    assert failed.info.reason == "OUTCOME_UNKNOWN"


@pytest.mark.parametrize("status", [401, 404, 412, 429, 500])
async def test_looks_that_fail_for_a_while(
    stub: AsyncStub, control: EmulatorClient, post: Post, status: int
) -> None:
    """They are repeated."""
    control.inject(trouble(504, store="before"))
    control.inject(trouble(status, method="GET", times=3))
    made = (await upload(stub, post)).attachment
    assert [one.id for one in control.stored()] == [made.id]


@pytest.mark.parametrize("offset_s", [-3600, 0, 3600])
@pytest.mark.parametrize("stored", [True, False])
async def test_twins_that_were_there_before(
    stub: AsyncStub, control: EmulatorClient, post: Post, offset_s: int, stored: bool
) -> None:
    """Are told by Graph's clock, whatever ours says."""
    control.configure(clock_offset_s=offset_s)
    old = twin(control, post, FIVE_SECONDS)
    control.inject(trouble(504, store="before" if stored else "never"))
    made = (await upload(stub, post)).attachment
    assert {one.id for one in control.stored()} == {old, made.id}
    assert made.id != old


async def test_a_neighbour_in_the_second_of_the_send(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """The same bytes under another name, perhaps before, perhaps after: nobody can tell."""
    twin(control, post, timedelta(0), name="other.txt")
    control.inject(trouble(504))
    failed = await failure(upload(stub, post))
    assert failed.info.reason == "OUTCOME_UNKNOWN"
    assert requests(control, "POST") == 1


async def test_what_other_calls_were_answered_is_theirs(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """The same file, sent on purpose twice, is two attachments, also where an answer was lost."""
    first = (await upload(stub, post)).attachment
    control.inject(trouble(504))
    second = (await upload(stub, post)).attachment
    third = (await upload(stub, post, request_id=str(uuid4()))).attachment
    assert [one.id for one in control.stored()] == [first.id, second.id, third.id]


async def test_pages_and_lag(stub: AsyncStub, control: EmulatorClient, post: Post) -> None:
    """All pages are looked through, and what shows up late is waited for."""
    control.configure(page_size=1, lag_s=0.6 * SETTLE_S)
    for _ in range(3):
        twin(control, post, FIVE_SECONDS)
    control.inject(trouble(504, store="before"))
    made = (await upload(stub, post)).attachment
    assert control.stored()[3].id == made.id
    assert requests(control, "POST") == 1


async def test_one_writer_for_a_post(stub: AsyncStub, control: EmulatorClient, post: Post) -> None:
    """Calls to one post go one after the other, so that Graph has no conflict to tell of."""
    control.configure(latency_s=0.02)
    await asyncio.gather(*(upload(stub, post, b"%d" % number) for number in range(16)))
    control.configure(latency_s=0)
    assert len(control.stored()) == 16
    assert requests(control, "POST") == 16
    assert control.peaks().posts[post.post_id] == 1


async def test_sixty_four_callers(stub: AsyncStub, control: EmulatorClient) -> None:
    """On one group and on sixteen, none of Graph's limits reaches a caller."""
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


async def test_a_repeat(stub: AsyncStub, control: EmulatorClient, post: Post) -> None:
    """Is answered with what was created, as Graph shows it to the repeat's own token."""
    request_id = str(uuid4())
    first = (await upload(stub, post, request_id=request_id)).attachment
    again = (await upload(stub, post, request_id=request_id.upper(), token="u")).attachment
    assert again == first
    assert len(control.stored()) == 1
    shown = control.requests()[-1]
    assert shown.method == "GET"


async def test_a_repeat_of_an_item(stub: AsyncStub, control: EmulatorClient, post: Post) -> None:
    """Likewise."""
    request_id = str(uuid4())
    first = (await create(stub, post, request_id=request_id)).attachment
    again = (await create(stub, post, request_id=request_id)).attachment
    assert (again.id, again.item_attachment.event.subject) == (first.id, "Planning")
    assert len(control.stored()) == 1


async def test_a_repeat_by_the_other_rpc_and_route(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """The same request, whichever way it comes."""
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
async def test_a_request_id_for_another_request(
    stub: AsyncStub, control: EmulatorClient, post: Post, change: dict[str, Any]
) -> None:
    """Is the caller's mistake, and nothing is sent."""
    request_id = str(uuid4())
    await upload(stub, post, request_id=request_id)
    failed = await failure(upload(stub, post, request_id=request_id, **change))
    assert failed.info.reason == "REQUEST_ID_REUSED"
    other = control.add_post()
    failed = await failure(upload(stub, other, request_id=request_id))
    assert failed.info.reason == "REQUEST_ID_REUSED"
    assert requests(control, "POST") == 1


async def test_a_repeat_beside_a_busy_writer(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """What is known needs no turn at the post."""
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


async def test_repeats_at_once(stub: AsyncStub, control: EmulatorClient, post: Post) -> None:
    """All get the one attachment."""
    control.configure(latency_s=0.05)
    request_id = str(uuid4())
    calls = [upload(stub, post, request_id=request_id) for _ in range(8)]
    answers = await asyncio.gather(*calls)
    control.configure(latency_s=0)
    [stored] = control.stored()
    assert {answer.attachment.id for answer in answers} == {stored.id}


async def test_a_repeat_of_what_is_gone(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """Is never created anew."""
    request_id = str(uuid4())
    await upload(stub, post, request_id=request_id)
    control.inject(trouble(404, "ErrorItemNotFound", method="GET", times=0))
    failed = await failure(upload(stub, post, request_id=request_id))
    assert (failed.code.name, failed.info.reason) == ("NOT_FOUND", "GRAPH_NOT_FOUND")
    assert "was created, and is not there any more" in failed.message
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
async def test_a_repeat_that_graph_does_not_confirm(
    stub: AsyncStub, control: EmulatorClient, post: Post, status: int, reason: str
) -> None:
    """What the ledger says is for those alone to whom Graph says it, too."""
    request_id = str(uuid4())
    await upload(stub, post, request_id=request_id)
    control.inject(trouble(status, method="GET", times=0))
    failed = await failure(upload(stub, post, request_id=request_id, timeout_s=1))
    assert failed.info.reason == reason


async def test_a_repeat_of_what_was_unknown(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """Learns what came of it, and sends it only if that was nothing."""
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


async def test_a_success_that_cannot_be_named_is_never_sent_again(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """Nor by its repeats."""
    request_id = str(uuid4())
    control.inject(Fault(answer=FaultAnswer(status=201, body=b"{")))
    for _ in range(2):
        failed = await failure(upload(stub, post, request_id=request_id))
        assert failed.info.reason == "OUTCOME_UNKNOWN"
        assert "was created" in failed.message
    assert requests(control, "POST") == 1


async def test_a_repeat_of_a_refusal(stub: AsyncStub, control: EmulatorClient, post: Post) -> None:
    """Nothing came of it, so it is sent."""
    request_id = str(uuid4())
    control.inject(trouble(403, "ErrorAccessDenied"))
    failed = await failure(upload(stub, post, request_id=request_id))
    assert failed.info.reason == "GRAPH_PERMISSION_DENIED"
    made = (await upload(stub, post, request_id=request_id)).attachment
    assert [one.id for one in control.stored()] == [made.id]


async def test_a_repeat_that_joins(stub: AsyncStub, control: EmulatorClient, post: Post) -> None:
    """In time it learns the end; else it is told to come again."""
    request_id = str(uuid4())
    control.inject(Fault(store="before", delay_s=0.5))
    first = upload(stub, post, request_id=request_id)
    await asyncio.sleep(0.2)
    failed = await failure(upload(stub, post, request_id=request_id, timeout_s=0.1))
    assert (failed.code.name, failed.info.reason) == ("ABORTED", "REQUEST_IN_PROGRESS")
    assert "RetryInfo" in failed.details
    again = await upload(stub, post, request_id=request_id)
    assert again.attachment.id == (await first).attachment.id


async def test_a_caller_that_goes_away(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """A POST under way runs to its end, and the repeat learns it."""
    request_id = str(uuid4())
    control.inject(Fault(store="before", delay_s=0.3))
    call = upload(stub, post, request_id=request_id)
    await asyncio.sleep(0.15)
    call.cancel()
    made = (await upload(stub, post, request_id=request_id)).attachment
    assert [one.id for one in control.stored()] == [made.id]
    assert requests(control, "POST") == 1


@pytest.mark.parametrize("how", ["cancel", "deadline"])
async def test_a_caller_that_goes_away_when_all_is_done(
    stub: AsyncStub, control: EmulatorClient, post: Post, how: str
) -> None:
    """What was created is known to be, also while a surplus is still looked for."""
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


async def test_a_storm_of_cancels_leaves_nothing(
    emulator: RunningEmulator, control: EmulatorClient, tmp_path: Path
) -> None:
    """No task of the gateway's goes on when all is settled, and all that was sent is known."""
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


async def test_a_surplus_is_reported(stub: AsyncStub, control: EmulatorClient, post: Post) -> None:
    """Two attachments of one call, because Graph took longer than it may: never hidden."""
    control.inject(trouble(504, store="after", store_after_s=1.2 * SETTLE_S))
    with capture_logs() as log:
        control.inject(Fault(store="before", delay_s=0.5))
        await upload(stub, post)
    assert [entry["event"] for entry in log] == ["surplus", "call"]
    assert len(control.stored()) == 2


async def test_a_new_connection_after_a_503(
    stub: AsyncStub, control: EmulatorClient, post: Post
) -> None:
    """As Microsoft asks."""
    await upload(stub, post)
    control.inject(trouble(503))
    await upload(stub, post)
    first, refused, again = [one for one in control.requests() if one.method == "POST"]
    assert first.connection == refused.connection != again.connection
