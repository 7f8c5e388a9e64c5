"""base64_stream: a file's bytes as they come -> base64."""

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
def test_size(size_bytes: int, chars: int) -> None:
    """Three bytes are four characters, and what is begun is padded."""
    assert encoded_size(size_bytes) == chars


def test_nothing_is_no_segment() -> None:
    """A file of no bytes has a base64 of no characters."""
    assert encode([]) == encode([b"", b""]) == ()


CHUNKS = st.lists(
    st.one_of(
        st.binary(max_size=9),
        st.integers(0, 3).map(lambda n: bytes(range(256)) * (48 * n) + b"x" * n),
    ),
    max_size=12,
)


@given(CHUNKS)
def test_the_cut_makes_no_difference(chunks: list[bytes]) -> None:
    """However a file is cut into chunks, its base64 is that of the whole, and as long as told."""
    whole = b"".join(chunks)
    segments = encode(chunks)
    assert b"".join(segments) == base64.b64encode(whole)
    assert sum(map(len, segments)) == encoded_size(len(whole))
    assert b"".join(decoded(segments)) == whole


def test_tiny_chunks_are_gathered() -> None:
    """A stream of single bytes doesn't become an object for each of them."""
    assert len(encode([b"x"] * 200_000)) == 5
