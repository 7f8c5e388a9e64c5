"""Attacks by what messages and Graph's answers hold."""

import asyncio
import gzip
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import Any

import grpc.aio

from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from graphattachments.v1.event_pb2 import Event
from tests.abuse import traffic
from tests.abuse.attack import AGAIN_AFTER_S, Attack, Outcome, Target, during, on_connections, seen
from tests.abuse.frames import message
from tests.abuse.raw_client import RawClient
from tests.abuse.traffic import MIB, OTHER, post

# Calls of items at once.
AT_ONCE = 4

# Protobuf's wire type of messages, strings and bytes.
_LENGTH_DELIMITED = 2


# -- what is sent, as bytes


def field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf's wire format with this content."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number >= 128:
        groups.append(number % 128 | 128)
        number //= 128
    return bytes([*groups, number])


def _request(event: bytes, *, behaviour: str = "plain") -> bytes:
    """Return a CreateAttachmentRequest of an event, which is given as its bytes."""
    item = field(ItemAttachment.EVENT_FIELD_NUMBER, event)
    attachment = Attachment(name="a").SerializeToString()
    attachment += field(Attachment.ITEM_ATTACHMENT_FIELD_NUMBER, item)
    request = CreateAttachmentRequest(post=post(behaviour)).SerializeToString()
    return request + field(CreateAttachmentRequest.ATTACHMENT_FIELD_NUMBER, attachment)


@cache
def _empty_messages() -> bytes:
    """Return 2,000,000 empty attendees, of 2 bytes each."""
    return field(Event.ATTENDEES_FIELD_NUMBER, b"") * 2_000_000


@cache
def _values() -> bytes:
    """Return 800,000 nulls in a list of additional properties, and lists in lists."""
    null = field(1, b"\x08\x00")
    nested = b""
    for _ in range(40):
        nested = field(1, field(6, nested))
    values = null * 800_000 + nested * (600_000 // len(nested))
    return field(Event.ADDITIONAL_PROPERTIES_FIELD_NUMBER, _struct("many", field(6, values)))


def _struct(key: str, value: bytes) -> bytes:
    """Return a Struct with one field, whose Value is given as its bytes."""
    return field(1, field(1, key.encode()) + field(2, value))


@cache
def _unknown() -> bytes:
    """Return 2,700,000 fields of unknown numbers, of 3 bytes each."""
    return (_varint(1999 << 3) + b"\x00") * 2_700_000


# -- how


async def _items(
    target: Target, *, event: Callable[[], bytes], behaviour: str = "plain"
) -> Outcome:
    """Create items, AT_ONCE at once, again and again."""
    event()  # made before the clocks run
    return await _calls(target, partial(_create, event=event, behaviour=behaviour), AT_ONCE)


Ends = Counter[str]


async def _calls(
    target: Target, call: Callable[[grpc.aio.Channel, Ends], Awaitable[None]], at_once: int
) -> Outcome:
    """Repeat a call, so many at once, and count how the calls end."""
    ends: Ends = Counter()

    async def repeat() -> None:
        async with grpc.aio.insecure_channel(target.address, options=_OPTIONS) as channel:
            while True:
                await call(channel, ends)
                await asyncio.sleep(AGAIN_AFTER_S)

    await during(target, [repeat() for _ in range(at_once)])
    return Outcome(notes={"calls": dict(ends.most_common(4))})


_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", -1),
]


async def _create(
    channel: grpc.aio.Channel, ends: Ends, *, event: Callable[[], bytes], behaviour: str
) -> None:
    create: Any = channel.unary_unary(traffic.CREATE)
    try:
        await create(_request(event(), behaviour=behaviour), metadata=OTHER, timeout=20)
        ends["OK"] += 1
    except grpc.aio.AioRpcError as error:
        ends[error.code().name] += 1


