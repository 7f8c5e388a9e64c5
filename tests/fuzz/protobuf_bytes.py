"""Changes of a protobuf message's bytes that keep most of its structure.

A message is a sequence of fields: a tag (number and wire type) and a value. A value that can be
read as a message may be changed as one, so that changes reach every depth.
"""

from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.fuzz.draws import chance, mutated, number

VARINT, FIXED64, LENGTH, GROUP, GROUP_END, FIXED32 = range(6)

# protobuf refuses messages nested deeper than 100.
_NESTED = (1, 5, 33, 98, 101, 400)

_MAX_VARINT_BYTES = 10

_NOT_UTF8 = (b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"a\x80", b"\xe2\x82")


class Field(NamedTuple):
    """One field as it is encoded; `value` has no length before it."""

    number: int
    wire_type: int
    value: bytes


Fields = list[Field]


def varint(value: int, *, at_least_bytes: int = 1) -> bytes:
    """Return a varint, in more bytes than it needs if `at_least_bytes` says so."""
    groups = bytearray()
    value &= 2**64 - 1
    while value > 0x7F or len(groups) + 1 < at_least_bytes:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(groups) + bytes([value])


def encoded(fields: Fields) -> bytes:
    """Return the bytes of fields."""
    return b"".join(map(_encoded, fields))


def _encoded(field: Field, *, padding: int = 1) -> bytes:
    tag = varint(field.number << 3 | field.wire_type, at_least_bytes=padding)
    if field.wire_type != LENGTH:
        return tag + field.value
    return tag + varint(len(field.value), at_least_bytes=padding) + field.value


def fields_of(data: bytes) -> Fields | None:
    """Return the fields of a message; None if the bytes are no message, or have a group."""
    fields, at = Fields(), 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        end = _end_of_value(data, at, tag & 7)
        if tag >> 3 == 0 or not 0 <= end <= len(data):
            return None
        begin = at if tag & 7 != LENGTH else _read_varint(data, at)[1]
        fields.append(Field(tag >> 3, tag & 7, data[begin:end]))
        at = end
    return fields


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint and where it ends; beyond the data if it has no end."""
    value = 0
    for index, group in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        value |= (group & 0x7F) << 7 * index
        if group < 0x80:
            return value, at + index + 1
    return 0, len(data) + 1


def _end_of_value(data: bytes, at: int, wire_type: int) -> int:
    match wire_type:
        case 0:
            return _read_varint(data, at)[1]
        case 1:
            return at + 8
        case 2:
            length, begin = _read_varint(data, at)
            return begin + length
        case 5:
            return at + 4
        case _:
            return -1


def mutated_message(random: Random, data: bytes) -> bytes:
    """Return a message's bytes with one to three changes, mostly of its fields."""
    for _ in range(random.choice((1, 1, 2, 3))):
        data = mutated(random, data) if chance(random, 0.15) else _changed(random, data)
    return data


def _changed(random: Random, data: bytes) -> bytes:
    fields = fields_of(data)
    if not fields:
        return encoded([_any_field(random)]) + data
    at = random.randrange(len(fields))
    field = fields[at]
    if field.wire_type == LENGTH and chance(random, 0.6) and fields_of(field.value):
        fields[at] = field._replace(value=_changed(random, field.value))
        return encoded(fields)
    return random.choice(_CHANGES)(random, fields, at)


def _any_field(random: Random) -> Field:
    wire_type = random.choice((VARINT, FIXED64, LENGTH, FIXED32))
    value = {
        VARINT: varint(number(random)),
        FIXED64: random.randbytes(8),
        LENGTH: random.randbytes(random.choice((0, 1, 5, 200))),
        FIXED32: random.randbytes(4),
    }[wire_type]
    return Field(random.choice((1, 2, 3, 4, 5, 9, 100, 536_870_911)), wire_type, value)


_Change = Callable[[Random, Fields, int], bytes]


def _drop(_: Random, fields: Fields, at: int) -> bytes:
    return encoded(fields[:at] + fields[at + 1 :])


def _repeat(random: Random, fields: Fields, at: int) -> bytes:
    times = random.choice((1, 1, 2, 30, 1000)) if len(fields[at].value) < 1000 else 1
    return encoded(fields + [fields[at]] * times)


def _shuffle(random: Random, fields: Fields, _: int) -> bytes:
    random.shuffle(fields)
    return encoded(fields)


def _renumber(random: Random, fields: Fields, at: int) -> bytes:
    fields[at] = fields[at]._replace(number=random.choice((1, 2, 3, 4, 5, 6, 7, 100, 2**29 - 1)))
    return encoded(fields)


def _retype(random: Random, fields: Fields, at: int) -> bytes:
    fields[at] = fields[at]._replace(wire_type=random.randrange(8))
    return encoded(fields)


def _pad(random: Random, fields: Fields, at: int) -> bytes:
    padding = random.choice((2, 5, 9, 10, 11))
    return encoded(fields[:at]) + _encoded(fields[at], padding=padding) + encoded(fields[at + 1 :])


def _number_value(random: Random, fields: Fields, at: int) -> bytes:
    fields[at] = Field(fields[at].number, VARINT, varint(number(random)))
    return encoded(fields)


def _group(random: Random, fields: Fields, at: int) -> bytes:
    value = encoded([fields[at]])
    for _ in range(random.choice(_NESTED)):
        value = varint(fields[at].number << 3 | GROUP) + value
        value += varint(fields[at].number << 3 | GROUP_END)
    return encoded(fields[:at]) + value + encoded(fields[at:])


def _nest(random: Random, fields: Fields, at: int) -> bytes:
    value = fields[at].value
    for _ in range(random.choice(_NESTED)):
        value = encoded([Field(fields[at].number, LENGTH, value)])
    fields[at] = Field(fields[at].number, LENGTH, value)
    return encoded(fields)


def _wrong_length(random: Random, fields: Fields, at: int) -> bytes:
    field = fields[at]
    length = random.choice((len(field.value) + 1, max(len(field.value) - 1, 0), 2**31, 2**63))
    tag = varint(field.number << 3 | LENGTH)
    return encoded(fields[:at]) + tag + varint(length) + field.value + encoded(fields[at + 1 :])


def _not_utf8(random: Random, fields: Fields, at: int) -> bytes:
    fields[at] = fields[at]._replace(wire_type=LENGTH, value=random.choice(_NOT_UTF8))
    return encoded(fields)


def _unknown(random: Random, fields: Fields, at: int) -> bytes:
    return encoded([*fields[:at], _any_field(random), *fields[at:]])


_CHANGES: tuple[_Change, ...] = (
    *(_drop, _repeat, _shuffle, _renumber, _retype, _pad, _number_value),
    *(_group, _nest, _wrong_length, _not_utf8, _unknown),
)
