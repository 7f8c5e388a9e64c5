"""protobuf <-> Graph JSON, driven by descriptors: one converter for every type of the contract.

A field's protobuf JSON name is its Graph name, and an enum value's name is the enum's prefix and
the Graph name. So only the tables below name properties.

Writing is strict: a value that Graph could misunderstand or refuse is a violation, with the field's
path. Reading is lenient: Graph's response describes an attachment that exists already, so whatever
can't be read is left out, and reading never fails.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import cache
from operator import attrgetter
from typing import Any, cast

import orjson
from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp

from attachment_gateway.errors import Violations
from attachment_gateway.graph import json_bounds, values
from attachment_gateway.graph.values import JsonObject, JsonValue
from graphattachments.v1.attachment_pb2 import Attachment
from graphattachments.v1.outlook_pb2 import Date

# The JSON of these types has to name its type, since Graph's metadata declares an abstract type in
# their place. Everywhere else the declared type is the actual one.
_ODATA_TYPES = {
    "FileAttachment": "#microsoft.graph.fileAttachment",
    "ItemAttachment": "#microsoft.graph.itemAttachment",
    "ReferenceAttachment": "#microsoft.graph.referenceAttachment",
    "Message": "#microsoft.graph.message",
    "Event": "#microsoft.graph.event",
    "Contact": "#microsoft.graph.contact",
}

_ITEM_OUTPUT_ONLY = {"id", "changeKey", "createdDateTime", "lastModifiedDateTime"}

# Properties that only Graph sets: ignored on input and never sent.
_OUTPUT_ONLY = {
    "Attachment": {"id", "size", "lastModifiedDateTime"},
    "FileAttachment": {"contentLocation", "contentBytes"},  # the request writes the bytes
    "Message": _ITEM_OUTPUT_ONLY | {"hasAttachments", "parentFolderId", "isDraft", "webLink"},
    "Event": _ITEM_OUTPUT_ONLY
    | {
        *("hasAttachments", "iCalUId", "isDraft", "isOrganizer"),
        *("onlineMeetingUrl", "type", "webLink"),
    },
    "Contact": _ITEM_OUTPUT_ONLY | {"parentFolderId"},
}

# Properties of a response that are left out to save memory: the caller has the file.
_NOT_READ = {"FileAttachment": {"contentBytes"}}

_ADDITIONAL = "additional_properties"

_ODATA_TYPE = "@odata.type"

# Python's time for an integer is proportional to the square of its length: 0.1 s for 1,000 integers
# of 4,000 digits. The largest double has 309 digits; what has more than this is read as null.
_MAX_DIGITS = 1000


def attachment_to_json(attachment: Attachment, violations: Violations, *, kind: str) -> JsonObject:
    """Return the JSON of an attachment of that kind, without the bytes of a file.

    `kind` is a member of Attachment.kind, which may be unset in `attachment`. A value that Graph
    could misunderstand or refuse is left out, and added to `violations`.
    """
    special: Message = getattr(attachment, kind)
    described: JsonObject = {_ODATA_TYPE: _ODATA_TYPES[special.DESCRIPTOR.name]}
    described |= _properties(attachment, "attachment", violations)
    described |= _properties(special, f"attachment.{kind}", violations)
    if item := special.DESCRIPTOR.oneofs_by_name.get("item"):
        described[item.name] = _item(special, f"attachment.{kind}", violations)
    return described


def _item(holder: Message, path: str, violations: Violations) -> JsonObject:
    name = holder.WhichOneof("item")
    if name is None:
        violations.add(f"{path}.item", "missing; give a message, an event or a contact")
        return {}
    item: Message = getattr(holder, name)
    properties = _properties(item, f"{path}.{name}", violations)
    return {_ODATA_TYPE: _ODATA_TYPES[item.DESCRIPTOR.name], **properties}


def attachment_from_json(body: bytes, *, kind: str) -> Attachment | None:
    """Return the attachment that the body of a response describes; None if it describes none.

    `kind` is the attachment's kind if the body names no type.
    """
    return attachment_of(parsed(body), kind=kind)


def attachment_of(described: JsonObject, *, kind: str) -> Attachment | None:
    """Return the attachment that a JSON object describes, as `attachment_from_json` does."""
    attachment = Attachment()
    _read(attachment, described)
    if not isinstance(described.get(_ODATA_TYPE), str) and attachment.ByteSize():
        own_type = _ODATA_TYPES[getattr(attachment, kind).DESCRIPTOR.name]
        described = {**described, _ODATA_TYPE: own_type}
    special = _member_named_by(described, attachment, "kind")
    if special is not None:
        _read(special, described)
        _read_item(special, described.get("item"))
    return attachment if attachment.ByteSize() else None


def _read_item(special: Message, described: JsonValue) -> None:
    if isinstance(described, dict) and (item := _member_named_by(described, special, "item")):
        _read(item, described)


def parsed(body: bytes) -> JsonObject:
    """Return the JSON object in the body of a response; an empty one if there is none.

    There is none for this program in a body with more elements than `json_bounds` allows.
    """
    if not json_bounds.is_bounded(body):
        return {}
    try:
        value: object = orjson.loads(body)
    except ValueError:
        value = _parsed_leniently(body)
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def _parsed_leniently(body: bytes) -> object:
    """Read JSON that orjson refuses: with a byte order mark, NaN, or half a surrogate pair."""
    try:
        return json.loads(body.decode("utf-8-sig"), parse_int=_integer)
    except (ValueError, RecursionError):
        return None


def _integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= _MAX_DIGITS else None


# Properties.


@dataclass(frozen=True, slots=True, kw_only=True)
class _Codec:
    """The writer and the reader of one type.

    `write` raises ValueError with a sentence for the caller; `read` raises any of _UNREADABLE.
    """

    write: Callable[[object], JsonValue]
    read: Callable[[JsonValue], object]


_UNREADABLE = (ValueError, TypeError, OverflowError)

_Kind = FieldDescriptor

# By the scalar's C++ type, by which protobuf distinguishes its scalars in Python.
_SCALARS: Mapping[int, _Codec] = {
    _Kind.CPPTYPE_STRING: _Codec(write=values.as_is, read=values.text),
    _Kind.CPPTYPE_BOOL: _Codec(write=values.as_is, read=values.truth),
    _Kind.CPPTYPE_INT32: _Codec(write=values.as_is, read=values.whole_number),
    _Kind.CPPTYPE_DOUBLE: _Codec(write=values.double_to_json, read=values.double_from_json),
}

# Messages that are one value in JSON.
_WELL_KNOWN: Mapping[str, _Codec] = {
    Timestamp.DESCRIPTOR.full_name: _Codec(
        write=values.timestamp_to_json, read=values.timestamp_from_json
    ),
    Date.DESCRIPTOR.full_name: _Codec(write=values.date_to_json, read=values.date_from_json),
}

_BINARY = _Codec(write=values.binary_to_json, read=values.binary_from_json)


@cache
def _codec(field: FieldDescriptor) -> _Codec | None:
    """Return the codec of one value of the field; None for a message with properties."""
    if field.type == field.TYPE_BYTES:
        return _BINARY
    if field.enum_type is not None:
        return _enum_codec(field.enum_type)
    if field.message_type is not None:
        return _WELL_KNOWN.get(field.message_type.full_name)
    return _SCALARS[field.cpp_type]


@cache
def _enum_codec(enum: EnumDescriptor) -> _Codec:
    names = values.enum_names(enum)
    numbers = {name: number for number, name in names.items()}

    def write(value: object) -> JsonValue:
        name = names.get(cast("int", value))
        if name is None:
            raise ValueError(f"{value} is no value of {enum.name}; take one of its names")
        return name

    def read(value: JsonValue) -> object:
        return numbers[value] if isinstance(value, str) and value in numbers else _unreadable()

    return _Codec(write=write, read=read)


def _unreadable() -> object:
    raise ValueError


# The descriptor of a message. The stubs have two types for it; they are used as one here.
_descriptor = cast("Callable[[Message], Descriptor]", attrgetter("DESCRIPTOR"))


@dataclass(frozen=True, slots=True)
class _Property:
    """A field that is a property; `codec` is None for a message with properties of its own."""

    number: int
    name: str
    json_name: str
    codec: _Codec | None
    is_repeated: bool
    is_message: bool
    is_enum: bool


def _all_properties(descriptor: Descriptor, left_out: Collection[str]) -> tuple[_Property, ...]:
    """Return a type's properties, without the members of the oneofs `kind` and `item`."""
    return tuple(
        _Property(
            number=field.number,
            name=field.name,
            json_name=field.json_name,
            codec=_codec(field),
            is_repeated=field.is_repeated,
            is_message=field.message_type is not None,
            is_enum=field.enum_type is not None,
        )
        for field in descriptor.fields
        if field.name != _ADDITIONAL
        and field.json_name not in left_out
        and (field.message_type is None or field.message_type.name not in _ODATA_TYPES)
    )


