"""Compare an item that was sent with one that Graph shows. Graph rewrites items as it stores them.

Graph returns plain values as they were sent, so a different one means another item. Values that
Graph is known to rewrite (bodies, dates, recipients) are compared by their meaning. If that
differs, the result is CANT_TELL: it may be another item, or a rewrite that isn't known here.
"""

import html
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from enum import Enum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_ODATA_TYPE = "@odata.type"


class Comparison(Enum):
    """The result of a comparison."""

    ALIKE = "alike"
    OTHER = "other"
    CANT_TELL = "can't tell"


def compare_items(sent: object, shown: object) -> Comparison:
    """Compare an item as it was sent with one as Graph shows it, both as JSON."""
    if not isinstance(sent, Mapping) or not isinstance(shown, Mapping):
        return Comparison.CANT_TELL
    if _type(sent) != _type(shown):
        return Comparison.OTHER
    compared = {_compare(name, value, shown) for name, value in sent.items() if name != _ODATA_TYPE}
    for comparison in (Comparison.OTHER, Comparison.CANT_TELL):
        if comparison in compared:
            return comparison
    return Comparison.ALIKE if compared else Comparison.CANT_TELL


def _type(item: Mapping[str, object]) -> str:
    return str(item.get(_ODATA_TYPE, "")).removeprefix("#")


def _compare(name: str, sent: object, shown: Mapping[str, object]) -> Comparison:
    if name not in shown:
        return Comparison.CANT_TELL  # Graph drops properties that it doesn't use
    normal = _NORMAL.get(name)
    if normal is not None:
        return _unless_unlike(normal(sent) == normal(shown[name]))
    if isinstance(sent, str | bool | int):
        same = _plain(sent) == _plain(shown[name])
        return Comparison.ALIKE if same else Comparison.OTHER
    return _unless_unlike(sent == shown[name])


def _unless_unlike(alike: bool) -> Comparison:  # noqa: FBT001
    return Comparison.ALIKE if alike else Comparison.CANT_TELL


def _plain(value: object) -> object:
    """Return a plain value without the surrounding spaces, which Outlook trims."""
    return value.strip() if isinstance(value, str) else value


# The meaning of each value that Graph rewrites. A value that can't be read stays as it is.

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


def _body(value: object) -> object:
    """Return the text of an itemBody, plain or HTML, without spaces."""
    content = value.get("content") if isinstance(value, Mapping) else None
    if not isinstance(content, str) or not isinstance(value, Mapping):
        return value
    if str(value.get("contentType", "text")).lower() == "html":
        content = _without_markup(content)
    return "".join(content.split())


def _without_markup(markup: str) -> str:
    """Return the text of HTML, in time proportional to its length for any input.

    Each pattern is applied only up to the last place where its closing mark occurs. Otherwise each
    opening mark without a closing one would scan the rest of the text.
    """
    for end, whole in _UNSEEN:
        last = max((found.end() for found in end.finditer(markup)), default=0)
        markup = whole.sub(" ", markup[:last]) + markup[last:]
    last = markup.rfind(">") + 1
    text = _TAG.sub(" ", markup[:last]) + markup[last:]
    try:
        return html.unescape(text)
    except ValueError:  # a character reference with more digits than Python reads
        return text


def _instant(value: object) -> object:
    """Return an Edm.DateTimeOffset as a time in UTC, in whole seconds, as Graph stores it."""
    moment = _moment(value, None)
    return value if moment is None else moment


def _zoned(value: object) -> object:
    """Return a dateTimeTimeZone as a time in UTC, in whole seconds."""
    if not isinstance(value, Mapping):
        return value
    moment = _moment(value.get("dateTime"), _zone(value.get("timeZone", "UTC")))
    return value if moment is None else moment


def _moment(value: object, zone: tzinfo | None) -> datetime | None:
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is None or (time.tzinfo or zone) is None:
            return None
        whole = time.replace(microsecond=0)
        return (whole if whole.tzinfo else whole.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(name: object) -> tzinfo | None:
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # also for Windows' zone names
        return None


def _address(value: object) -> object:
    """Return a recipient's address without its name, which Graph may fill in."""
    email = value.get("emailAddress", value) if isinstance(value, Mapping) else None
    address = email.get("address") if isinstance(email, Mapping) else None
    return address.strip().lower() if isinstance(address, str) else repr(value)


def _addresses(value: object) -> object:
    return sorted(str(_address(one)) for one in value) if isinstance(value, list) else value


_Normal = Callable[[object], object]

_NORMAL: Mapping[str, _Normal] = {
    "body": _body,
    "uniqueBody": _body,
    "bodyPreview": lambda value: "".join(value.split()) if isinstance(value, str) else value,
    **dict.fromkeys(("start", "end", "dueDateTime", "reminderDateTime"), _zoned),
    **dict.fromkeys(("receivedDateTime", "sentDateTime", "originalStart", "birthday"), _instant),
    **dict.fromkeys(("from", "sender", "organizer"), _address),
    **dict.fromkeys(
        ("toRecipients", "ccRecipients", "bccRecipients", "replyTo", "attendees", "emailAddresses"),
        _addresses,
    ),
}
