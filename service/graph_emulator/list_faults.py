"""Faults in the document of a list: its link, its elements and its length."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Literal

import orjson

from graph_emulator.answers import Answer

Elements = Literal["", "null", "number", "string", "id null", "flood"]

# The empty elements of a flood: no post has so many attachments.
FLOOD = 20_000

# In a link, this stands for the requested URL with its query.
SAME_URL = "{url}"


def with_next_link(answer: Answer, link: str, url: str) -> Answer:
    """Return a list with this link to a next page; `url` is the requested URL with its query."""
    return _changed(answer, {"@odata.nextLink": link.replace(SAME_URL, url)})


def halved(answer: Answer) -> Answer:
    """Return a list without the last half of its elements, and without a link.

    A list of one element becomes empty.
    """
    document = orjson.loads(answer.body)
    document.pop("@odata.nextLink", None)
    elements = document["value"]
    return _with_document(answer, {**document, "value": elements[: len(elements) // 2]})


def with_odd_element(answer: Answer, odd: Elements) -> Answer:
    """Return a list with its last element, the newest, replaced; an empty list gets one.

    A flood of empty elements comes behind it.
    """
    elements = orjson.loads(answer.body)["value"] or [{}]
    return _changed(answer, {"value": [*elements[:-1], *_ODD[odd](elements[-1])]})


def _changed(answer: Answer, changes: Mapping[str, object]) -> Answer:
    return _with_document(answer, {**orjson.loads(answer.body), **changes})


def _with_document(answer: Answer, document: Mapping[str, object]) -> Answer:
    return replace(answer, body=orjson.dumps(document))


_ODD: Mapping[Elements, Callable[[dict[str, object]], Sequence[object]]] = {
    "null": lambda _: [None],
    "number": lambda _: [7],
    "string": lambda _: ["attachment"],
    "id null": lambda one: [{**one, "id": None}],
    "flood": lambda one: [one, *[{}] * FLOOD],
}
