"""HTTP/2's frames, and gRPC's messages in them, as bytes (RFC 9113, and gRPC over HTTP/2)."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

HEAD_BYTES = 9

# The largest frame that a peer must take (RFC 9113, section 4.2), and the largest that it may.
FRAME_BYTES = 16 * 1024
MAX_FRAME_BYTES = 2**24 - 1

# Both windows begin at this size (section 6.9.2).
WINDOW_BYTES = 65_535

CANCEL = 8


class Kind(IntEnum):
    """The types of frames (section 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Flag(IntFlag):
    """Their flags; ACK and END_STREAM are the same bit, of different frames."""

    NONE = 0
    END_STREAM = 1
    ACK = 1
    END_HEADERS = 4


class Setting(IntEnum):
    """The settings that attacks give or read (section 6.5.2)."""

    MAX_CONCURRENT_STREAMS = 3
    INITIAL_WINDOW_SIZE = 4


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame."""

    kind: int
    flags: int
    stream: int
    payload: bytes


def frame(kind: Kind, payload: bytes = b"", *, flags: Flag = Flag.NONE, stream: int = 0) -> bytes:
    """Return a frame."""
    return head(kind, len(payload), flags=flags, stream=stream) + payload


def head(kind: Kind, length: int, *, flags: Flag = Flag.NONE, stream: int = 0) -> bytes:
    """Return a frame's head, which announces a payload of `length` bytes."""
    return struct.pack(">BHBBL", length >> 16, length & 0xFFFF, kind, flags, stream)


def parsed_head(raw: bytes) -> tuple[int, Frame]:
    """Return the length of the payload, and the frame without it."""
    high, low, kind, flags, stream = struct.unpack(">BHBBL", raw)
    return high << 16 | low, Frame(kind, flags, stream & 0x7FFF_FFFF, b"")


def settings(given: dict[Setting, int]) -> bytes:
    """Return a SETTINGS frame."""
    return frame(Kind.SETTINGS, b"".join(struct.pack(">HL", *each) for each in given.items()))


def parsed_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Yield each setting's number and value."""
    yield from struct.iter_unpack(">HL", payload)


def window_update(stream: int, more_bytes: int) -> bytes:
    """Return a WINDOW_UPDATE frame; stream 0 is the connection."""
    return frame(Kind.WINDOW_UPDATE, struct.pack(">L", more_bytes), stream=stream)


def reset(stream: int, code: int = CANCEL) -> bytes:
    """Return a RST_STREAM frame."""
    return frame(Kind.RST_STREAM, struct.pack(">L", code), stream=stream)


def message(
    content: bytes, *, announced_bytes: int | None = None, compressed: bool = False
) -> bytes:
    """Return a gRPC message, whose prefix may announce another length than it has."""
    length = len(content) if announced_bytes is None else announced_bytes
    return struct.pack(">BL", compressed, length) + content


def literal(name: str, value: str, *, into_table: bool = False) -> bytes:
    """Return a header as HPACK's literal, with or without an entry in the table (RFC 7541, 6.2)."""
    start = b"\x40" if into_table else b"\x00"
    return start + _string(name) + _string(value)


def _string(text: str) -> bytes:
    """Return a string's length, with a prefix of 7 bits (RFC 7541, 5.1 and 5.2), and the string."""
    length, rest = bytearray(), len(text) - 127
    if rest < 0:
        return bytes([len(text)]) + text.encode()
    while rest >= 128:
        length.append(rest % 128 | 128)
        rest //= 128
    return bytes([127, *length, rest]) + text.encode()


def header_frames(block: bytes, stream: int) -> bytes:
    """Return a header block as one HEADERS frame and as many CONTINUATION frames as it needs."""
    pieces = [block[at : at + FRAME_BYTES] for at in range(0, len(block), FRAME_BYTES)]
    kinds = [Kind.HEADERS, *[Kind.CONTINUATION] * (len(pieces) - 1)]
    flags = [*[Flag.NONE] * (len(pieces) - 1), Flag.END_HEADERS]
    return b"".join(
        frame(kind, piece, flags=flag, stream=stream)
        for kind, piece, flag in zip(kinds, pieces, flags, strict=True)
    )
