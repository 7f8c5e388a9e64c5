"""Attacks by messages and uploads that never end."""

import asyncio
from functools import partial

from tests.abuse import traffic
from tests.abuse.attack import AGAIN_AFTER_S, Attack, Outcome, Target, on_connections, seen
from tests.abuse.frames import message
from tests.abuse.raw_client import RawClient
from tests.abuse.traffic import MIB, OTHER

# The largest message that the gateway takes, less a little for the item's frame.
MESSAGE_BYTES = 8 * MIB - 100

BYTE_EVERY_S = 5.0
SLOW_UPLOADS = 66


async def _never_ending(
    target: Target,
    *,
    path: str,
    streams: int,
    connections: int,
    announced_bytes: int = MESSAGE_BYTES,
    sent_bytes: int = MESSAGE_BYTES - 1,
) -> Outcome:
    """Send the beginnings of messages; begin another call when one is answered."""
    begun = message(bytes(sent_bytes), announced_bytes=announced_bytes)

    async def stream(client: RawClient) -> None:
        while True:
            its = await client.open(path, OTHER)
            await client.send(its, begun)
            await client.streams[its].ended.wait()
            await asyncio.sleep(AGAIN_AFTER_S)

    async def work(client: RawClient) -> None:
        await asyncio.gather(*(stream(client) for _ in range(streams // connections)))

    return seen(await on_connections(target, connections, work))


async def _trickled(target: Target) -> Outcome:
    """Send the bytes of messages one by one, each in a DATA frame, one in a second."""
    start = message(b"", announced_bytes=traffic.MB)

    async def stream(client: RawClient) -> None:
        its = await client.open(traffic.CREATE, OTHER)
        await client.send(its, start)
        while True:
            await client.send(its, b"\n")
            await asyncio.sleep(1)

    async def work(client: RawClient) -> None:
        await asyncio.gather(*(stream(client) for _ in range(20)))

    return seen(await on_connections(target, 2, work))


async def _slow_uploads(target: Target) -> Outcome:
    """Declare LARGE_BYTES and send a chunk of one byte every BYTE_EVERY_S, without a deadline."""
    chunk = message(traffic.chunk(b"x"))

    async def stream(client: RawClient) -> None:
        while True:
            header = traffic.header(traffic.post(), traffic.LARGE_BYTES).SerializeToString()
            its = await client.open(traffic.UPLOAD, OTHER)
            await client.send(its, message(header))
            while not client.streams[its].ended.is_set():
                await client.send(its, chunk)
                await asyncio.sleep(BYTE_EVERY_S)

    async def work(client: RawClient) -> None:
        await asyncio.gather(*(stream(client) for _ in range(SLOW_UPLOADS // 6)))

    return seen(await on_connections(target, 6, work))


async def _long_deadlines(target: Target) -> Outcome:
    """Begin uploads with deadlines of ten and of 11,000 years, and send nothing more."""

    async def stream(client: RawClient, number: int) -> None:
        header = traffic.header(traffic.post(), traffic.LARGE_BYTES).SerializeToString()
        timeout = ("grpc-timeout", "87600H" if number % 2 else "99999999H")
        its = await client.open(traffic.UPLOAD, [*OTHER, timeout])
        await client.send(its, message(header))
        await client.streams[its].ended.wait()

    async def work(client: RawClient) -> None:
        await asyncio.gather(*(stream(client, number) for number in range(30)))

    return seen(await on_connections(target, 10, work))


def _attack(name: str, about: str, path: str, streams: int, connections: int) -> Attack:
    run = partial(_never_ending, path=path, streams=streams, connections=connections)
    return Attack(name=name, about=about, run=run)


ATTACKS = (
    _attack(
        "create-unfinished-1",
        "150 CreateAttachment messages of 8 MiB without their last byte, on 1 connection",
        traffic.CREATE,
        150,
        1,
    ),
    _attack(
        "create-unfinished-15",
        "the same, on 15 connections",
        traffic.CREATE,
        150,
        15,
    ),
    _attack(
        "upload-unfinished",
        "40 uploads whose first message, of 8 MiB, lacks its last byte",
        traffic.UPLOAD,
        40,
        8,
    ),
    _attack(
        "health-unfinished",
        "40 health checks likewise",
        traffic.HEALTH,
        40,
        8,
    ),
    _attack(
        "reflection-unfinished",
        "40 reflection calls likewise",
        traffic.REFLECTION,
        40,
        8,
    ),
    _attack(
        "unknown-unfinished",
        "40 calls of a method that is not there likewise",
        "/graphattachments.v1.AttachmentService/None",
        40,
        8,
    ),
    Attack(
        name="message-of-1-gib",
        about="2 CreateAttachment messages that announce 1 GiB, of which 256 MiB are sent "
        "(grpc/grpc#43012: the limit counts once a message is whole)",
        run=partial(
            _never_ending,
            path=traffic.CREATE,
            streams=2,
            connections=2,
            announced_bytes=1024 * MIB,
            sent_bytes=256 * MIB,
        ),
    ),
    Attack(
        name="trickled-messages",
        about="40 CreateAttachment messages that come with 1 byte a second, in a DATA frame each",
        run=_trickled,
    ),
    Attack(
        name="slow-uploads",
        about="66 uploads without deadline that declare 3 MB and send 1 byte every 5 s",
        run=_slow_uploads,
    ),
    Attack(
        name="long-deadlines",
        about="300 silent uploads of 3 MB with deadlines of 10 and of 11,000 years",
        run=_long_deadlines,
    ),
)
