"""Tests of graph/base64_encoder.py: a file's chunks become base64 as they come."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.graph.base64_encoder import Base64Stream, decoded, encoded_size


def encode(chunks: list[bytes]) -> tuple[bytes, ...]:
    stream = Base64Stream()
    for chunk in chunks:
        stream.feed(chunk)
    return stream.finish()


@pytest.mark.parametrize(
    ("size_bytes", "chars"), [(0, 0), (1, 4), (2, 4), (3, 4), (4, 8), (3145728, 4194304)]
)
def test_the_encoded_size_is_four_characters_for_three_bytes(size_bytes: int, chars: int) -> None:
    """Three bytes make four characters, and the last group is padded."""
    assert encoded_size(size_bytes) == chars


def test_no_bytes_make_no_segments() -> None:
    """A file without bytes has no segments."""
    assert encode([]) == encode([b"", b""]) == ()


CHUNKS = st.lists(
    st.one_of(
        st.binary(max_size=9),
        st.integers(0, 3).map(lambda n: bytes(range(256)) * (48 * n) + b"x" * n),
    ),
    max_size=12,
)


@given(CHUNKS)
def test_chunk_boundaries_change_nothing(chunks: list[bytes]) -> None:
    """However a file is cut into chunks, its base64 and its size are those of the whole."""
    whole = b"".join(chunks)
    segments = encode(chunks)
    assert b"".join(segments) == base64.b64encode(whole)
    assert sum(map(len, segments)) == encoded_size(len(whole))
    assert b"".join(decoded(segments)) == whole


def test_tiny_chunks_are_gathered() -> None:
    """200,000 chunks of one byte make five segments."""
    assert len(encode([b"x"] * 200_000)) == 5
