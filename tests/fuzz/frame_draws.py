"""What the target `frames` sends: HTTP/2 frames of valid calls, changed at every level."""

import gzip
import struct
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from tests.fuzz import draws, messages, upload_streams
from tests.fuzz.draws import chance, number
from tests.fuzz.http2 import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    WITH_PRIORITY,
    Frame,
    header_block,
)
from tests.fuzz.wire_calls import CREATE, UPLOAD
from tests.fuzz.wire_graph import token

# Below HTTP/2's first window, so that no call waits for another one.
MAX_SENT_BYTES = 60_000
CAP_BYTES = 8_000

# How long an input's connection is read: usually short, since a changed call may never end.
READ_S = 0.1
READ_TO_THE_END_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """What is sent over one connection, and how long the answers are read."""

    wire: bytes
    read_s: float
    half_closes: bool


_Headers = list[tuple[bytes, bytes]]
_Frames = list[Frame]


def draw(random: Random, input_id: str) -> Connection:
    """Draw the frames of one or two calls, and change something."""
    calls = [_call(random, input_id, stream) for stream in random.choice(((1,), (1,), (1, 3)))]
    frames = [Frame(SETTINGS, 0, 0, b""), *_interleaved(random, calls)]
    for _ in range(random.choice((0, 0, 0, 1, 1, 2, 4))):
        random.choice(_CHANGES)(random, frames)
    wire = PREFACE + b"".join(frame.encoded() for frame in frames)
    if chance(random, 0.1):
        wire = draws.mutated(random, wire)
    return Connection(
        wire=wire[:MAX_SENT_BYTES],
        read_s=READ_TO_THE_END_S if chance(random, 0.03) else READ_S,
        half_closes=chance(random, 0.2),
    )


def _call(random: Random, input_id: str, stream: int) -> _Frames:
    path, sent = random.choice(((UPLOAD, _upload), (CREATE, _create)))
    headers: _Headers = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.encode()),
        (b":authority", b"gateway"),
        (b"te", b"trailers"),
        (b"content-type", b"application/grpc"),
        (b"authorization", f"Bearer {token(input_id)}".encode()),
    ]
    if chance(random, 0.5):
        headers.append((b"grpc-timeout", random.choice((b"2S", b"500m"))))
    if chance(random, 0.2):
        random.choice(_HEADER_CHANGES)(random, headers)
    body = b"".join(_prefixed(random, message) for message in sent(random))
    pieces = draws.cut(random, body[:MAX_SENT_BYTES], 6)
    frames = _header_frames(random, stream, header_block(headers))
    frames += [_data(random, stream, piece) for piece in pieces]
    frames[-1] = frames[-1]._replace(flags=frames[-1].flags | END_STREAM)
    return frames


def _upload(random: Random) -> tuple[bytes, ...]:
    return upload_streams.draw(random, CAP_BYTES).messages


def _create(random: Random) -> tuple[bytes, ...]:
    return (messages.create_request(random).SerializeToString(),)


def _prefixed(random: Random, message: bytes) -> bytes:
    """Return a message with gRPC's prefix: whether it is compressed, and its length."""
    compressed, length = 0, len(message)
    if chance(random, 0.05):
        compressed = random.choice((1, 1, 2, 255))
        message = gzip.compress(message) if chance(random, 0.5) else message
        length = len(message)
    if chance(random, 0.04):
        length = random.choice((length + 1, max(length - 1, 0), 2**32 - 1, 2**31, 9_000_000))
    return struct.pack(">BL", compressed, length) + message


def _header_frames(random: Random, stream: int, block: bytes) -> _Frames:
    if chance(random, 0.85):
        return [Frame(HEADERS, END_HEADERS, stream, block)]
    first, *others = draws.cut(random, block, 4)
    made = [Frame(HEADERS, 0, stream, first)]
    made += [Frame(CONTINUATION, 0, stream, each) for each in others]
    made[-1] = made[-1]._replace(flags=END_HEADERS)
    return made


def _data(random: Random, stream: int, piece: bytes) -> Frame:
    if chance(random, 0.9):
        return Frame(DATA, 0, stream, piece)
    padding = random.randrange(256)
    return Frame(DATA, PADDED, stream, bytes([padding]) + piece + bytes(padding))


