"""One page of the list of a post's attachments, read from Graph's JSON. Pure: no I/O.

Of each attachment only what the delivery uses is kept, and of that as much as Graph's own values
have.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from urllib.parse import urlsplit

from attachment_gateway.graph import codec
from attachment_gateway.graph.paths import MAX_ID_CHARS
from attachment_gateway.graph.values import JsonObject, JsonValue

# A listed attachment takes some 400 bytes, with the longest id and name 1,500. Graph's largest page
# has 1,000 of them.
MAX_PAGE_BYTES = 2 * 1024 * 1024

# A list that is larger, over all its pages, is not whole. A post with 1,000 attachments is listed
# in 0.4 MB; none with 10,000 is known.
MAX_LIST_BYTES = 8 * 1024 * 1024
MAX_LISTED = 10_000

# A link is the list's path, of at most 5,000 characters, and the place where it goes on.
MAX_LINK_CHARS = 8 * 1024

# The properties that are kept, with the most characters of their texts. Outlook cuts names at 255
# characters, so a longer name can be cut without harm; a longer text of the others is left out.
_KEPT: Mapping[str, int] = MappingProxyType(
    {
        "@odata.type": 128,
        "id": MAX_ID_CHARS,
        "name": 4096,
        "contentType": 1024,
        "size": 0,
        "isInline": 0,
        "lastModifiedDateTime": 64,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page; `next_path` is that of the next one, below Graph's root, "" on the last page.

    `is_whole`: every element of it is in `listed`, and it comes from no cache. `size_bytes` is the
    size of its JSON.
    """

    listed: tuple[JsonObject, ...]
    next_path: str
    is_whole: bool
    size_bytes: int


def page_of(
    body: bytes, headers: Mapping[str, str], root_path: str, *, max_listed: int = MAX_LISTED
) -> Page | None:
    """Read a page with at most `max_listed` attachments; None if the response holds none.

    Only the path and query of the next page's URL are used, so that the token is sent to no other
    origin.
    """
    document = codec.parsed(body)
    value = document.get("value")
    if not isinstance(value, list):
        return None
    listed = tuple(_kept(each) for each in value[:max_listed] if isinstance(each, dict))
    link = document.get("@odata.nextLink")
    next_path = _next_path(link, root_path)
    is_whole = (
        len(listed) == len(value)
        and "age" not in headers  # it comes from a cache
        and (link is None or bool(next_path))
    )
    return Page(listed=listed, next_path=next_path, is_whole=is_whole, size_bytes=len(body))


def _kept(listed: JsonObject) -> JsonObject:
    return {
        name: _bounded(name, listed[name], max_chars)
        for name, max_chars in _KEPT.items()
        if name in listed
    }


def _bounded(name: str, value: JsonValue, max_chars: int) -> JsonValue:
    """Return a value; None in place of an object, of a list and of a text that is too long."""
    if isinstance(value, str) and len(value) > max_chars:
        return value[:max_chars] if name == "name" else None
    return None if isinstance(value, dict | list) else value


def _next_path(link: object, root_path: str) -> str:
    """Return the next page's path below Graph's root; "" if the link is none of Graph's."""
    if not isinstance(link, str) or len(link) > MAX_LINK_CHARS:
        return ""
    try:
        parts = urlsplit(link)
    except ValueError:
        return ""
    if not parts.path.startswith(f"{root_path}/"):
        return ""
    return f"{parts.path.removeprefix(root_path)}?{parts.query}"
