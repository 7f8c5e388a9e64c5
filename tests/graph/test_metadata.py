"""Tests of the contract and graph/codec.py against the facts of Microsoft Graph's metadata."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from attachment_gateway.errors import InvalidRequest
from attachment_gateway.graph import codec
from attachment_gateway.graph.request import FILE
from attachment_gateway.graph.values import enum_names
from attachment_gateway.translation.create import graph_request_of
from graphattachments.v1 import attachment_pb2, contact_pb2, event_pb2, message_pb2, outlook_pb2
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment, PostRef
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from graphattachments.v1.outlook_pb2 import Date
from tests.support.graph_requests import sender
from tests.support.metadata_facts import (
    ENUMS,
    TYPES,
    Property,
    attachment_in_json,
    leaves,
    output_only,
    properties,
)

FILES = (attachment_pb2, contact_pb2, event_pb2, message_pb2, outlook_pb2)

MESSAGES: dict[str, Descriptor] = {
    name: message
    for file in FILES
    for name, message in file.DESCRIPTOR.message_types_by_name.items()
}

ENUM_TYPES = {
    name: enum for file in FILES for name, enum in file.DESCRIPTOR.enum_types_by_name.items()
}

# Messages of the contract that aren't in the metadata.
OURS = {"Date", "PostRef"}

# Base types of the metadata whose properties the contract has in the types that derive from them.
BASES = {"entity", "outlookItem", "attendeeBase"}

ITEMS = ("message", "event", "contact")

# The field type for each Edm type: a protobuf type's number, or a message's name.
SHAPES: dict[str, int | str] = {
    "Binary": FieldDescriptor.TYPE_BYTES,
    "Boolean": FieldDescriptor.TYPE_BOOL,
    "Date": "graphattachments.v1.Date",
    "DateTimeOffset": "google.protobuf.Timestamp",
    "Double": FieldDescriptor.TYPE_DOUBLE,
    "Int32": FieldDescriptor.TYPE_INT32,
    "String": FieldDescriptor.TYPE_STRING,
}

# A field's value for the value that the facts have in JSON; a text's is its property's name.
VALUES = {
    FieldDescriptor.TYPE_BYTES: b"\x00\xff\xfe",
    FieldDescriptor.TYPE_BOOL: True,
    "graphattachments.v1.Date": Date(year=2026, month=3, day=1),
    "google.protobuf.Timestamp": datetime(2026, 3, 1, 9, 0, tzinfo=UTC),
    FieldDescriptor.TYPE_DOUBLE: 48.25,
    FieldDescriptor.TYPE_INT32: 7,
}

SENDER = sender()


def lower_first(name: str) -> str:
    return name[0].lower() + name[1:]


def upper_first(name: str) -> str:
    return name[0].upper() + name[1:]


def sent(attachment: Attachment) -> dict[str, Any]:
    """Return the JSON that goes to Graph."""
    post = PostRef(group_id="g", thread_id="t", post_id="p")
    request = CreateAttachmentRequest(post=post, attachment=attachment)
    described: dict[str, Any] = json.loads(b"".join(graph_request_of(request, SENDER).body))
    return described


def to_the_letter(described: dict[str, Any]) -> str:
    """Return JSON that tells 1 from 1.0 and from true, which are equal in Python."""
    return json.dumps(described, sort_keys=True)


def read(described: dict[str, Any]) -> Attachment:
    """Return the attachment that is read from Graph's response."""
    attachment = codec.attachment_from_json(json.dumps(described).encode(), kind=FILE)
    assert attachment is not None
    return attachment


# Fields.


def descriptor_of(message: Message | type[Message]) -> Descriptor:
    """Return a message's descriptor, cast from the stubs' class to the runtime's."""
    return cast("Descriptor", message.DESCRIPTOR)


def modelled(descriptor: Descriptor) -> Iterator[FieldDescriptor]:
    """Yield the fields that stand for a property, without the members of `kind` and `item`."""
    for field in descriptor.fields:
        is_type = field.containing_oneof is not None and field.message_type is not None
        if not is_type and field.name != "additional_properties":
            yield field


def kind_of(field: FieldDescriptor) -> int | str:
    """Return a scalar's protobuf type, or the full name of an enum or a message."""
    named = field.enum_type or field.message_type
    return field.type if named is None else named.full_name


def name_of_type(field: FieldDescriptor) -> str:
    """Return the name of a field's enum or message."""
    named = field.enum_type or field.message_type
    assert named is not None
    return named.name


def filled(descriptor: Descriptor) -> Message:
    """Return a message with every field set: two elements in a list, and an enum's last value."""

    def value(field: FieldDescriptor) -> Any:
        if field.enum_type is not None:
            return field.enum_type.values[-1].number
        if field.message_type is not None and kind_of(field) not in VALUES:
            return filled(field.message_type)
        return VALUES.get(kind_of(field), field.json_name)

    return GetMessageClass(descriptor)(
        **{
            field.name: [value(field), value(field)] if field.is_repeated else value(field)
            for field in modelled(descriptor)
        }
    )


