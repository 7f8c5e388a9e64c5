"""Messages of the contract whose fields are drawn, output-only and invalid ones included."""

import math
from collections.abc import Callable, Mapping
from random import Random
from typing import Any
from uuid import UUID

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value

from graphattachments.v1.attachment_pb2 import Attachment, PostRef
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from tests.fuzz import draws
from tests.fuzz.draws import chance

REQUEST_ID = "0b7e8a52-2f10-4c3e-9d57-01a2b3c4d5e6"

_IDS = ("AAMkAG_-=", "AAQkAD=", "4c6f5a2e-9d3b-4e71-8a5c-2f1b0e7d9a63", "a/b", "a%2Fb", "ä")
_BAD_IDS = ("", ".", "..", "a\nb", "\0", "x" * 1025)

_BAD_REQUEST_IDS = (
    "1234",
    f"{{{REQUEST_ID}}}",
    f"{REQUEST_ID}\n",
    REQUEST_ID.replace("0", "\u0660"),
)

_DOUBLES = (0.0, -0.0, 1.5, 1e308, 5e-324, 2.0**53, math.inf, -math.inf, math.nan)

# The first and the last second of a Timestamp, and the seconds beside them.
_SECONDS = (-62_135_596_800, -62_135_596_801, 253_402_300_799, 253_402_300_800)

# Names of additional properties: allowed ones, and those by which one could set something else.
_NAMES = ("nickname", "customField", "x", "é", "a.b", "singleValueExtendedProperties")
_BAD_NAMES = (
    *("@odata.type", "@odata.id", "@odata.anything", "@", "subject@odata.type", "SUBJECT"),
    *("id", "Id", "hasattachments", "from", "givenName", "start", "additionalProperties"),
)

_DENSITIES = ((0.1, 8), (0.4, 3), (1.0, 1))


def post(random: Random, faulty: float = 0.05) -> PostRef:
    """Return a post, in this share of the draws with a faulty id."""
    made = PostRef(group_id="g", thread_id="t", post_id="p")
    for name in ("group_id", "conversation_id", "thread_id", "post_id"):
        if chance(random, 0.4):
            setattr(made, name, random.choice(_IDS))
    if chance(random, faulty):
        name = random.choice(("group_id", "conversation_id", "thread_id", "post_id"))
        setattr(made, name, random.choice(_BAD_IDS))
    return made


def request_id(random: Random, faulty: float = 0.05) -> str:
    """Return a request id, in this share of the draws a faulty one."""
    if chance(random, faulty):
        return random.choice(_BAD_REQUEST_IDS)
    new = str(UUID(int=random.getrandbits(128)))
    return random.choice(("", "", new, new.upper(), new, REQUEST_ID))


def create_request(random: Random) -> CreateAttachmentRequest:
    """Return the message of a create: of an item, or more rarely of a file."""
    made = CreateAttachmentRequest(post=post(random), request_id=request_id(random))
    fill(random, made.attachment, leave_out=("kind",))
    made.attachment.name = draws.name(random)
    if chance(random, 0.2):
        size_bytes = random.choice((0, 1, 2, 3, 100, 1000))
        made.attachment.file_attachment.content_bytes = draws.content(random, size_bytes)
    elif chance(random, 0.95):
        item = made.attachment.item_attachment
        fill(random, getattr(item, random.choice(("message", "event", "contact"))))
    else:
        getattr(made.attachment, random.choice(("item_attachment", "reference_attachment")))
    return made


def attachment(random: Random) -> Attachment:
    """Return what the header of an upload has of an attachment."""
    made = Attachment(name=draws.name(random))
    if chance(random, 0.5):
        fill(random, made, leave_out=("kind", "name"))
    if chance(random, 0.3):
        made.file_attachment.content_id = draws.text(random)
    if chance(random, 0.02):
        made.file_attachment.content_bytes = b"x"
    if chance(random, 0.02):
        made.item_attachment.SetInParent()
    return made


