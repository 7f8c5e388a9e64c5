"""Whether an item that Graph shows is the one that was sent. Graph rewrites what it stores.

Everything that was sent has to be recognised in what is shown, as far as Graph is known to keep it.
A difference proves nothing: Graph may have changed the value, so the result is only "alike" or not.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tzlocal.windows_tz import win_tz

from attachment_gateway.delivery.names import CUT_CHARS
from attachment_gateway.delivery.texts import plain, without_blanks, without_markup

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


# How many values are compared at most, in some 0.5 s. An item of 50,000 values in the order in
# which they were sent takes as many; a list of n values in another order takes up to n * n.
MAX_COMPARISONS = 1_000_000

# Properties whose values are an enum's: Graph writes them in any letter case.
_ENUMS = frozenset(
    {
        *("importance", "contentType", "type", "response", "flagStatus", "dayOfWeek"),
        *("firstDayOfWeek", "index", "weekIndex"),
    }
)


def is_alike(sent: object, shown: object) -> bool:
    """Return whether an item as it was sent is recognised in one that Graph shows, both as JSON.

    It isn't if that takes more than MAX_COMPARISONS.
    """
    if not isinstance(sent, Mapping) or not isinstance(shown, Mapping):
        return False
    compared = [name for name in sent if name not in _VOLATILE]
    if not any(_identifies(sent[name]) for name in compared):
        return False
    comparison = _Comparison()
    try:
        return all(
            name in shown and comparison.same(name, sent[name], shown[name]) for name in compared
        )
    except _TooManyError:
        return False


def _identifies(value: object) -> bool:
    """Return whether a value tells one item from another: a text, or something with a text in it.

    Booleans, numbers and empty values are the same in many items.
    """
    if isinstance(value, Mapping):
        return any(map(_identifies, value.values()))
    if isinstance(value, list):
        return any(map(_identifies, value))
    return isinstance(value, str) and bool(value.strip())


class _TooManyError(Exception):
    """More than MAX_COMPARISONS are needed."""


class _Comparison:
    """The comparison of one item; it counts how many values are compared."""

    def __init__(self) -> None:
        self._left = MAX_COMPARISONS

    def same(self, name: str, sent: object, shown: object) -> bool:
        """Return whether a property is the same. Raises _TooManyError."""
        normal = _NORMAL.get(name)
        if normal is not None:
            return normal(sent) == normal(shown)
        return self._recognised(_plained(sent), _plained(shown), is_enum=name in _ENUMS)

    def _recognised(self, sent: object, shown: object, *, is_enum: bool = False) -> bool:
        """Return whether a value without a meaning known here is recognised in what is shown.

        Both have plain texts.
        """
        self._left -= 1
        if self._left < 0:
            raise _TooManyError
        if isinstance(sent, str):
            return isinstance(shown, str) and _same_text(sent, shown, is_enum=is_enum)
        if isinstance(sent, Mapping):
            return isinstance(shown, Mapping) and all(
                name in _VOLATILE
                or self._recognised(value, shown.get(name), is_enum=name in _ENUMS)
                for name, value in sent.items()
            )
        if isinstance(sent, list):
            return isinstance(shown, list) and self._all_recognised(sent, shown)
        if isinstance(sent, bool) or sent is None:  # a boolean that isn't set is shown as null
            return bool(sent) == bool(shown)
        return sent == shown

    def _all_recognised(self, sent: Sequence[object], shown: Sequence[object]) -> bool:
        """Return whether each element is recognised, in any order; most are in the same order."""
        return len(sent) == len(shown) and all(
            self._recognised(each, shown[at])
            or any(self._recognised(each, other) for other in shown)
            for at, each in enumerate(sent)
        )


def _plained(value: object) -> object:
    """Return a value with each text in it plain."""
    if isinstance(value, str):
        return plain(value)
    if isinstance(value, Mapping):
        return {name: _plained(member) for name, member in value.items()}
    return [_plained(each) for each in value] if isinstance(value, list) else value


def _same_text(sent: str, shown: str, *, is_enum: bool) -> bool:
    """Return whether two plain texts are the same, or the shown one is cut."""
    return (
        sent == shown
        or (len(shown) >= CUT_CHARS and sent.startswith(shown))
        or (is_enum and sent.casefold() == shown.casefold())
    )


# The meaning of each value that Graph rewrites. A value that can't be read stays as it is.


def _body(value: object) -> object:
    """Return the text of an itemBody, plain or HTML, without spaces."""
    content = value.get("content") if isinstance(value, Mapping) else None
    if not isinstance(content, str) or not isinstance(value, Mapping):
        return value
    if str(value.get("contentType", "text")).lower() == "html":
        content = without_markup(content)
    return without_blanks(content)


# "America/Argentina/ComodRivadavia" has 32 characters. ZoneInfo looks for a package for each "/",
# and ends with RecursionError at some thousand.
_MAX_ZONE_CHARS = 64


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
    if not isinstance(name, str) or len(name) > _MAX_ZONE_CHARS:
        return None
    try:
        return ZoneInfo(win_tz.get(name, name))
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
    # A generator, as `filter` would let no other thread run.
    return "".join(each for each in value if each.isdigit()) if isinstance(value, str) else value


def _text(value: object) -> object:
    """Return a text, plain or HTML, without spaces."""
    return without_blanks(without_markup(value)) if isinstance(value, str) else value


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
