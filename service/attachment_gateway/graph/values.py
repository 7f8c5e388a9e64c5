"""One value, protobuf <-> Graph JSON: dates, bytes, doubles, enums, and values of any shape.

A writer raises ValueError with a sentence for the caller. A reader raises ValueError, TypeError or
OverflowError for what it can't read.
"""

import datetime
import math
import re
from typing import TypeAlias, TypeVar

import pybase64
from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from graphattachments.v1.outlook_pb2 import Date

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | JsonObject | None"
JsonObject: TypeAlias = "dict[str, JsonValue]"

# How many levels of an additional property are read. protobuf reads at most 100 nested messages,
# and one level of JSON takes three of them.
MAX_DEPTH = 24

# Doubles hold all integers exactly up to here.
_EXACT = 2**53

# RFC 3339 in UTC, to the nanosecond.
_IN_UTC = re.compile(r"(\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d)(?:\.(\d{1,9}))?Z", re.ASCII)

# OData JSON format 4.01, section 7.1: doubles that JSON has no numbers for.
_ODATA_DOUBLES = {"INF": math.inf, "-INF": -math.inf, "NaN": math.nan}


def as_is(value: object) -> JsonValue:
    """Return a string, a boolean or a number unchanged, since JSON has these types."""
    return value  # type: ignore[return-value]


def text(value: JsonValue) -> str:
    """Read a string."""  # without `_of`, for speed: most values are strings
    if isinstance(value, str):
        return value
    raise TypeError


def truth(value: JsonValue) -> bool:
    """Read a boolean."""
    return _of(bool, value)


def whole_number(value: JsonValue) -> int:
    """Read a whole number; 2.0 is one, true isn't."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool):
        raise TypeError
    return _of(int, value)


def double_to_json(value: object) -> JsonValue:
    """Write a double as OData does."""
    number = _of(float, value)
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "INF" if number > 0 else "-INF"
    return number


def double_from_json(value: JsonValue) -> float:
    """Read a double as OData writes it."""
    if isinstance(value, str):
        if value not in _ODATA_DOUBLES:
            raise ValueError
        return _ODATA_DOUBLES[value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return float(value)


def binary_to_json(value: object) -> JsonValue:
    """Write bytes as standard base64 with padding."""
    return pybase64.b64encode(_of(bytes, value)).decode()


def binary_from_json(value: JsonValue) -> bytes:
    """Read base64."""
    return pybase64.b64decode(text(value), validate=True)


def timestamp_to_json(value: object) -> JsonValue:
    """Write a Timestamp as RFC 3339 in UTC."""
    try:
        return _of(Timestamp, value).ToJsonString()
    except ValueError:
        raise ValueError(
            "out of range; a Timestamp lies in the years 1 to 9999, with nanos of 0 to 999,999,999"
        ) from None


def timestamp_from_json(value: JsonValue) -> Timestamp:
    """Read RFC 3339 with any offset; UTC, which Graph writes, takes a tenth of protobuf's time."""
    in_utc = _IN_UTC.fullmatch(text(value))
    if in_utc is None:
        timestamp = Timestamp()
        timestamp.FromJsonString(text(value))
        return timestamp
    seconds = datetime.datetime.fromisoformat(f"{in_utc[1]}+00:00").timestamp()
    return Timestamp(seconds=int(seconds), nanos=int((in_utc[2] or "").ljust(9, "0")))


def date_to_json(value: object) -> JsonValue:
    """Write a Date as YYYY-MM-DD."""
    date = _of(Date, value)
    try:
        return datetime.date(date.year, date.month, date.day).isoformat()
    except ValueError:
        raise ValueError(
            f"year {date.year}, month {date.month}, day {date.day} is no day of the calendar; set "
            f"all three"
        ) from None


def date_from_json(value: JsonValue) -> Date:
    """Read YYYY-MM-DD."""
    date = datetime.date.fromisoformat(text(value))
    return Date(year=date.year, month=date.month, day=date.day)


def enum_names(enum: EnumDescriptor) -> dict[int, str]:
    """Return Graph's names by number: FOLLOWUP_FLAG_STATUS_NOT_FLAGGED is notFlagged.

    Zero, _UNSPECIFIED, has no name, since Graph has no such value.
    """
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    return {value.number: _camel(value.name.removeprefix(prefix)) for value in enum.values[1:]}


def _camel(upper_snake: str) -> str:
    first, *rest = upper_snake.lower().split("_")
    return first + "".join(word.capitalize() for word in rest)


def struct_to_json(struct: Struct) -> JsonObject:
    """Write values of any shape."""
    return {name: _any_to_json(value) for name, value in struct.fields.items()}


def _any_to_json(value: Value) -> JsonValue:
    match value.WhichOneof("kind"):
        case "struct_value":
            return struct_to_json(value.struct_value)
        case "list_value":
            return _list_to_json(value.list_value)
        case "number_value":
            return _number_to_json(value.number_value)
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case _:
            return None  # null, or an empty Value


def _list_to_json(values: ListValue) -> list[JsonValue]:
    return [_any_to_json(value) for value in values.values]


def _number_to_json(number: float) -> JsonValue:
    """Write 3.0 as 3: Graph accepts 3 for every numeric type, but 3.0 only for some."""
    if not math.isfinite(number):
        raise ValueError(f"{number} is no number of JSON's; give a finite one")
    return int(number) if number.is_integer() and abs(number) < _EXACT else number


def struct_value(value: JsonValue) -> Value:
    """Read a value of any shape; values nested deeper than MAX_DEPTH become null."""
    struct = Struct()
    struct.update({"value": _bounded(value, MAX_DEPTH)})
    return struct.fields["value"]


def _bounded(value: JsonValue, depth: int) -> JsonValue:
    if isinstance(value, dict | list) and depth == 0:
        return None
    if isinstance(value, dict):
        return {name: _bounded(member, depth - 1) for name, member in value.items()}
    if isinstance(value, list):
        return [_bounded(member, depth - 1) for member in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError
    return value


_T = TypeVar("_T")


def _of(kind: type[_T], value: object) -> _T:
    if not isinstance(value, kind):
        raise TypeError
    return value
