"""The bodies of Graph's answers: usual ones, and such as no Graph should send."""

import json
from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from tests.fuzz import draws
from tests.fuzz.draws import chance

# JSON as text, since Python's encoder can't write all of it.
_ODD = (
    "NaN",
    "-Infinity",
    "1e999",
    "1" * 400,
    "1" * 5000,
    "-0",
    '"\\ud800"',
    '"\\udc00\\ud800"',
    '{"id":1,"id":2}',
    # orjson reads at most 1,024 levels; Python's own functions nest at most 1,000 calls.
    *("[" * depth + "]" * depth for depth in (20, 900, 985, 1010, 3000)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (20, 900, 985, 1010, 3000)),
    "null",
    "{}",
    "[]",
    '""',
)
_HOLE = "7b1c\u2026hole"

_TYPES = ("fileAttachment", "itemAttachment", "referenceAttachment", "message", "event", "contact")

_CODES = (
    *("ErrorQuotaExceeded", "ErrorMessageSizeExceeded", "ErrorCorruptData", "ErrorItemNotFound"),
    *("InvalidAuthenticationToken", "ErrorInvalidRequest", "BadRequest", "", "x" * 5000),
)
_MESSAGES = (
    "Maximum request length exceeded.",
    "The OData request is not supported.",
    "line\r\nline",
    "ü" * 2000,
)

_STAMPS = ("2026-03-01T09:00:00Z", "0001-01-01T00:00:00Z", "2026-02-30T25:61:00Z", "x", "")

_ZONES = ("UTC", "Pacific Standard Time", "Europe/Berlin", "../../etc/passwd", "\0", "", "x/y")


def odata_type(random: Random) -> str:
    """Return a type as Graph writes it, or nearly."""
    name = random.choice((*_TYPES, "eventMessage", "x"))
    full = f"{random.choice(('#', '#', ''))}microsoft.graph.{name}"
    return random.choice((full, full, full.upper(), name))


def described(random: Random) -> dict[str, Any]:
    """Return an attachment as Graph describes it."""
    made: dict[str, Any] = {
        "@odata.type": odata_type(random),
        "id": draws.text(random) if chance(random, 0.1) else f"AAMk{random.randrange(30)}",
        "name": draws.text(random),
        "contentType": random.choice((None, "text/plain", 5)),
        "size": random.choice((0, 5, 1053, 2.0, -1, 2**40, "5", None)),
        "isInline": random.choice((False, True, None, "false")),
        "lastModifiedDateTime": random.choice(_STAMPS),
    }
    if chance(random, 0.2):
        made["item"] = item(random)
    if chance(random, 0.5):
        made["contentBytes"] = random.choice(("QUJD", "", None, "A" * 1000))
    return {name: value for name, value in made.items() if chance(random, 0.9)}


def item(random: Random) -> dict[str, Any]:
    """Return an item as Graph describes it."""
    properties = [name for name in _ITEM if chance(random, 0.4)]
    made = {name: _ITEM[name](random) for name in properties}
    return {"@odata.type": odata_type(random), **made}


def _address(random: Random) -> Any:
    return {"emailAddress": {"address": draws.text(random), "name": draws.text(random)}}


def _zoned(random: Random) -> Any:
    return {"dateTime": random.choice(_STAMPS).rstrip("Z"), "timeZone": random.choice(_ZONES)}


_ITEM: Mapping[str, Callable[[Random], Any]] = {
    "id": draws.text,
    "subject": draws.text,
    "importance": lambda random: random.choice(("high", "HIGH", "x", 1)),
    "body": lambda random: {
        "contentType": random.choice(("html", "TEXT", "x")),
        "content": random.choice(("<p>&#xffffffffff;", "<!--" * 500, "<style", "a\r\nb", "&")),
    },
    "toRecipients": lambda random: [_address(random) for _ in range(random.randrange(3))],
    "attendees": lambda random: [_address(random)],
    "start": _zoned,
    "end": _zoned,
    "birthday": lambda random: random.choice(_STAMPS),
    "businessPhones": lambda random: [draws.text(random)],
    "categories": lambda random: [draws.text(random)],
    "recurrence": lambda random: {"pattern": {"interval": random.choice((1, "x", None))}},
    "extra": lambda random: {"a": [draws.text(random), {"@odata.type": "x"}]},
}


def error(random: Random) -> dict[str, Any]:
    """Return an error as Graph describes it."""
    inner: Any = {"code": random.choice(_CODES), "date": "x"}
    for _ in range(random.choice((0, 1, 1, 3, 300))):
        inner = {"code": random.choice(_CODES), random.choice(("innerError", "innererror")): inner}
    message = random.choice((draws.text(random), *_MESSAGES))
    return {"error": {"code": random.choice(_CODES), "message": message, "innerError": inner}}


def page(random: Random, root: str = "https://graph.example/v1.0") -> dict[str, Any]:
    """Return a page of a list, perhaps with a link to another."""
    made: dict[str, Any] = {"value": [described(random) for _ in range(random.randrange(5))]}
    if chance(random, 0.5):
        link = f"{root}/groups/g/threads/t/posts/p/attachments?$skip={random.randrange(3)}"
        made["@odata.nextLink"] = random.choice((link, link, link, *_links(root)))
    return made


def _links(root: str) -> tuple[Any, ...]:
    return (
        *("https://evil.example/v1.0/groups/x?$skip=1", f"{root}/../v1.0/x", f"{root}?$skip=1"),
        *("//evil.example/v1.0/x", "http://[::1", f"{root}/\ud800", f"{root}/a b\r\nX: y", "", 5),
        *(None, [], f"{root}//evil.example/", f"{root}/@evil.example/", "x" * 70_000),
    )


def body(random: Random, value: Any) -> bytes:
    """Return the bytes of a value, most of the time changed."""
    # Graph writes no blanks.
    separators = (",", ":") if chance(random, 0.8) else (", ", ": ")
    if chance(random, 0.3):
        return json.dumps(value, separators=separators).encode()
    holed = _with_hole(random, value)
    text = json.dumps(holed, ensure_ascii=chance(random, 0.5), separators=separators)
    text = text.replace(json.dumps(_HOLE), random.choice(_ODD))
    text = text.replace(json.dumps(_HOLE, ensure_ascii=False), random.choice(_ODD))
    data = text.encode("utf-8", "surrogatepass")
    if chance(random, 0.1):
        data = b"\xef\xbb\xbf" + data
    return draws.mutated(random, data) if chance(random, 0.3) else data


def _with_hole(random: Random, value: Any) -> Any:
    """Return a value in which one part, at any depth, is replaced by the hole."""
    if isinstance(value, dict) and value and chance(random, 0.9):
        name = random.choice(list(value))
        return {**value, name: _with_hole(random, value[name])}
    if isinstance(value, list) and value and chance(random, 0.9):
        at = random.randrange(len(value))
        return [*value[:at], _with_hole(random, value[at]), *value[at + 1 :]]
    return _HOLE
