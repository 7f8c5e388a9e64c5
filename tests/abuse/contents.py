"""Attacks by what messages and Graph's answers hold."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import grpc.aio

from tests.abuse import traffic
from tests.abuse.attack import AGAIN_AFTER_S, Attack, Outcome, Target, during, on_connections, seen
from tests.abuse.frames import message
from tests.abuse.payloads import (
    empty_messages,
    large_file,
    request_of,
    unknown_fields,
    values,
    zeros,
)
from tests.abuse.raw_client import RawClient
from tests.abuse.traffic import MIB, OTHER, post

# Calls of items at once.
AT_ONCE = 4


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
        await create(request_of(event(), behaviour=behaviour), metadata=OTHER, timeout=20)
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
        run=partial(_items, event=empty_messages),
    ),
    Attack(
        name="item-of-empty-messages-echoed",
        about="the same with 1,200,000 attendees, which Graph echoes",
        run=partial(_items, event=lambda: empty_messages()[:2_400_000], behaviour="echo"),
    ),
    Attack(
        name="item-of-values",
        about="items of 3 MB: 600,000 nulls in a list, and lists in lists 40 deep",
        run=partial(_items, event=values),
    ),
    Attack(
        name="item-of-unknown-fields",
        about="items of 8 MB: 2,700,000 unknown fields",
        run=partial(_items, event=unknown_fields),
    ),
    _bomb(
        "gzip-20-mib",
        "30 messages that expand from 20 KB to 20 MiB",
        lambda: zeros(20 * MIB),
        30,
        traffic.CREATE,
    ),
    _bomb(
        "gzip-512-mib",
        "2 health checks that expand from 0.5 MB to 512 MiB (grpc/grpc#43012)",
        lambda: zeros(512 * MIB),
        2,
        traffic.HEALTH,
    ),
    _bomb(
        "gzip-8-mib",
        "150 files that expand from 8 KB to 8 MiB, which the limit of messages allows",
        large_file,
        150,
        traffic.CREATE,
    ),
)
