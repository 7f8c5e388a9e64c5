"""How many elements a serialized message has, counted before protobuf reads it. Pure.

An element takes two bytes on the wire and some hundred in memory, so a message of 4 MiB may become
one of hundreds. Large messages that are meant have few elements, which hold long strings.
"""

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from attachment_gateway.errors import FieldViolation, InvalidRequest

# An event with 500 attendees, Graph's most, has some 3,000. Each takes up to 400 bytes: as a
# message, as JSON values, and as Graph's response.
MAX_ELEMENTS = 50_000

# A message of this size has no more elements than that.
_ALWAYS_FEW_BYTES = 2 * MAX_ELEMENTS

# The wire types of protobuf's encoding.
_VARINT, _FIXED64, _DELIMITED, _FIXED32 = 0, 1, 2, 5
_SIZES = {_FIXED64: 8, _FIXED32: 4}

_MORE = 0x80


def check_elements(message: bytes, descriptor: Descriptor) -> None:
    """Raise InvalidRequest if a message has more than MAX_ELEMENTS elements."""
    if len(message) > _ALWAYS_FEW_BYTES and has_more_elements(message, descriptor, MAX_ELEMENTS):
        raise InvalidRequest(
            FieldViolation("request", f"it has more than {MAX_ELEMENTS:,} elements; send fewer")
        )


def has_more_elements(message: bytes, descriptor: Descriptor, most: int) -> bool:
    """Tell whether the fields of a message, with those of its messages, are more than `most`.

    What can't be read any further counts as nothing: protobuf refuses it.
    """
    count = 0
    left: list[tuple[int, int, Descriptor | None]] = [(0, len(message), descriptor)]
    while left:
        at, end, kind = left.pop()
        while at < end:
            count += 1
            if count > most:
                return True
            tag, at = _varint(message, at)
            size, at = _size(message, at, tag & 7)
            field = kind.fields_by_number.get(tag >> 3) if kind is not None else None
            if field is not None and tag & 7 == _DELIMITED:
                if field.message_type is not None:
                    left.append((at, min(at + size, end), field.message_type))
                elif field.type not in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
                    count += size  # packed numbers
            at += size
    return count > most


def _size(message: bytes, at: int, wire_type: int) -> tuple[int, int]:
    """Return the size of a field's value, and where it begins."""
    if wire_type == _DELIMITED:
        return _varint(message, at)
    if wire_type == _VARINT:
        return 0, _varint(message, at)[1]
    return _SIZES.get(wire_type, 0), at


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return a number, and what follows it; a cut one ends with the message."""
    value = shift = 0
    while at < len(message):
        group = message[at]
        at += 1
        value |= (group & ~_MORE) << shift
        if group < _MORE or shift >= 63:
            break
        shift += 7
    return value, at
