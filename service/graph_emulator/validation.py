"""The body of a create -> an attachment draft, or Graph's refusal."""

import binascii
from collections.abc import Mapping

import orjson

from graph_emulator.items import check_item, type_name
from graph_emulator.posts import AttachmentDraft
from graph_emulator.refusals import (
    BAD_BASE64,
    NOT_JSON,
    PROPERTY_MISSING,
    TYPE_MISSING,
    UNKNOWN_PROPERTY,
    UNKNOWN_TYPE,
    WRONG_VALUE,
    Refused,
)

# The properties of microsoft.graph.attachment.
_BASE = frozenset({"id", "name", "contentType", "size", "isInline", "lastModifiedDateTime"})

# Attachment types are closed: any other property is refused. Properties that only Graph sets are
# ignored.
PROPERTIES: Mapping[str, frozenset[str]] = {
    "microsoft.graph.fileAttachment": _BASE | {"contentBytes", "contentId", "contentLocation"},
    "microsoft.graph.itemAttachment": _BASE | {"item"},
    "microsoft.graph.referenceAttachment": _BASE,
}


def parse_attachment(content_type: str | None, body: bytes) -> AttachmentDraft:
    """Return the attachment that a body describes. Raises `Refused`."""
    document = _json_object(content_type, body)
    kind = _attachment_type(document)
    for name in document:
        if name not in PROPERTIES[kind] and not name.startswith("@odata."):
            raise Refused(UNKNOWN_PROPERTY, name=name, type_name=kind)
    return _DRAFTS[kind](document)


def _json_object(content_type: str | None, body: bytes) -> dict[str, object]:
    media_type = (content_type or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Refused(NOT_JSON)
    try:
        document: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise Refused(NOT_JSON) from None
    if not isinstance(document, dict):
        raise Refused(NOT_JSON)
    return document


def _attachment_type(document: Mapping[str, object]) -> str:
    kind = type_name(document)
    if kind is None:
        raise Refused(TYPE_MISSING)
    if kind not in PROPERTIES:
        raise Refused(UNKNOWN_TYPE, name=kind)
    return kind


def _file(document: Mapping[str, object]) -> AttachmentDraft:
    return AttachmentDraft(
        kind="file",
        name=_name(document),
        content_type=_text(document, "contentType"),
        is_inline=_flag(document, "isInline"),
        content_id=_text(document, "contentId"),
        content=_binary(document, "contentBytes"),
    )


def _item(document: Mapping[str, object]) -> AttachmentDraft:
    name = _name(document)
    item = document.get("item")
    if item is None:
        raise Refused(PROPERTY_MISSING, name="item")
    if not isinstance(item, dict):
        raise Refused(WRONG_VALUE, name="item")
    check_item(item)
    return AttachmentDraft(
        kind="item",
        name=name,
        content_type=_text(document, "contentType"),
        is_inline=_flag(document, "isInline"),
        content=orjson.dumps(item),
        item=item,
    )


def _reference(_document: Mapping[str, object]) -> AttachmentDraft:
    # The service requires a property that v1.0 doesn't define, so none can be created.
    raise Refused(PROPERTY_MISSING, name="sourceUrl")


_DRAFTS = {
    "microsoft.graph.fileAttachment": _file,
    "microsoft.graph.itemAttachment": _item,
    "microsoft.graph.referenceAttachment": _reference,
}


def _name(document: Mapping[str, object]) -> str:
    name = _text(document, "name")
    if not name:
        raise Refused(PROPERTY_MISSING, name="name")
    return name


def _text(document: Mapping[str, object], name: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise Refused(WRONG_VALUE, name=name)
    return value


def _flag(document: Mapping[str, object], name: str) -> bool:
    value = document.get(name, False)
    if not isinstance(value, bool):
        raise Refused(WRONG_VALUE, name=name)
    return value


def _binary(document: Mapping[str, object], name: str) -> bytes:
    """Decode standard base64 with padding; "" is an empty file, an absent property is refused."""
    value = document.get(name)
    if value is None:
        raise Refused(PROPERTY_MISSING, name=name)
    if not isinstance(value, str):
        raise Refused(BAD_BASE64, name=name)
    try:
        return binascii.a2b_base64(value, strict_mode=True)
    except ValueError:  # also for text that isn't ASCII
        raise Refused(BAD_BASE64, name=name) from None
