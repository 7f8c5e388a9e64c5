"""A file's bytes -> base64 segments, as the bytes come; memory never holds both as a whole."""

from collections.abc import Iterator

import pybase64

# Base64 turns 3 bytes into 4 characters.
QUANTUM_BYTES = 3
QUANTUM_CHARS = 4

# Chunks smaller than this are gathered before they are encoded: one object per tiny chunk would
# take many times the memory of the file.
_GATHER_BYTES = 48 * 1024


def encoded_size(size_bytes: int) -> int:
    """Return how many base64 characters `size_bytes` bytes make, padding included."""
    return -(-size_bytes // QUANTUM_BYTES) * QUANTUM_CHARS


class Base64Stream:
    """An encoder: feed() takes the chunks, then finish() returns the segments of their base64.

    Every segment but the last encodes a multiple of 3 bytes, so each can be decoded by itself.
    """

    def __init__(self) -> None:
        self._segments: list[bytes] = []
        self._waiting = bytearray()

    def feed(self, chunk: bytes | memoryview) -> None:
        """Take the next bytes of the file."""
        if len(self._waiting) + len(chunk) < _GATHER_BYTES:
            self._waiting += chunk
            return
        head = -len(self._waiting) % QUANTUM_BYTES
        tail = len(chunk) - (len(chunk) - head) % QUANTUM_BYTES
        view = memoryview(chunk)
        self._encode(self._waiting + view[:head])
        self._encode(view[head:tail])
        self._waiting = bytearray(view[tail:])

    def finish(self) -> tuple[bytes, ...]:
        """Return the segments; the stream takes no more."""
        self._encode(self._waiting)
        self._waiting = bytearray()
        return tuple(self._segments)

    def _encode(self, part: bytearray | memoryview) -> None:
        if part:
            self._segments.append(pybase64.b64encode(part))


def decoded(segments: tuple[bytes, ...]) -> Iterator[bytes]:
    """Yield the bytes of a finished stream, one segment at a time."""
    return (pybase64.b64decode(segment) for segment in segments)