def attachment_of(of: str) -> Attachment:
    """Return an attachment of a "file", or of an item's type, with every field set."""
    attachment = filled(Attachment.DESCRIPTOR)
    assert isinstance(attachment, Attachment)
    special: Any = (
        attachment.file_attachment if of == "file" else getattr(attachment.item_attachment, of)
    )
    special.CopyFrom(filled(special.DESCRIPTOR))
    return attachment


def read_of(of: str) -> Attachment:
    """Return the same attachment as it is read, without a file's bytes."""
    attachment = attachment_of(of)
    if of == "file":
        attachment.file_attachment.ClearField("content_bytes")
    return attachment


Place = tuple[dict[str, Any], Message]


def places(described: dict[str, Any], attachment: Attachment) -> Iterator[Place]:
    """Yield every object of an attachment's JSON with its message."""
    yield described, attachment
    special: Message = getattr(attachment, attachment.WhichOneof("kind") or "")
    yield from _places(described, special)
    if isinstance(special, ItemAttachment):
        yield from _places(described["item"], getattr(special, special.WhichOneof("item") or ""))


def _places(described: dict[str, Any], message: Message) -> Iterator[Place]:
    yield described, message
    for field in modelled(descriptor_of(message)):
        held, values = getattr(message, field.name), described.get(field.json_name)
        pairs = zip(values or (), held, strict=True) if field.is_repeated else [(values, held)]
        for value, member in pairs:
            if isinstance(value, dict):
                yield from _places(value, member)


# The contract.


def test_every_type_of_the_metadata_is_in_the_contract() -> None:
    """The contract has a message for each type, an enum for each enum, and no others."""
    assert {lower_first(name) for name in MESSAGES.keys() - OURS} == TYPES.keys() - BASES
    assert {lower_first(name) for name in ENUM_TYPES} == ENUMS.keys()


def shape_of(fact: Property) -> tuple[int | str, bool]:
    """Return the type that a field for the property must have, and whether it is a list."""
    named = f"graphattachments.v1.{upper_first(fact.type)}"
    return SHAPES.get(fact.type, named), fact.is_collection


@pytest.mark.parametrize("name", sorted(MESSAGES.keys() - OURS))
def test_a_message_has_the_properties_of_its_type(name: str) -> None:
    """A message has its type's properties by name, type and list, and scalars have presence."""
    fact = TYPES[lower_first(name)]
    # Attachment has the properties of all kinds, and each kind's message only its own.
    facts = fact.own if fact.base == "attachment" else properties(lower_first(name))
    fields = {field.json_name: field for field in modelled(MESSAGES[name])}
    assert {its: (kind_of(field), field.is_repeated) for its, field in fields.items()} == {
        its: shape_of(fact) for its, fact in facts.items() if its != "item"
    }
    assert all(field.has_presence or field.is_repeated for field in fields.values())


def test_only_open_types_take_additional_properties() -> None:
    """The messages with `additional_properties` are the open types."""
    assert {name for name, fact in TYPES.items() if fact.is_open} == {
        lower_first(name)
        for name, message in MESSAGES.items()
        if "additional_properties" in message.fields_by_name
    }


@pytest.mark.parametrize(
    ("holder", "oneof", "base"),
    [(Attachment, "kind", "attachment"), (ItemAttachment, "item", "outlookItem")],
)
def test_a_oneof_has_the_types_that_derive_from_its_base(
    holder: type[Message], oneof: str, base: str
) -> None:
    """A oneof has every type that derives from its abstract type."""
    assert TYPES[base].is_abstract
    members = descriptor_of(holder).oneofs_by_name[oneof].fields
    assert {lower_first(name_of_type(field)) for field in members} == {
        name for name, fact in TYPES.items() if fact.base == base
    }


@pytest.mark.parametrize("name", sorted(ENUMS))
def test_an_enum_has_the_names_of_graph(name: str) -> None:
    """An enum has Graph's names in the metadata's order, and zero is none of them."""
    enum = ENUM_TYPES[upper_first(name)]
    assert list(enum_names(enum).items()) == list(enumerate(ENUMS[name], start=1))
    assert enum.values[0].name.endswith("_UNSPECIFIED")


# Writing.


@pytest.mark.parametrize("of", ["file", *ITEMS])
def test_every_property_that_a_caller_sets_is_sent_and_no_other(of: str) -> None:
    """At every level all properties are sent but those that Graph sets, and types where needed."""
    described = sent(attachment_of(of))
    expected = attachment_in_json(of, written=True)
    assert described == expected
    assert to_the_letter(described) == to_the_letter(expected)
    assert None not in dict(leaves(described)).values()


@pytest.mark.parametrize("of", ["file", *ITEMS])
def test_the_properties_that_graph_sets_are_never_sent(of: str) -> None:
    """The properties that are only in responses are those that the contract calls output only."""
    answered, written = attachment_in_json(of), sent(attachment_of(of))
    kind = "fileAttachment" if of == "file" else "itemAttachment"
    assert answered.keys() - written.keys() == output_only(kind)
    if of != "file":
        assert answered["item"].keys() - written["item"].keys() == output_only(of)


