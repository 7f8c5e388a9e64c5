"""The frames and headers that the raw client writes, against another implementation."""

import hpack
import pytest

from tests.abuse.frames import (
    Flag,
    Frame,
    Kind,
    frame,
    head,
    header_frames,
    literal,
    message,
    parsed_head,
)


def test_a_frame_is_as_in_the_rfc() -> None:
    """A frame has a length of 3 bytes, a type, flags, a stream of 4 bytes, and the payload."""
    assert frame(Kind.PING, b"12345678", flags=Flag.ACK) == b"\0\0\x08\x06\x01\0\0\0\x0012345678"
    assert head(Kind.GOAWAY, 2**24 - 1) == b"\xff\xff\xff\x07\0\0\0\0\0"
    assert parsed_head(b"\0\0\x08\x06\x01\0\0\0\x05") == (8, Frame(Kind.PING, Flag.ACK, 5, b""))


def decoded(block: bytes) -> list[tuple[str, str]]:
    """Return the headers of a block."""
    decoder = hpack.Decoder(max_header_list_size=1_000_000)
    return [(str(name), str(value)) for name, value in decoder.decode(block)]


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 254, 255, 100_000])
def test_a_literal_header_is_hpack(length: int) -> None:
    """A literal is read back by an HPACK decoder, whatever the length of its value."""
    assert decoded(literal("x-a", "v" * length)) == [("x-a", "v" * length)]


def test_a_literal_in_the_table_can_be_named_again() -> None:
    """An entry of the table is the newest, index 62, for the rest of the block."""
    block = literal("x-a", "v", into_table=True) + b"\xbe\xbe"
    assert decoded(block) == [("x-a", "v")] * 3


def test_a_large_block_continues() -> None:
    """A block of more than 16 KiB continues in CONTINUATION frames, and only the last ends it."""
    written = header_frames(b"b" * 16_385, 3)
    assert written[:9] == b"\x00\x40\x00\x01\x00\x00\x00\x00\x03"
    assert written[9 + 16_384 :] == b"\x00\x00\x01\x09\x04\x00\x00\x00\x03b"


def test_a_message_may_announce_more_than_it_has() -> None:
    """A message has a flag for compression and 4 bytes of length, which may be another one."""
    assert message(b"abc") == b"\0\0\0\0\x03abc"
    assert message(b"abc", announced_bytes=2**20, compressed=True) == b"\x01\0\x10\0\0abc"
