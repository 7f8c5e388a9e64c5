"""Tests of delivery/listed_page.py: what is read of a page of a list."""

import json
from typing import Any

import pytest

from attachment_gateway.delivery.listed_page import MAX_LISTED, Page, page_of
from attachment_gateway.graph.json_bounds import MAX_ELEMENTS
from attachment_gateway.graph.values import JsonObject

ONE: JsonObject = {
    "@odata.type": "#microsoft.graph.fileAttachment",
    "id": "AAMkAD=",
    "name": "report.pdf",
    "contentType": "application/pdf",
    "size": 1053,
    "isInline": False,
    "lastModifiedDateTime": "2026-03-01T09:00:00Z",
}


def page(value: Any, *, max_listed: int = MAX_LISTED, age: bool = False, **more: Any) -> Page:
    body = json.dumps({"value": value, **more}).encode()
    read = page_of(body, {"age": "1"} if age else {}, "/v1.0", max_listed=max_listed)
    assert read is not None
    assert read.size_bytes == len(body)
    return read


def kept(**changes: Any) -> JsonObject:
    [listed] = page([{**ONE, **changes}]).listed
    return listed


def test_what_is_used_of_an_attachment_is_kept() -> None:
    """The base type's properties are kept, and nothing else is."""
    assert kept() == ONE
    assert kept(contentBytes="QUJD", item={"subject": "s"}, odd=[{}] * 9) == ONE
    assert page([{"id": "A"}, {}]).listed == ({"id": "A"}, {})


@pytest.mark.parametrize(
    ("name", "longest", "longer"),
    [
        ("id", 1024, None),
        ("name", 4096, "x" * 4096),
        ("contentType", 1024, None),
        ("lastModifiedDateTime", 64, None),
        ("@odata.type", 128, None),
    ],
)
def test_a_text_is_kept_up_to_its_limit(name: str, longest: int, longer: str | None) -> None:
    """A text is kept up to a limit; a longer name is cut, another longer text left out."""
    assert kept(**{name: "x" * longest})[name] == "x" * longest
    assert kept(**{name: "x" * (longest + 1)})[name] == longer


@pytest.mark.parametrize("value", [{}, [], {"a": 1}, [[["a"]]]])
def test_a_value_that_is_not_plain_is_left_out(value: Any) -> None:
    """An object or a list in place of a plain value is left out."""
    assert kept(name=value, size=value) == {**ONE, "name": None, "size": None}


@pytest.mark.parametrize(
    ("value", "more", "listed", "is_whole"),
    [
        ([ONE, ONE], {}, 2, True),
        ([ONE, None], {}, 1, False),
        ([7, "attachment", []], {}, 0, False),
        ([ONE], {"age": True}, 1, False),
        ([ONE] * 3, {"max_listed": 3}, 3, True),
        ([ONE] * 4, {"max_listed": 3}, 3, False),
        ([{}] * (MAX_LISTED + 1), {}, MAX_LISTED, False),
    ],
)
def test_a_page_is_whole_if_every_element_is_listed(
    value: list[Any],
    more: dict[str, Any],
    listed: int,
    is_whole: bool,
) -> None:
    """A page with an unreadable element, from a cache or with too many elements isn't whole."""
    read = page(value, **more)
    assert (len(read.listed), read.is_whole) == (listed, is_whole)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"value":1}', b'{"value":[' + b"{}," * MAX_ELEMENTS + b"{}]}"]
)
def test_a_body_without_a_list_is_no_page(body: bytes) -> None:
    """A body that isn't a list's, or has more elements than are parsed, is no page."""
    assert page_of(body, {}, "/v1.0") is None


@pytest.mark.parametrize(
    ("link", "next_path"),
    [
        ("https://graph.microsoft.com/v1.0/groups/g?$skip=1", "/groups/g?$skip=1"),
        ("https://evil.example/v1.0/groups/g?a", "/groups/g?a"),
        ("https://graph.microsoft.com/beta/groups/g?$skip=1", ""),
        ("http://[::1", ""),
        ("https://graph.microsoft.com/v1.0/" + "a" * 8192, ""),
        (7, ""),
    ],
)
def test_a_link_that_is_not_graphs_is_not_followed(link: Any, next_path: str) -> None:
    """A page with a link that isn't one of Graph's, or is too long, isn't whole."""
    read = page([], **{"@odata.nextLink": link})
    assert (read.next_path, read.is_whole) == (next_path, bool(next_path))
