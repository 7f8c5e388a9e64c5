"""Attacks by uploads that the gateway or Graph refuses."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import grpc.aio

from graphattachments.v1.attachment_pb2 import PostRef
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.abuse import traffic
from tests.abuse.attack import AGAIN_AFTER_S, Attack, Outcome, Target, during, on_connections
from tests.abuse.frames import message
from tests.abuse.raw_client import RawClient
from tests.abuse.traffic import CHUNK_BYTES, HONEST_APP, LARGE_BYTES, MIB, OTHER, bearer, token

if TYPE_CHECKING:
    from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceAsyncStub

# As many as fill a mailbox's 150 MB in 5 minutes, at 4 MB in base64 each.
UPLOADS = 37

# After a refusal is known the gateway takes at most this much, beside the message under way.
TAKEN_AT_MOST_BYTES = MIB + CHUNK_BYTES

# A quarter of the answers must come in this time: attack and honest callers share the gateway's
# machine, which may delay the others.
ANSWERED_WITHIN_S = 0.1

# An upload that isn't refused ends after this much.
SENT_AT_MOST_BYTES = 128 * MIB


async def _declared(target: Target, *, size_bytes: int) -> Outcome:
    """Declare a size, send chunks as fast as the gateway takes them, until the answer comes."""
    taken: list[int] = []
    times: list[float] = []
    ends: Counter[str] = Counter()
    chunk = message(traffic.chunks(CHUNK_BYTES)[0].SerializeToString())
    many = chunk * (4 * MIB // CHUNK_BYTES)

    async def stream(client: RawClient) -> None:
        header = message(traffic.header(traffic.post(), size_bytes).SerializeToString())
        number = await client.open(traffic.UPLOAD, OTHER)
        its = client.streams[number]
        await client.send(number, header)
        began_s = time.monotonic()
        while not its.ended.is_set() and its.sent_bytes < SENT_AT_MOST_BYTES:
            await client.send(number, many)
        times.append((its.ended_s or time.monotonic()) - began_s)
        taken.append(its.sent_bytes - len(header))
        ends[its.status] += 1

    async def work(client: RawClient) -> None:
        while True:
            await stream(client)
            await asyncio.sleep(AGAIN_AFTER_S)

    await on_connections(target, 2, work)
    return _judged(taken, times, ends)


def _judged(taken: list[int], times: list[float], ends: Counter[str]) -> Outcome:
    if not taken:
        return Outcome(broken=["no answer"])
    most_bytes, quarter_s = max(taken), sorted(times)[len(times) // 4]
    outcome = Outcome(
        notes={
            "streams": dict(ends),
            "taken MiB": round(most_bytes / MIB, 2),
            "answered ms": f"{quarter_s * 1000:.0f} to {max(times) * 1000:.0f}",
        }
    )
    if most_bytes > TAKEN_AT_MOST_BYTES:
        outcome.broken.append(f"{most_bytes / MIB:.2f} MiB taken after the refusal")
    if quarter_s > ANSWERED_WITHIN_S:
        outcome.broken.append(f"three of four answers took {quarter_s * 1000:.0f} ms or more")
    return outcome


Token = Callable[[int], str]


async def _unsigned(
    target: Target, *, its_token: Token, at_once: int, to: Callable[[int], PostRef]
) -> Outcome:
    """Make UPLOADS uploads with tokens that Graph refuses, then one more every second."""
    ends: Counter[str] = Counter()
    numbers = iter(range(1_000_000))

    async def call(stub: "AttachmentServiceAsyncStub") -> None:
        number = next(numbers)
        try:
            await stub.UploadFileAttachment(
                traffic.upload(to(number), LARGE_BYTES),
                metadata=bearer(its_token(number)),
                timeout=20,
            )
        except grpc.aio.AioRpcError as error:
            ends[error.code().name] += 1

    async def work() -> None:
        async with grpc.aio.insecure_channel(target.address) as channel:
            stub = AttachmentServiceStub(channel)
            while True:
                await asyncio.gather(*(call(stub) for _ in range(at_once)))
                await asyncio.sleep(1)

    await during(target, [work()])
    return Outcome(notes={"calls": dict(ends)})


def _new_post(number: int) -> PostRef:
    """Return a post of the first honest caller's group."""
    own = traffic.honest_post(0)
    return PostRef(group_id=own.group_id, thread_id=own.thread_id, post_id=f"plain-{number:08x}=")


def _same(_: int) -> str:
    return token(HONEST_APP, signed=False)


def _each(number: int) -> str:
    return token(HONEST_APP, signed=False, number=number)


ATTACKS = (
    Attack(
        name="declared-1-gib",
        about="uploads that declare 1 GiB and send as fast as they can, 2 at once",
        run=partial(_declared, size_bytes=1024 * MIB),
    ),
    Attack(
        name="declared-64-mib",
        about="the same with 64 MiB",
        run=partial(_declared, size_bytes=64 * MIB),
    ),
    Attack(
        name="unsigned-token",
        about="37 uploads of 3 MB to an honest caller's group, with one token without a signature "
        "that names the caller's app",
        run=partial(_unsigned, its_token=_same, at_once=UPLOADS, to=_new_post),
    ),
    Attack(
        name="unsigned-tokens",
        about="the same with another token each",
        run=partial(_unsigned, its_token=_each, at_once=UPLOADS, to=_new_post),
    ),
    Attack(
        name="unsigned-to-the-post",
        about="10 such uploads at once to an honest caller's own post",
        run=partial(_unsigned, its_token=_each, at_once=10, to=lambda _: traffic.honest_post(0)),
    ),
)