@pytest.mark.parametrize("of", ["file", *ITEMS])
def test_a_type_is_named_where_the_declared_one_is_abstract(of: str) -> None:
    """Only the attachment and the item, whose declared types are abstract, name their types."""
    named = {path: kind for path, kind in leaves(sent(attachment_of(of))) if "@odata.type" in path}
    item = {
        "@odata.type": "#microsoft.graph.itemAttachment",
        "item.@odata.type": f"#microsoft.graph.{of}",
    }
    assert named == ({"@odata.type": "#microsoft.graph.fileAttachment"} if of == "file" else item)


# Reading.


@pytest.mark.parametrize("of", ["file", *ITEMS])
def test_every_property_of_a_response_is_read(of: str) -> None:
    """All properties of a response are read but a file's bytes, which the caller has."""
    assert read(attachment_in_json(of)) == read_of(of)


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize("of", ["file", *ITEMS])
def test_a_null_property_reads_as_not_set(of: str, nullable: bool) -> None:
    """A null in any one property, also one that isn't nullable, only unsets that property."""
    for at, (_, holder) in enumerate(places(attachment_in_json(of), read_of(of))):
        facts = properties(lower_first(holder.DESCRIPTOR.name))
        for field in modelled(descriptor_of(holder)):
            whole, attachment = attachment_in_json(of), read_of(of)
            described, message = list(places(whole, attachment))[at]
            if facts[field.json_name].is_nullable == nullable:
                described[field.json_name] = None
                message.ClearField(field.name)
                assert read(whole) == attachment


@pytest.mark.parametrize("of", ["file", *ITEMS])
def test_null_everywhere_reads_as_nothing_set(of: str) -> None:
    """If all properties are null, only the kind is set."""
    described = attachment_in_json(of)
    nothing: dict[str, Any] = dict.fromkeys(described) | {"@odata.type": described["@odata.type"]}
    if of == "file":
        expected = Attachment(file_attachment=FileAttachment())
    else:
        nothing["item"] = dict.fromkeys(described["item"])
        nothing["item"]["@odata.type"] = described["item"]["@odata.type"]
        item: dict[str, Any] = {of: {}}
        expected = Attachment(item_attachment=ItemAttachment(**item))
    assert read(nothing) == expected


# Enums.


def enum_places(of: str) -> Iterator[tuple[int, FieldDescriptor]]:
    """Yield the index of its place, and the field, of every enum that is sent."""
    for at, (described, message) in enumerate(places(sent(attachment_of(of)), attachment_of(of))):
        for field in modelled(descriptor_of(message)):
            if field.enum_type is not None and field.json_name in described:
                yield at, field


def test_every_enum_is_in_some_item() -> None:
    """Some item has each enum, but for an event's type, which Graph sets."""
    met = {name_of_type(field) for of in ITEMS for _, field in enum_places(of)}
    assert met == ENUM_TYPES.keys() - {"EventType"}


@pytest.mark.parametrize("of", ["message", "event"])
def test_every_enum_value_is_written_and_read_by_its_name(of: str) -> None:
    """Every value of every enum is written and read by its name; a contact has no enum."""
    for at, field in enum_places(of):
        for number, name in enumerate(ENUMS[lower_first(name_of_type(field))], start=1):
            whole, attachment = sent(attachment_of(of)), attachment_of(of)
            described, message = list(places(whole, attachment))[at]
            described[field.json_name] = [name] if field.is_repeated else name
            message.ClearField(field.name)
            message.MergeFrom(
                type(message)(**{field.name: [number] if field.is_repeated else number})
            )
            assert sent(attachment) == whole
            assert _value(list(places(whole, read(whole)))[at][1], field) == _value(message, field)


def _value(message: Message, field: FieldDescriptor) -> Any:
    value = getattr(message, field.name)
    return list(value) if field.is_repeated else value


def test_an_event_s_type_is_read_by_its_name() -> None:
    """Every value of an event's type, the one enum that is only in responses, is read."""
    for number, name in enumerate(ENUMS["eventType"], start=1):
        described = attachment_in_json("event")
        described["item"]["type"] = name
        assert read(described).item_attachment.event.type == number


@pytest.mark.parametrize("of", ["message", "event"])
def test_zero_of_an_enum_is_never_written(of: str) -> None:
    """An enum's zero is the same as not set, and is refused in a list."""
    for at, field in enum_places(of):
        whole, attachment = sent(attachment_of(of)), attachment_of(of)
        described, message = list(places(whole, attachment))[at]
        if field.is_repeated:
            getattr(message, field.name)[1] = 0
            with pytest.raises(InvalidRequest, match=rf"\.{field.name}\[1\]: 0 is no value of "):
                sent(attachment)
        else:
            setattr(message, field.name, 0)
            del described[field.json_name]
            assert sent(attachment) == whole
