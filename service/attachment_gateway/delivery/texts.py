"""Texts compared without what Graph changes of them, in time proportional to their length.

The texts are the caller's and Graph's, of up to 4 MB. Python lets no other thread run during one
call of `re` or `unicodedata`, so a long text is gone through match by match or in windows.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from io import StringIO

WINDOW_CHARS = 64 * 1024

# The Stream-Safe Text Format (UAX #15) allows 30 combining marks in a row. To normalise n of them
# takes time proportional to the square of n: 0.5 s for 16,000, half an hour for 1,000,000.
MAX_MARKS = 30

# Combining marks are neither letters nor digits, and not in ASCII.
_PERHAPS_MARKS = re.compile(r"[^\w\x00-\x7f]+")

# The longest reference by name, "&CounterClockwiseContourIntegral;", has 33 characters.
_MAX_REFERENCE_CHARS = 40

_FLAGS = re.DOTALL | re.IGNORECASE

# What a browser doesn't show: comments, and these elements. Each has a pattern of its end, and one
# of the whole.
_UNSEEN = tuple(
    (re.compile(end, _FLAGS), re.compile(f"{begin}.*?{end}", _FLAGS))
    for begin, end in (
        ("<!--", "-->"),
        *((rf"<{name}\b", rf"</{name}\s*>") for name in ("style", "script", "title")),
    )
)

_TAG = re.compile("<[^>]*>")


def plain(text: str) -> str:
    """Return a text without blanks and line breaks, in one composition.

    A text with more than MAX_MARKS combining marks in a row stays as it is composed.
    """
    if text.isascii() or _has_long_marks(text):
        return without_blanks(text)
    return without_blanks(unicodedata.normalize("NFC", text))


def without_blanks(text: str) -> str:
    """Return a text without blanks and line breaks."""
    windows = (text[at : at + WINDOW_CHARS] for at in range(0, len(text), WINDOW_CHARS))
    return "".join("".join(window.split()) for window in windows)


def without_markup(markup: str) -> str:
    """Return the text of HTML, in time proportional to its length for any input.

    Each pattern is applied only up to the last place where its closing mark occurs. Otherwise each
    opening mark without a closing one would scan the rest of the text.
    """
    for end, whole in _UNSEEN:
        last = 0
        for found in end.finditer(markup):
            last = found.end()
        markup = _blanked(whole, markup, last)
    return _unescaped(_blanked(_TAG, markup, markup.rfind(">") + 1))


def _has_long_marks(text: str) -> bool:
    for found in _PERHAPS_MARKS.finditer(text):
        run = 0
        if found.end() - found.start() <= MAX_MARKS:
            continue
        for each in found[0]:
            # Not `combining`: it is 0 for U+0F73, which is decomposed into two that combine.
            run = run + 1 if unicodedata.category(each)[0] == "M" else 0
            if run > MAX_MARKS:
                return True
    return False


def _blanked(pattern: re.Pattern[str], text: str, end: int) -> str:
    """Return a text with a blank in place of each match before `end`."""
    at, kept = 0, StringIO()
    for found in pattern.finditer(text, 0, end):
        kept.write(text[at : found.start()])
        kept.write(" ")
        at = found.end()
    kept.write(text[at:])
    return kept.getvalue() if at else text


def _unescaped(text: str) -> str:
    """Return a text with the characters that HTML's character references stand for."""
    try:
        return "".join(map(html.unescape, _between_references(text)))
    except ValueError:  # a character reference with more digits than Python reads
        return text


def _between_references(text: str) -> Iterator[str]:
    """Cut a text into windows, but not within a character reference."""
    at = 0
    while at < len(text):
        end = at + WINDOW_CHARS
        begun = text.rfind("&", end - _MAX_REFERENCE_CHARS, end)
        end = begun if begun > 0 and end < len(text) else end
        yield text[at:end]
        at = end
