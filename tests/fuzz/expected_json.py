"""The REST body that the contract asks for, from a message: the translation written a second time.

It uses protobuf's own field names and no table of the gateway's.
"""

import base64
import math
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any

from google.protobuf.message import Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value

from graphattachments.v1.attachment_pb2 import Attachment

GRAPH = "#microsoft.graph."

# DESIGN's list: what only Graph sets, by the message's name.
_ITEM = {"id", "changeKey", "createdDateTime", "lastModifiedDateTime"}
OUTPUT_ONLY: Mapping[str, set[str]] = {
    "Attachment": {"id", "size", "lastModifiedDateTime"},
    "FileAttachment": {"contentLocation"},
    "Message": _ITEM | {"hasAttachments", "parentFolderId", "isDraft", "webLink"},
    "Event": _ITEM
    | {
        "hasAttachments",
        "isDraft",
        "isOrganizer",
        "iCalUId",
        "onlineMeetingUrl",
        "type",
        "webLink",
    },
    "Contact": _ITEM | {"parentFolderId"},
}

_ADDITIONAL = "additional_properties"


class Fault(Exception):
    """The message has a value that must be refused."""


def file_json(attachment: Attachment) -> dict[str, Any]:
    """Return the JSON of a file without its content. Raises Fault."""
    described = properties(attachment) | properties(attachment.file_attachment)
    described.pop("contentBytes", None)
    return {"@odata.type": f"{GRAPH}fileAttachment", **described}


def item_json(attachment: Attachment) -> dict[str, Any]:
    """Return the JSON of an item attachment. Raises Fault."""
    name = attachment.item_attachment.WhichOneof("item")
    if name is None:
        raise Fault
    item = getattr(attachment.item_attachment, name)
    return {
        "@odata.type": f"{GRAPH}itemAttachment",
        **properties(attachment),
        "item": {"@odata.type": f"{GRAPH}{name}", **properties(item)},
    }


def faults_of(attachment: Attachment) -> bool:
    """Return whether a file's description has a value that must be refused."""
    try:
        file_json(attachment)
    except Fault:
        return True
    return False


def properties(message: Message) -> dict[str, Any]:
    """Return the JSON of a message's properties, those of oneofs left out. Raises Fault."""
    written: dict[str, Any] = {}
    for field, value in message.ListFields():
        oneof = field.containing_oneof
        is_kind = oneof is not None and oneof.name in {"kind", "item"}
        if is_kind or field.json_name in OUTPUT_ONLY.get(message.DESCRIPTOR.name, ()):
            continue
        if field.name == _ADDITIONAL:
            written |= _additional(value, message)
        elif field.enum_type is None or field.is_repeated or value:
            values = [_value(field, each) for each in value] if field.is_repeated else None
            written[field.json_name] = _value(field, value) if values is None else values
    return written


def _value(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return _enum_name(field.enum_type, value)
    if field.message_type is None:
        return _scalar(value)
    match field.message_type.name:
        case "Timestamp":
            return _timestamp(value)
        case "Date":
            return _date(value)
        case _:
            return properties(value)


def _enum_name(enum: Any, value: int) -> str:
    if value not in enum.values_by_number or value == 0:
        raise Fault
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    words = enum.values_by_number[value].name.removeprefix(prefix).lower().split("_")
    return "".join([words[0], *(word.capitalize() for word in words[1:])])


def _scalar(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "INF" if value > 0 else "-INF"
    return value


def _timestamp(value: Any) -> str:
    try:
        return str(value.ToJsonString())
    except ValueError:
        raise Fault from None


def _date(value: Any) -> str:
    try:
        return date(value.year, value.month, value.day).isoformat()
    except (ValueError, OverflowError):
        raise Fault from None


def _additional(additional: Struct, message: Message) -> dict[str, Any]:
    modelled = {field.json_name.casefold() for field in message.DESCRIPTOR.fields}
    modelled.discard("additionalproperties")
    for name in additional.fields:
        if name.startswith("@") or name.split("@")[0].casefold() in {"", *modelled}:
            raise Fault
    return {name: _any(value) for name, value in additional.fields.items()}


def _any(value: Value) -> Any:
    match value.WhichOneof("kind"):
        case "struct_value":
            return {name: _any(each) for name, each in value.struct_value.fields.items()}
        case "list_value":
            return list(_elements(value.list_value))
        case "number_value":
            if not math.isfinite(value.number_value):
                raise Fault
            return value.number_value
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None


def _elements(values: ListValue) -> Iterator[Any]:
    return (_any(each) for each in values.values)