async def _honest_items(target: Target) -> Outcome:
    """Create 30 items of 2.9 MB at once, each on its own connection, which all have to succeed."""
    ends: Ends = Counter()
    text = traffic.item(post("echo"), 2_900_000).attachment.item_attachment

    async def call() -> None:
        async with grpc.aio.insecure_channel(target.address, options=_OPTIONS) as channel:
            create: Any = channel.unary_unary(traffic.CREATE)
            request = traffic.create(post("echo"), text).SerializeToString()
            try:
                await create(request, metadata=OTHER, timeout=20)
                ends["OK"] += 1
            except grpc.aio.AioRpcError as error:
                ends[f"{error.code().name} {(error.details() or '')[:50]}"] += 1

    await asyncio.gather(*(call() for _ in range(30)))
    await target.over.wait()
    outcome = Outcome(notes={"calls": dict(ends)})
    if ends["OK"] < 30:
        outcome.broken.append(f"{ends['OK']} of 30 items created")
    return outcome


@cache
def _zeros(size_bytes: int) -> bytes:
    """Return zeros in gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parts = [packer.compress(bytes(MIB)) for _ in range(size_bytes // MIB)]
    return b"".join([*parts, packer.flush()])


@cache
def _large_file() -> bytes:
    """Return a request for a file of zeros that nearly fills a message, in gzip."""
    request = CreateAttachmentRequest(post=post(), attachment=Attachment(name="a"))
    request.attachment.file_attachment.content_bytes = bytes(8 * MIB - 1000)
    return gzip.compress(request.SerializeToString())


async def _compressed(
    target: Target, *, packed: Callable[[], bytes], streams: int, connections: int, path: str
) -> Outcome:
    """Send compressed messages; a call that is answered is made again."""
    whole = message(packed(), compressed=True)

    async def stream(client: RawClient) -> None:
        while True:
            its = await client.open(path, [*OTHER, ("grpc-encoding", "gzip")])
            await client.send(its, whole, end=True)
            await client.streams[its].ended.wait()
            await asyncio.sleep(AGAIN_AFTER_S)

    async def work(client: RawClient) -> None:
        await asyncio.gather(*(stream(client) for _ in range(streams // connections)))

    return seen(await on_connections(target, connections, work))


def _bomb(name: str, about: str, packed: Callable[[], bytes], streams: int, path: str) -> Attack:
    run = partial(
        _compressed, packed=packed, streams=streams, connections=min(streams, 10), path=path
    )
    return Attack(name=name, about=about, run=run)


ATTACKS = (
    Attack(
        name="items-echoed",
        about="30 honest items of 2.9 MB at once, which Graph echoes and which have to succeed",
        run=_honest_items,
    ),
    Attack(
        name="answer-of-tiny-elements",
        about="small items that Graph answers with 3.6 MB of `{}`",
        run=partial(_items, event=lambda: b"", behaviour="tiny"),
    ),
    Attack(
        name="pages-of-tiny-elements",
        about="look-ups after a 503, in which Graph shows 12 pages of 4 MB of `{}`",
        run=partial(_items, event=lambda: b"", behaviour="pages"),
    ),
    Attack(
        name="packed-pages",
        about="the same with a page that expands from 0.25 MB to 256 MiB",
        run=partial(_items, event=lambda: b"", behaviour="packed"),
    ),
    Attack(
        name="item-of-empty-messages",
        about="items of 4 MB: 2,000,000 empty attendees",
        run=partial(_items, event=_empty_messages),
    ),
    Attack(
        name="item-of-empty-messages-echoed",
        about="the same with 1,200,000 attendees, which Graph echoes",
        run=partial(_items, event=lambda: _empty_messages()[:2_400_000], behaviour="echo"),
    ),
    Attack(
        name="item-of-values",
        about="items of 4 MB: 800,000 nulls in a list, and lists in lists 40 deep",
        run=partial(_items, event=_values),
    ),
    Attack(
        name="item-of-unknown-fields",
        about="items of 8 MB: 2,700,000 unknown fields",
        run=partial(_items, event=_unknown),
    ),
    _bomb(
        "gzip-20-mib",
        "30 messages that expand from 20 KB to 20 MiB",
        lambda: _zeros(20 * MIB),
        30,
        traffic.CREATE,
    ),
    _bomb(
        "gzip-512-mib",
        "2 health checks that expand from 0.5 MB to 512 MiB (grpc/grpc#43012)",
        lambda: _zeros(512 * MIB),
        2,
        traffic.HEALTH,
    ),
    _bomb(
        "gzip-8-mib",
        "150 files that expand from 8 KB to 8 MiB, which the limit of messages allows",
        _large_file,
        150,
        traffic.CREATE,
    ),
)
