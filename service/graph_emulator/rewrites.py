"""Items as Graph gives them back: not quite as they were sent.

Which rewrites the service does is reported, not specified: text bodies of events come back as HTML,
HTML is wrapped in a page, dates come back in UTC with Graph's digits, recipients get a name. The
tables below are that much, so that a client that expects an item back verbatim is found out.
"""

import html
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import TypeGuard
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from graph_emulator.items import type_name

_PAGE = (
    '<html><head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
    "</head><body>{}</body></html>"
)

Rewrite = Callable[[object], object]


def rewritten(item: Mapping[str, object], stored_at: datetime) -> dict[str, object]:
    """Give the item as it reads back, with the properties that the service sets."""
    kind = type_name(item) or ""
    table = {**_EVERY_ITEM, **_BY_TYPE.get(kind, {})}
    stamp = graph_time(stored_at)
    kept = {name: table.get(name, _as_it_is)(value) for name, value in item.items()}
    return {
        **kept,
        "@odata.type": f"#{kind}",
        "id": "",
        "createdDateTime": stamp,
        "lastModifiedDateTime": stamp,
    }


def graph_time(time: datetime) -> str:
    """Write an Edm.DateTimeOffset as Graph does: UTC, whole seconds, `Z`."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def _as_it_is(value: object) -> object:
    return value


def _date_time_offset(value: object) -> object:
    utc = _in_utc(value, None)
    return value if utc is None else graph_time(utc)


def _date_time_time_zone(value: object) -> object:
    """Bring a dateTimeTimeZone to UTC where the zone is known, with Graph's seven digits."""
    if not isinstance(value, dict):
        return value
    utc = _in_utc(value.get("dateTime"), _zone(value.get("timeZone", "UTC")))
    if utc is None:
        return value
    microseconds = utc.replace(tzinfo=None).isoformat(timespec="microseconds")
    return {"dateTime": f"{microseconds}0", "timeZone": "UTC"}


def _html_page(value: object) -> object:
    """Wrap an itemBody of HTML in a page."""
    if not _is_body(value, "html") or "<html" in str(value["content"]).lower():
        return value
    return {"contentType": "html", "content": _PAGE.format(value["content"])}


def _always_html(value: object) -> object:
    """Make HTML of an itemBody of text, as for events."""
    if not _is_body(value, "text"):
        return _html_page(value)
    paragraphs = html.escape(str(value["content"])).replace("\n", "<br>\n")
    return {"contentType": "html", "content": _PAGE.format(paragraphs)}


def _recipient(value: object) -> object:
    """Name a recipient that has no name by its address."""
    if not isinstance(value, dict) or not isinstance(address := value.get("emailAddress"), dict):
        return value
    return {**value, "emailAddress": {"name": address.get("address"), **address}}


def _recipients(value: object) -> object:
    return [_recipient(one) for one in value] if isinstance(value, list) else value


def _attendees(value: object) -> object:
    """Give attendees, who are recipients, a type and an answer that is still to come."""
    if not isinstance(value, list):
        return value
    none = {"response": "none", "time": "0001-01-01T00:00:00Z"}
    defaults = {"type": "required", "status": none}
    return [{**defaults, **one} if isinstance(one, dict) else one for one in map(_recipient, value)]


_EVERY_ITEM: Mapping[str, Rewrite] = {"body": _html_page}

_BY_TYPE: Mapping[str, Mapping[str, Rewrite]] = {
    "microsoft.graph.message": {
        "bccRecipients": _recipients,
        "ccRecipients": _recipients,
        "from": _recipient,
        "receivedDateTime": _date_time_offset,
        "replyTo": _recipients,
        "sender": _recipient,
        "sentDateTime": _date_time_offset,
        "toRecipients": _recipients,
    },
    "microsoft.graph.event": {
        "attendees": _attendees,
        "body": _always_html,
        "end": _date_time_time_zone,
        "organizer": _recipient,
        "originalStart": _date_time_offset,
        "start": _date_time_time_zone,
    },
    "microsoft.graph.contact": {"birthday": _date_time_offset},
}


def _is_body(value: object, content_type: str) -> TypeGuard[dict[str, object]]:
    return (
        isinstance(value, dict)
        and "content" in value
        and value.get("contentType", "text") == content_type
    )


def _in_utc(value: object, zone: tzinfo | None) -> datetime | None:
    """Read an ISO 8601 time, in `zone` if it names no offset; None if it can't be told."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is None or (time.tzinfo or zone) is None:
            return None
        return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):  # the first and last days of all have no UTC everywhere
        return None


def _zone(name: object) -> tzinfo | None:
    """Find an IANA zone; Windows' names aren't known, and such a time stays as it is."""
    if name == "UTC":
        return UTC  # also where there is no time zone database
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: it names a directory
        return None
