"""Tests of graph/json_bounds.py: which texts are parsed."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.graph.codec import parsed
from attachment_gateway.graph.json_bounds import MAX_DEPTH, MAX_ELEMENTS, WINDOW_BYTES, is_bounded

# Three bytes for two elements, and what the marks are in a string.
TINY = b"{},"
MARKS = b'{[,:}]\\"\\\\'

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('{[,:]}"\\é', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text('a"\\,', max_size=3), inner, max_size=3)
    ),
    max_leaves=12,
)


def elements(value: Any) -> int:
    """Return a value's number of marks outside of strings."""
    if isinstance(value, dict):
        own = 1 + len(value) + max(len(value) - 1, 0)
        return own + sum(map(elements, value.values()))
    if isinstance(value, list):
        return 1 + max(len(value) - 1, 0) + sum(map(elements, value))
    return 0


@given(JSON, st.integers(1, 9), st.booleans())
def test_marks_are_counted_outside_of_strings(value: Any, window_bytes: int, ascii: bool) -> None:  # noqa: A002
    """A text is bounded by its number of elements and by no less, however it is cut in windows."""
    text = json.dumps(value, ensure_ascii=ascii, separators=(",", ":")).encode()
    number = elements(value)
    assert is_bounded(text, max_elements=number, window_bytes=window_bytes)
    assert number == 0 or not is_bounded(text, max_elements=number - 1, window_bytes=window_bytes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", True),
        (b"[" + b"1," * (MAX_ELEMENTS - 1) + b"1]", True),
        (b"[" + b"1," * MAX_ELEMENTS + b"1]", False),
        (b"[" + TINY * 25_001 + b"{}]", False),
        (b'{"' + b'":1,"' * 30_000 + b'":1}', False),
        (b"[" * 60_000, False),
        (b'["' + MARKS * 400_000 + b'"]', True),
        (b'{"body":"' + b"{," * 1_500_000 + b'","a":[' + TINY * 25_001 + b"{}]}", False),
        (b'"' * 100_000 + TINY * 30_000, False),
        (b'"' * 100_001 + TINY * 30_000, True),
        (b'["' + b"\\" * (2 * WINDOW_BYTES - 2) + b'",' + TINY * 30_000 + b"{}]", False),
        (b'["' + b"\\" * (2 * WINDOW_BYTES - 1) + b'",' + TINY * 30_000 + b"{}]", True),
    ],
)
def test_a_text_has_at_most_so_many_elements(text: bytes, expected: bool) -> None:
    """What is in a string counts for nothing, also where a window ends within an escape."""
    assert is_bounded(text) is expected


@pytest.mark.parametrize("brackets", [(b"[", b"]"), (b'{"":', b"}")])
def test_a_text_is_nested_at_most_so_deep(brackets: tuple[bytes, bytes]) -> None:
    """A text is nested at most MAX_DEPTH deep, which isn't the number of its brackets."""
    opening, closing = brackets
    deepest = opening * MAX_DEPTH + b"1" + closing * MAX_DEPTH
    assert is_bounded(deepest)
    assert not is_bounded(opening + deepest + closing)
    assert is_bounded(b"[" + b"[[]]," * 1_000 + b"[]]")
    assert is_bounded(b"[]" * 200 + b"]" * 1_000_000)  # invalid: it ends at the surplus bracket


@pytest.mark.parametrize(
    "body", [b'{"id":"i","a":[' + TINY * 25_001 + b"{}]}", b'{"id":"i","a":' + b"[" * 200]
)
def test_what_is_not_bounded_is_not_parsed(body: bytes) -> None:
    """A body with too many elements, or nested too deep, has no JSON object."""
    assert parsed(body) == {}


def test_a_text_of_marks_is_parsed() -> None:
    """An object with 3 MB of commas and braces in a text is parsed, also by the lenient parser."""
    text = '{[,:"\\' * 500_000
    for mark in (b"", b"\xef\xbb\xbf"):
        assert parsed(mark + json.dumps({"body": text}).encode()) == {"body": text}
