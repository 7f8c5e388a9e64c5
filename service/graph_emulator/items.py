"""The check of items inside attachments.

message, event and contact are open types: a property that the metadata doesn't name is kept.
The names are from Graph's metadata (v1.0), the rest from its documentation and users' reports.
"""

from collections.abc import Mapping

from graph_emulator.refusals import ITEM_TYPE_MISSING, REFUSED_PROPERTY, Refused

MAX_INTERNET_MESSAGE_HEADERS = 5

# On every outlookItem, only the service sets these.
_READ_ONLY = frozenset({"id", "changeKey", "createdDateTime", "lastModifiedDateTime"})

REFUSED_PROPERTIES: Mapping[str, frozenset[str]] = {
    "microsoft.graph.message": _READ_ONLY
    | {"attachments", "hasAttachments", "isDraft", "parentFolderId", "webLink"},
    "microsoft.graph.event": _READ_ONLY
    | {"attachments", "hasAttachments", "isDraft", "isOrganizer"}
    | {"iCalUId", "onlineMeetingUrl", "type", "webLink"},
    "microsoft.graph.contact": _READ_ONLY | {"parentFolderId"},
}


def type_name(document: Mapping[str, object]) -> str | None:
    """Return the full type name without the optional `#`; None if there is none."""
    odata_type = document.get("@odata.type")
    return odata_type.removeprefix("#") if isinstance(odata_type, str) else None


def check_item(item: Mapping[str, object]) -> None:
    """Raise `Refused` for an item that Graph refuses."""
    kind = type_name(item)
    if kind is None or kind not in REFUSED_PROPERTIES:
        raise Refused(ITEM_TYPE_MISSING)
    for name in item:
        if name in REFUSED_PROPERTIES[kind]:
            raise Refused(REFUSED_PROPERTY, name=name)
    headers = item.get("internetMessageHeaders")
    if isinstance(headers, list) and len(headers) > MAX_INTERNET_MESSAGE_HEADERS:
        raise Refused(REFUSED_PROPERTY, name="internetMessageHeaders")
