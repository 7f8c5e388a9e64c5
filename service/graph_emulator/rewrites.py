"""The changes that Graph makes to items before it returns them.

They are reported, not specified: text bodies of events become HTML, HTML is wrapped in a page,
dates are in UTC with Graph's digits, and recipients get a name. The tables below imitate that, so
that tests find clients that expect an item back unchanged.
"""

import html
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeGuard

from graph_emulator.items import type_name
from graph_emulator.times import graph_time, in_utc, seven_digits, zone_of

_PAGE = (
    '<html><head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
    "</head><body>{}</body></html>"
)

Rewrite = Callable[[object], object]


def rewritten(item: Mapping[str, object], stored_at: datetime) -> dict[str, object]:
    """Return the item as Graph returns it, with the properties that the service sets."""
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


def _as_it_is(value: object) -> object:
    return value


def _date_time_offset(value: object) -> object:
    utc = in_utc(value, None)
    return value if utc is None else graph_time(utc)


def _date_time_time_zone(value: object) -> object:
    """Convert a dateTimeTimeZone to UTC, with Graph's seven digits, if its zone is known."""
    if not isinstance(value, dict):
        return value
    utc = in_utc(value.get("dateTime"), zone_of(value.get("timeZone", "UTC")))
    if utc is None:
        return value
    return {"dateTime": seven_digits(utc), "timeZone": "UTC"}


def _html_page(value: object) -> object:
    """Wrap an HTML itemBody in a page."""
    if not _is_body(value, "html") or "<html" in str(value["content"]).lower():
        return value
    return {"contentType": "html", "content": _PAGE.format(value["content"])}


def _always_html(value: object) -> object:
    """Convert a text itemBody to HTML, as Graph does for events."""
    if not _is_body(value, "text"):
        return _html_page(value)
    paragraphs = html.escape(str(value["content"])).replace("\n", "<br>\n")
    return {"contentType": "html", "content": _PAGE.format(paragraphs)}


def _recipient(value: object) -> object:
    """Give a recipient without a name its address as name."""
    if not isinstance(value, dict) or not isinstance(address := value.get("emailAddress"), dict):
        return value
    return {**value, "emailAddress": {"name": address.get("address"), **address}}


def _recipients(value: object) -> object:
    return [_recipient(one) for one in value] if isinstance(value, list) else value


def _attendees(value: object) -> object:
    """Rewrite attendees as recipients, and add a type and the status "none" where missing."""
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
