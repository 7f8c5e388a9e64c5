"""Frames of HTTP/2 as bytes: written by hand, so that they may be wrong, and read again."""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from hpack import Decoder, HPACKError

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = (
    range(10)
)

END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY = 0x1, 0x4, 0x8, 0x20
ACK = 0x1

_HEAD = struct.Struct(">HBBBL")

Headers = Sequence[tuple[bytes, bytes]]


class Frame(NamedTuple):
    """One frame; `length` is what it says, None for the truth."""

    kind: int
    flags: int
    stream: int
    payload: bytes
    length: int | None = None

    def encoded(self) -> bytes:
        """Return the frame's bytes."""
        length = len(self.payload) if self.length is None else self.length
        head = _HEAD.pack(length >> 8 & 0xFFFF, length & 0xFF, self.kind, self.flags, self.stream)
        return head + self.payload


def header_block(headers: Headers) -> bytes:
    """Return headers in HPACK, as literals that don't enter the table."""
    return b"".join(b"\0" + _text(name) + _text(value) for name, value in headers)


def _text(value: bytes) -> bytes:
    """Return a string of HPACK without Huffman's code: a length of 7 bits or more, the bytes."""
    if len(value) < 127:
        return bytes([len(value)]) + value
    rest, groups = len(value) - 127, bytearray([127])
    while rest > 127:
        groups.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*groups, rest]) + value


@dataclass
class Answers:
    """What a server has sent: the headers of each stream, and which streams have ended.

    `is_gone`: it has sent GOAWAY; `is_open`: the connection was still open after the last read.
    """

    headers: dict[int, dict[str, str]] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    reset: set[int] = field(default_factory=set)
    is_gone: bool = False
    is_open: bool = False
    fault: str = ""
    _decoder: Decoder = field(default_factory=Decoder)
    _unread: bytearray = field(default_factory=bytearray)
    _block: bytearray = field(default_factory=bytearray)

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes; return the frames that are complete, in their order."""
        self._unread += data
        frames = []
        while len(self._unread) >= 9:
            high, low, kind, flags, stream = _HEAD.unpack_from(self._unread)
            end = 9 + (high << 8 | low)
            if len(self._unread) < end:
                break
            frames.append(Frame(kind, flags, stream & 0x7FFF_FFFF, bytes(self._unread[9:end])))
            del self._unread[:end]
            self._take(frames[-1])
        return frames

    def _take(self, frame: Frame) -> None:
        if frame.kind in (HEADERS, CONTINUATION):
            self._take_headers(frame)
        if frame.kind in (HEADERS, DATA) and frame.flags & END_STREAM:
            self.ended.add(frame.stream)
        elif frame.kind == RST_STREAM:
            self.reset.add(frame.stream)
        elif frame.kind == GOAWAY:
            self.is_gone = True

    def _take_headers(self, frame: Frame) -> None:
        self._block += frame.payload
        if not frame.flags & END_HEADERS:
            return
        try:
            decoded: Iterable[tuple[bytes, bytes]] = self._decoder.decode(
                bytes(self._block), raw=True
            )
        except HPACKError as error:
            self.fault = f"headers that can't be read: {error}"
            return
        finally:
            self._block.clear()
        of_stream = self.headers.setdefault(frame.stream, {})
        of_stream.update(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in decoded
        )
