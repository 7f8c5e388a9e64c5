"""Tests of delivery/texts.py: what a text is without what Graph changes of it."""

import html
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.delivery.texts import WINDOW_CHARS, plain, without_blanks, without_markup


def test_a_plain_text_has_no_blanks_and_one_composition() -> None:
    """A plain text has no blanks, and composed characters."""
    assert plain(" a \r\n\tb\u00a0c ") == "abc"
    assert plain("e\u0301te\u0301") == plain("\u00e9t\u00e9") == "\u00e9t\u00e9"


@given(st.text())
def test_plain_is_nfc_without_blanks(text: str) -> None:
    """A usual text is normalised as a whole, and then loses its blanks."""
    assert plain(text) == "".join(unicodedata.normalize("NFC", text).split())


@pytest.mark.parametrize(("count", "is_composed"), [(30, True), (31, False)])
def test_a_text_with_many_marks_in_a_row_stays_as_it_is(
    count: int,
    is_composed: bool,
) -> None:
    """A text with more than MAX_MARKS combining marks in a row isn't normalised."""
    text = "e\u0301 a" + "\u0316" * (count - 1) + "\u0315"
    assert plain(text).startswith("\u00e9a" if is_composed else "e\u0301a")


def test_other_characters_in_a_row_are_no_marks() -> None:
    """Dashes, blanks and pictures in a row, however many, are no combining marks."""
    for row in ("\u2014", "\u00a0", "\U0001f600"):
        assert plain(row * 1000 + "e\u0301").endswith("\u00e9")


def test_marks_by_the_million_are_compared() -> None:
    """A million combining marks in a row, which would take half an hour, are compared as sent."""
    for marks in ("\u0345" * 500_000 + "\u0316" * 500_000, "\u0f73" * 1_000_000):
        assert plain("a" + marks) == "a" + marks


def test_a_text_of_several_windows_loses_its_blanks() -> None:
    """Blanks go from a text of several windows, also around the end of a window."""
    text = "ab c\n" * WINDOW_CHARS
    assert without_blanks(text) == "abc" * WINDOW_CHARS
    assert without_blanks("a" * (WINDOW_CHARS - 1) + "  b") == "a" * (WINDOW_CHARS - 1) + "b"


@pytest.mark.parametrize(
    ("markup", "text"),
    [
        ("<p>a<b>b</b></p>", "a b"),
        ("a<!-- <p> -->b<style>p{}</style>c<script>d</script >e<title>f</title>g", "a b c e g"),
        ("<!-- a <b", "<!-- a <b"),
        ("<style>a", "a"),
        ("a &lt; b &amp;lt; c &#233;", "a < b &lt; c \u00e9"),
        ("a < b", "a < b"),
        ("&#" + "1" * 5000 + ";", "&#" + "1" * 5000 + ";"),
    ],
)
def test_html_has_a_text(markup: str, text: str) -> None:
    """HTML is read without comments, unseen elements, tags and character references."""
    assert without_markup(markup).split() == text.split()


@pytest.mark.parametrize("shift", range(-40, 3))
def test_a_character_reference_is_read_at_the_end_of_a_window(shift: int) -> None:
    """A character reference isn't cut where a window ends."""
    markup = "a" * (WINDOW_CHARS + shift) + "&CounterClockwiseContourIntegral;" + "b" * 100
    assert without_markup(markup) == html.unescape(markup)


LONG = {
    "opening marks": ("<style" * 600_000, "<style"),
    "comments": ("<!---->" * 500_000, "<!--"),
    "elements": ("<style></style>" * 200_000, "<style"),
    "closing marks": (("</style" + " " * 1000) * 3_000 + ">", "<style"),
    "tags": ("a<>" * 1_000_000, "<"),
    "references": ("&lt;" * 800_000, "&lt;"),
    "ampersands": ("&" * 3_000_000, "&lt;"),
    "no names": (("&" + "a" * 31) * 100_000, "&lt;"),
}


@pytest.mark.parametrize(("markup", "gone"), LONG.values(), ids=LONG)
def test_no_html_takes_more_than_its_length(markup: str, gone: str) -> None:
    """HTML of some megabytes that is made to take long is read to its end."""
    text = without_markup(markup)
    assert len(text) <= len(markup)
    assert gone == "<style" or gone not in text