def _interleaved(random: Random, calls: list[_Frames]) -> _Frames:
    """Mix the frames of calls, those of each in their order; headers stay together."""
    mixed = [frame for call in calls for frame in call if frame.kind in (HEADERS, CONTINUATION)]
    rest = [[frame for frame in call if frame.kind == DATA] for call in calls]
    while any(rest):
        mixed.append(random.choice([each for each in rest if each]).pop(0))
    return mixed


# Changes of a call's headers.


def _drop_header(random: Random, headers: _Headers) -> None:
    del headers[random.randrange(len(headers))]


def _repeat_header(random: Random, headers: _Headers) -> None:
    headers.insert(random.randrange(len(headers)), random.choice(headers))


def _change_header(random: Random, headers: _Headers) -> None:
    at = random.randrange(len(headers))
    headers[at] = (headers[at][0], draws.mutated(random, headers[at][1]))


def _add_header(random: Random, headers: _Headers) -> None:
    headers.append(
        random.choice(
            (
                (b"grpc-timeout", b"99999999H"),
                (b"grpc-timeout", b"-1S"),
                (b"grpc-timeout", b"0n"),
                (b"grpc-encoding", b"gzip"),
                (b"grpc-encoding", b"x"),
                (b"grpc-accept-encoding", b"\xff"),
                (b"content-type", b"text/plain"),
                (b"content-length", b"1"),
                (b"Upper", b"x"),
                (b"x-bin", b"!!!"),
                (b"x", b"a\r\nb"),
                (b"x" * 300, b"x" * 40_000),
                (b"transfer-encoding", b"chunked"),
                (b"", b""),
            )
        )
    )


_HEADER_CHANGES = (_drop_header, _repeat_header, _change_header, _add_header)

# Changes of the frames.

_Change = Callable[[Random, _Frames], None]


def _at(random: Random, frames: _Frames) -> int:
    return random.randrange(len(frames)) if frames else 0


def _drop(random: Random, frames: _Frames) -> None:
    del frames[_at(random, frames) : _at(random, frames) + 1]


def _repeat(random: Random, frames: _Frames) -> None:
    at = _at(random, frames)
    frames[at:at] = frames[at : at + 1] * random.choice((1, 2, 50))


def _swap(random: Random, frames: _Frames) -> None:
    if frames:
        one, other = _at(random, frames), _at(random, frames)
        frames[one], frames[other] = frames[other], frames[one]


def _change_field(random: Random, frames: _Frames) -> None:
    if not frames:
        return
    at = _at(random, frames)
    changes = (
        {"kind": random.randrange(12)},
        {"flags": random.randrange(256)},
        {"stream": random.choice((0, 1, 2, 3, 5, 2**31 - 1, 2**32 - 1))},
        {"length": random.choice((0, len(frames[at].payload) + 1, 16_385, 2**24 - 1))},
        {"payload": draws.mutated(random, frames[at].payload)},
        {"flags": frames[at].flags ^ END_STREAM},
    )
    frames[at] = frames[at]._replace(**random.choice(changes))


def _insert(random: Random, frames: _Frames) -> None:
    stream = random.choice((0, 1, 1, 3, 7))
    word = struct.pack(">L", number(random) & 0xFFFF_FFFF)
    settings = struct.pack(">HL", random.randrange(8), number(random) & 0xFFFF_FFFF)
    frame = random.choice(
        (
            Frame(RST_STREAM, 0, stream, struct.pack(">L", random.randrange(14))),
            Frame(WINDOW_UPDATE, 0, stream, word),
            Frame(PING, 0, 0, bytes(8)),
            Frame(PING, ACK, 0, bytes(random.randrange(9))),
            Frame(PRIORITY, 0, stream, bytes(5)),
            Frame(GOAWAY, 0, 0, bytes(8) + random.randbytes(9)),
            Frame(SETTINGS, 0, 0, settings),
            Frame(SETTINGS, ACK, 0, b""),
            Frame(DATA, END_STREAM, stream, b""),
            Frame(HEADERS, END_HEADERS | WITH_PRIORITY, stream, bytes(5)),
            Frame(CONTINUATION, END_HEADERS, stream, b""),
            Frame(random.randrange(10, 256), 0, stream, random.randbytes(5)),
        )
    )
    frames.insert(_at(random, frames), frame)


def _cut_off(random: Random, frames: _Frames) -> None:
    del frames[_at(random, frames) :]


_CHANGES: tuple[_Change, ...] = (
    *(_drop, _repeat, _swap, _change_field, _change_field, _insert, _insert, _cut_off),
)