@cache
def _written(descriptor: Descriptor) -> Mapping[int, _Property]:
    """Return the properties that are written, by field number."""
    left_out = _OUTPUT_ONLY.get(descriptor.name, ())
    return {its.number: its for its in _all_properties(descriptor, left_out)}


@cache
def _read_of(descriptor: Descriptor) -> tuple[_Property, ...]:
    return _all_properties(descriptor, _NOT_READ.get(descriptor.name, ()))


@cache
def _is_open(descriptor: Descriptor) -> bool:
    return _ADDITIONAL in descriptor.fields_by_name


def _properties(message: Message, path: str, violations: Violations) -> JsonObject:
    """Return the JSON of the properties that are set, except those that only Graph sets."""
    descriptor = _descriptor(message)
    properties = _written(descriptor)
    written: JsonObject = {}
    for field, value in message.ListFields():
        its = properties.get(field.number)
        # An enum that is set to _UNSPECIFIED is treated as one that isn't set.
        if its is not None and (value or not its.is_enum):
            written[its.json_name] = _property(its, value, f"{path}.{its.name}", violations)
    if _is_open(descriptor):
        additional: Struct = getattr(message, _ADDITIONAL)
        if additional.fields:
            written |= _additional_to_json(
                additional, descriptor, f"{path}.{_ADDITIONAL}", violations
            )
    return written


