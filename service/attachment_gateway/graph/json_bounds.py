"""Whether a JSON text is small enough to be parsed, told without parsing it.

A parser makes one object of each value and each name. 4 MB of `{}` are 1.3 million objects, which
take 100 MB and, with what is made of them, seconds.
"""

from collections.abc import Iterator

# An element is one of the marks `{ [ , :` outside of strings: a text with n of them has at most
# n + 1 values and names. Measured with orjson and CPython 3.11, the most are the 81 bytes for each
# of the three marks of `{"a":"bb"},`. So a parsed text takes at most 4 MB beside its longer
# strings, which take at most four times their bytes in the text. An event with 5,000 attendees has
# 40,000 elements, a list's page of 1,000 attachments has 16,000.
MAX_ELEMENTS = 50_000

# protobuf reads at most 100 nested messages, so a caller can't send more. Python's own functions
# for nested values end at 1,000.
MAX_DEPTH = 100

# A text is scanned in windows of this size. One window takes about 2 ms and 3 MB at most.
WINDOW_BYTES = 64 * 1024

_MARKS = b"{[,:"
_BRACKETS = b"{[]}"
_ALL_BYTES = bytes(range(256))
_NOT_MARKS = bytes(set(_ALL_BYTES) - set(_MARKS))
_NOT_BRACKETS = bytes(set(_ALL_BYTES) - set(_BRACKETS))
_STEPS = {ord("{"): 1, ord("["): 1, ord("}"): -1, ord("]"): -1}


def is_bounded(
    text: bytes, *, max_elements: int = MAX_ELEMENTS, window_bytes: int = WINDOW_BYTES
) -> bool:
    """Return whether a text has at most `max_elements`, nested at most MAX_DEPTH deep.

    It is exact for valid JSON. An invalid text counts up to its first error at least, which is as
    far as a parser gets.
    """
    opened = text.count(b"{") + text.count(b"[")
    if opened + text.count(b",") + text.count(b":") <= max_elements and opened <= MAX_DEPTH:
        return True
    elements = depth = 0
    for outside in _outside_strings(text, window_bytes):
        elements += len(outside.translate(None, _NOT_MARKS))
        if elements > max_elements:
            return False
        for bracket in outside.translate(None, _NOT_BRACKETS):
            depth += _STEPS[bracket]
            if not 0 <= depth <= MAX_DEPTH:
                return depth < 0  # the text ends here: no parser gets further
    return True


def _outside_strings(text: bytes, window_bytes: int) -> Iterator[bytes]:
    """Yield what is outside of strings, window by window."""
    inside, escape = 0, b""
    for at in range(0, len(text), window_bytes):
        # Without escaped backslashes and escaped quotes, each quote begins or ends a string.
        window = escape + text[at : at + window_bytes]
        window = window.replace(rb"\\", b"").replace(rb"\"", b"")
        escape = b"\\" if window.endswith(b"\\") else b""
        parts = window.removesuffix(escape).split(b'"')
        yield b"".join(parts[inside::2])
        inside = (inside + len(parts) - 1) % 2