def fill(random: Random, message: Message, leave_out: tuple[str, ...] = ()) -> None:
    """Set some of a message's fields, of each oneof at most one member."""
    shares, weights = zip(*_DENSITIES, strict=True)
    share = random.choices(shares, weights)[0]
    message.SetInParent()
    for field in message.DESCRIPTOR.fields:
        oneof = field.containing_oneof
        if field.name in leave_out or (oneof is not None and oneof.name in leave_out):
            continue
        if chance(random, share):
            _set(random, message, field)


def _set(random: Random, message: Message, field: Any) -> None:
    if field.message_type is not None:
        own = _OWN.get(field.message_type.full_name, fill)
        holder = getattr(message, field.name)
        for _ in range(random.randint(0, 3) if field.is_repeated else 1):
            own(random, holder.add() if field.is_repeated else holder)
    elif field.is_repeated:
        values = [_scalar(random, field) for _ in range(random.randint(0, 3))]
        getattr(message, field.name).extend(values)
    else:
        setattr(message, field.name, _scalar(random, field))


def _scalar(random: Random, field: Any) -> Any:
    if field.enum_type is not None:
        known = random.choice(field.enum_type.values).number
        return random.choice((-1, 99, 2**31 - 1)) if chance(random, 0.02) else known
    if field.type == field.TYPE_BYTES:
        return random.randbytes(random.choice((0, 1, 2, 3, 20)))
    return _SCALARS[field.cpp_type](random)


_SCALARS: Mapping[int, Callable[[Random], Any]] = {
    FieldDescriptor.CPPTYPE_STRING: draws.text,
    FieldDescriptor.CPPTYPE_BOOL: lambda random: random.random() < 0.5,
    FieldDescriptor.CPPTYPE_INT32: lambda random: random.choice((0, 1, -1, 7, 2**31 - 1, -(2**31))),
    FieldDescriptor.CPPTYPE_INT64: lambda random: random.choice((0, 1, -1, 2**63 - 1)),
    FieldDescriptor.CPPTYPE_DOUBLE: lambda random: random.choice(_DOUBLES),
}


def _timestamp(random: Random, message: Any) -> None:
    faulty = chance(random, 0.05)
    message.seconds = random.choice(_SECONDS) if faulty else random.randrange(0, 2_000_000_000)
    message.nanos = random.choice((0, 0, 1, 500_000_000, 999_999_999))
    if chance(random, 0.02):
        message.nanos = random.choice((-1, 1_000_000_000))


def _date(random: Random, message: Any) -> None:
    message.year, message.month, message.day = 2024, 2, random.randint(1, 29)
    if chance(random, 0.05):
        message.year = random.choice((0, -1, 10_000, 2023, 2**31 - 1))
        message.month = random.choice((0, 2, 13))
        message.day = random.choice((0, 29, 31, 32))


def _struct(random: Random, message: Struct) -> None:
    message.SetInParent()
    for _ in range(random.choice((0, 1, 2, 5))):
        names = _BAD_NAMES if chance(random, 0.02) else _NAMES
        _value(random, message.fields[random.choice(names)], random.choice((0, 0, 1, 3, 20)))


def _value(random: Random, value: Value, depth: int) -> None:
    if depth and chance(random, 0.5):
        for _ in range(random.choice((0, 1, 1, 2))):
            _value(random, value.struct_value.fields[random.choice(_NAMES + _BAD_NAMES)], depth - 1)
    elif depth:
        for _ in range(random.choice((0, 1, 1, 2))):
            _value(random, value.list_value.values.add(), depth - 1)
    else:
        _leaf(random, value)


def _leaf(random: Random, value: Value) -> None:
    match random.randrange(5):
        case 0:
            value.number_value = random.choice(_DOUBLES[: 9 if chance(random, 0.02) else 6])
        case 1:
            value.string_value = draws.text(random)
        case 2:
            value.bool_value = chance(random, 0.5)
        case 3:
            value.null_value = 0  # type: ignore[assignment] # the only value of its enum
        case _:
            pass  # an empty Value


_OWN: Mapping[str, Callable[[Random, Any], None]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Struct": _struct,
    "graphattachments.v1.Date": _date,
}