def _property(its: _Property, value: Any, path: str, violations: Violations) -> JsonValue:
    if its.is_repeated:
        return [
            _value(its, element, f"{path}[{at}]", violations) for at, element in enumerate(value)
        ]
    return _value(its, value, path, violations)


def _value(its: _Property, value: object, path: str, violations: Violations) -> JsonValue:
    if its.codec is None:
        return _properties(cast("Message", value), path, violations)
    try:
        return its.codec.write(value)
    except ValueError as fault:
        violations.add(path, str(fault))
        return None


def _read(message: Message, described: JsonObject) -> None:
    """Set the properties of a message that can be read from the JSON."""
    descriptor = _descriptor(message)
    for each in _read_of(descriptor):
        value = described.get(each.json_name)
        if value is None:
            continue
        try:
            if each.is_repeated:
                _read_elements(getattr(message, each.name), each, value)
            elif each.codec is None:
                _read_message(getattr(message, each.name), value)
            elif each.is_message:
                getattr(message, each.name).CopyFrom(each.codec.read(value))
            else:
                setattr(message, each.name, each.codec.read(value))
        except _UNREADABLE:
            continue
    if _is_open(descriptor):
        _read_additional(getattr(message, _ADDITIONAL), descriptor, described)


def _read_message(message: Message, described: JsonValue) -> None:
    if isinstance(described, dict):
        message.SetInParent()
        _read(message, described)


def _read_elements(elements: Any, its: _Property, described: JsonValue) -> None:
    for each in described if isinstance(described, list) else ():
        try:
            if its.codec is not None:
                elements.append(its.codec.read(each))
            elif isinstance(each, dict):
                _read(elements.add(), each)
        except _UNREADABLE:
            continue


def _member_named_by(described: JsonObject, holder: Message, oneof: str) -> Message | None:
    """Set and return the member of the oneof whose type the JSON names; None for another type.

    Graph writes a type both with and without `#`.
    """
    named = described.get(_ODATA_TYPE)
    if not isinstance(named, str):
        return None
    name = _members(_descriptor(holder), oneof).get("#" + named.removeprefix("#"))
    if name is None:
        return None
    member: Message = getattr(holder, name)
    member.SetInParent()
    return member


@cache
def _members(descriptor: Descriptor, oneof: str) -> Mapping[str, str]:
    """Return the names of a oneof's members by their types in JSON; empty without that oneof."""
    found = descriptor.oneofs_by_name.get(oneof)
    fields = found.fields if found is not None else ()
    types = {field.name: cast("Descriptor", field.message_type).name for field in fields}
    return {_ODATA_TYPES[kind]: name for name, kind in types.items()}


# Additional properties: those of an open type that the metadata doesn't name.


@cache
def _modelled(descriptor: Descriptor) -> frozenset[str]:
    properties = (field for field in descriptor.fields if field.name != _ADDITIONAL)
    return frozenset(field.json_name.casefold() for field in properties)


def _additional_to_json(
    additional: Struct, descriptor: Descriptor, path: str, violations: Violations
) -> JsonObject:
    for name in additional.fields:
        base = name.partition("@")[0].casefold()
        if not base or base in _modelled(descriptor):
            violations.add(
                f'{path}["{name}"]',
                f"not an additional property: it is a field of {descriptor.name}, or an annotation",
            )
    try:
        return values.struct_to_json(additional)
    except ValueError as fault:
        violations.add(path, str(fault))
        return {}


def _read_additional(additional: Struct, descriptor: Descriptor, described: JsonObject) -> None:
    for name, value in described.items():
        if "@" in name or name.casefold() in _modelled(descriptor):
            continue
        try:
            read = values.struct_value(value)
            additional.fields[name].CopyFrom(read)
        except _UNREADABLE:
            continue
