"""Whether an item that Graph shows is the one that was sent. Graph rewrites what it stores.

Everything that was sent has to be recognised in what is shown, as far as Graph is known to keep it.
A difference proves nothing: Graph may have changed the value, so the result is only "alike" or not.
"""

import html
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tzlocal.windows_tz import win_tz

from attachment_gateway.delivery.names import CUT_CHARS

# What Graph is reported to replace, reset or compute anew, so that it identifies nothing.
_VOLATILE = frozenset(
    {
        *("@odata.type", "@odata.etag", "id", "changeKey", "createdDateTime"),
        *("lastModifiedDateTime", "additionalProperties"),
        *("isOnlineMeeting", "onlineMeetingProvider", "onlineMeetingUrl", "transactionId"),
        *("isReminderOn", "reminderMinutesBeforeStart", "showAs", "sensitivity"),
        *("originalStartTimeZone", "originalEndTimeZone", "responseRequested", "responseStatus"),
        *("internetMessageId", "conversationId", "conversationIndex", "inferenceClassification"),
        *("isDeliveryReceiptRequested", "isReadReceiptRequested", "isRead", "flag"),
        *("fileAs", "displayName", "bodyPreview"),
    }
)


# Properties whose values are an enum's: Graph writes them in any letter case.
_ENUMS = frozenset(
    {
        *("importance", "contentType", "type", "response", "flagStatus", "dayOfWeek"),
        *("firstDayOfWeek", "index", "weekIndex"),
    }
)


def is_alike(sent: object, shown: object) -> bool:
    """Return whether an item as it was sent is recognised in one that Graph shows, both as JSON."""
    if not isinstance(sent, Mapping) or not isinstance(shown, Mapping):
        return False
    compared = [name for name in sent if name not in _VOLATILE]
    if not all(name in shown and _same(name, sent[name], shown[name]) for name in compared):
        return False
    return any(_identifies(sent[name]) for name in compared)


def _identifies(value: object) -> bool:
    """Return whether a value tells one item from another: a text, or something with a text in it.

    Booleans, numbers and empty values are the same in many items.
    """
    if isinstance(value, Mapping):
        return any(map(_identifies, value.values()))
    if isinstance(value, list):
        return any(map(_identifies, value))
    return isinstance(value, str) and bool(value.strip())


def _same(name: str, sent: object, shown: object) -> bool:
    normal = _NORMAL.get(name)
    if normal is not None:
        return normal(sent) == normal(shown)
    return _recognised(sent, shown, is_enum=name in _ENUMS)


def _recognised(sent: object, shown: object, *, is_enum: bool = False) -> bool:
    """Return whether a value without a meaning known here is recognised in what is shown."""
    if isinstance(sent, str):
        if not isinstance(shown, str):
            return False
        return _same_text(_plain(sent), _plain(shown)) or (
            is_enum and sent.casefold() == shown.casefold()
        )
    if isinstance(sent, Mapping):
        return isinstance(shown, Mapping) and all(
            name in _VOLATILE or _recognised(value, shown.get(name), is_enum=name in _ENUMS)
            for name, value in sent.items()
        )
    if isinstance(sent, list):
        return isinstance(shown, list) and _all_recognised(sent, shown)
    if isinstance(sent, bool) or sent is None:  # a boolean that isn't set is shown as null
        return bool(sent) == bool(shown)
    return sent == shown


def _all_recognised(sent: Sequence[object], shown: Sequence[object]) -> bool:
    """Return whether each element is recognised, in any order."""
    return len(sent) == len(shown) and all(
        any(_recognised(each, other) for other in shown) for each in sent
    )


def _same_text(sent: str, shown: str) -> bool:
    """Return whether two texts are the same, or the shown one is cut."""
    return sent == shown or (len(shown) >= CUT_CHARS and sent.startswith(shown))


def _plain(text: str) -> str:
    """Return a text without blanks and line breaks, in one composition."""
    return "".join(unicodedata.normalize("NFC", text).split())


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
    """Return a dateTimeTimeZone as a time in UTC, in whole seconds; zones may be Windows' names."""
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
        return ZoneInfo(win_tz.get(str(name), str(name)))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def _address(value: object) -> object:
    """Return a recipient's address without its name, which Graph may fill in."""
    email = value.get("emailAddress", value) if isinstance(value, Mapping) else None
    address = email.get("address") if isinstance(email, Mapping) else None
    return address.strip().lower() if isinstance(address, str) else repr(value)


def _addresses(value: object) -> object:
    return sorted(str(_address(one)) for one in value) if isinstance(value, list) else value


def _digits(value: object) -> object:
    """Return a phone number's digits."""
    if isinstance(value, list):
        return sorted(str(_digits(each)) for each in value)
    return "".join(filter(str.isdigit, value)) if isinstance(value, str) else value


def _text(value: object) -> object:
    """Return a text, plain or HTML, without spaces."""
    return "".join(_without_markup(value).split()) if isinstance(value, str) else value


_Normal = Callable[[object], object]

_NORMAL: Mapping[str, _Normal] = MappingProxyType(
    {
        **dict.fromkeys(("body", "uniqueBody"), _body),
        "personalNotes": _text,
        **dict.fromkeys(("businessPhones", "homePhones", "mobilePhone"), _digits),
        **dict.fromkeys(("start", "end", "dueDateTime", "reminderDateTime"), _zoned),
        **dict.fromkeys(
            ("receivedDateTime", "sentDateTime", "originalStart", "birthday"), _instant
        ),
        **dict.fromkeys(("from", "sender", "organizer"), _address),
        **dict.fromkeys(
            (
                *("toRecipients", "ccRecipients", "bccRecipients", "replyTo"),
                *("attendees", "emailAddresses"),
            ),
            _addresses,
        ),
    }
)
