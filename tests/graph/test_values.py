"""Tests of graph/values.py: one protobuf value becomes Graph's JSON, and back."""

import math
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.graph import values
from graphattachments.v1 import event_pb2, message_pb2, outlook_pb2
from graphattachments.v1.outlook_pb2 import Date

# What a reader may raise: graph/codec.py leaves out a value whose reader raises one of these.
UNREADABLE = (ValueError, TypeError, OverflowError)


def depth(value: Any) -> int:
    """Return the number of nested objects and lists."""
    levels = 0
    while isinstance(value, dict | list):
        levels += 1
        value = next(iter(value.values() if isinstance(value, dict) else value), None)
    return levels


# Numbers, texts and booleans.


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0.0, 0.0),
        (-1.5, -1.5),
        (5e-324, 5e-324),
        (1.7976931348623157e308, 1.7976931348623157e308),
        (math.inf, "INF"),
        (-math.inf, "-INF"),
        (math.nan, "NaN"),
    ],
)
def test_a_double_is_a_number_or_odatas_text(number: float, written: float | str) -> None:
    """A finite double is a JSON number, and NaN and the infinities are OData's texts."""
    assert values.double_to_json(number) == written
    assert type(values.double_to_json(number)) is type(written)


@pytest.mark.parametrize(
    ("written", "number"),
    [(1.5, 1.5), (2, 2.0), ("INF", math.inf), ("-INF", -math.inf), (math.inf, math.inf)],
)
def test_a_double_is_read_as_odata_writes_it(written: Any, number: float) -> None:
    """A number, also a whole one, and OData's texts for the infinities are read as doubles."""
    assert values.double_from_json(written) == number
    assert isinstance(values.double_from_json(written), float)


def test_not_a_number_is_read() -> None:
    """OData's text NaN, and the literal that some writers use, are read as NaN."""
    assert math.isnan(values.double_from_json("NaN"))
    assert math.isnan(values.double_from_json(math.nan))


@pytest.mark.parametrize(
    "written",
    ["Infinity", "1.5", "nan", "inf", "", True, [], {}, pytest.param(10**400, id="huge")],
)
def test_a_value_that_is_no_double_raises(written: Any) -> None:
    """A number in quotes, a boolean, and a number beyond all doubles raise."""
    with pytest.raises(UNREADABLE):
        values.double_from_json(written)


@pytest.mark.parametrize(("written", "number"), [(7, 7), (-7, -7), (2.0, 2), (-0.0, 0)])
def test_a_whole_number_is_read(written: Any, number: int) -> None:
    """A whole number is read as an int, also if it is written as a double."""
    assert values.whole_number(written) == number
    assert isinstance(values.whole_number(written), int)


@pytest.mark.parametrize("written", [1.5, math.nan, math.inf, True, False, "7", [], {}])
def test_a_value_that_is_no_whole_number_raises(written: Any) -> None:
    """A fraction, a boolean, or a number in quotes raises and isn't converted."""
    with pytest.raises(UNREADABLE):
        values.whole_number(written)


@pytest.mark.parametrize("written", [1, 1.5, True, [], {}])
def test_a_value_that_is_no_text_raises(written: Any) -> None:
    """A value that isn't a text raises and isn't converted to one."""
    assert values.text("") == ""
    with pytest.raises(UNREADABLE):
        values.text(written)


@pytest.mark.parametrize("written", [0, 1, "true", "", [], {}])
def test_a_value_that_is_no_boolean_raises(written: Any) -> None:
    """Only true and false are read as booleans, and any other value raises."""
    assert values.truth(True) is True
    assert values.truth(False) is False
    with pytest.raises(UNREADABLE):
        values.truth(written)


# Bytes.


@pytest.mark.parametrize(
    ("raw", "written"), [(b"", ""), (b"\xff", "/w=="), (b"\xfb\xef", "++8="), (b"abc", "YWJj")]
)
def test_bytes_are_standard_base64_with_padding(raw: bytes, written: str) -> None:
    """Bytes are written and read as standard base64 with padding."""
    assert values.binary_to_json(raw) == written
    assert values.binary_from_json(written) == raw


@pytest.mark.parametrize("written", ["YWJ", "_w==", "/w==\n", "/w==/w==", "ü", "YW Jj", 5])
def test_malformed_base64_raises(written: Any) -> None:
    """Base64 that is cut, of another alphabet, or with other characters raises."""
    with pytest.raises(UNREADABLE):
        values.binary_from_json(written)


# Instants and days.


@pytest.mark.parametrize(
    ("seconds", "nanos", "written"),
    [
        (0, 0, "1970-01-01T00:00:00Z"),
        (1772355600, 120_000_000, "2026-03-01T09:00:00.120Z"),
        (1772355600, 123_456_000, "2026-03-01T09:00:00.123456Z"),
        (1772355600, 1, "2026-03-01T09:00:00.000000001Z"),
        (-1, 999_999_999, "1969-12-31T23:59:59.999999999Z"),
        (-62_135_596_800, 0, "0001-01-01T00:00:00Z"),
        (253_402_300_799, 999_999_999, "9999-12-31T23:59:59.999999999Z"),
    ],
)
def test_an_instant_is_written_in_utc_and_read_back(seconds: int, nanos: int, written: str) -> None:
    """An instant of the years 1 to 9999 is written in UTC to the nanosecond and read back."""
    instant = Timestamp(seconds=seconds, nanos=nanos)
    assert values.timestamp_to_json(instant) == written
    assert values.timestamp_from_json(written) == instant


@pytest.mark.parametrize(
    ("seconds", "nanos"),
    [
        (-62_135_596_801, 0),
        (253_402_300_800, 0),
        (2**63 - 1, 0),
        (-(2**63), 0),
        (0, -1),
        (0, 1_000_000_000),
    ],
)
def test_an_instant_out_of_range_raises_with_the_range(seconds: int, nanos: int) -> None:
    """A Timestamp that RFC 3339 can't write raises ValueError with the range."""
    with pytest.raises(ValueError, match=r"^out of range; a Timestamp lies in the years 1 to 9999"):
        values.timestamp_to_json(Timestamp(seconds=seconds, nanos=nanos))


@pytest.mark.parametrize(
    ("written", "seconds", "nanos"),
    [
        ("2026-03-01T10:00:00+01:00", 1772355600, 0),
        ("2026-03-01T03:30:00.5-05:30", 1772355600, 500_000_000),
        ("2026-03-01T09:00:00.1234567Z", 1772355600, 123_456_700),
    ],
)
def test_an_instant_is_read_at_any_offset(written: str, seconds: int, nanos: int) -> None:
    """An instant is read at any offset and with at most nine digits of a second."""
    assert values.timestamp_from_json(written) == Timestamp(seconds=seconds, nanos=nanos)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "2026-03-01",
        "2026-03-01T09:00:00",
        "2026-02-30T09:00:00Z",
        "2026-03-01T09:00:00.1234567890Z",
        "0001-01-01T00:00:00+01:00",
        "0000-12-31T00:00:00Z",
        "gestern",
        1772355600,
    ],
)
def test_a_malformed_instant_raises(written: Any) -> None:
    """A local time, a day that doesn't exist, and an instant out of range raise."""
    with pytest.raises(UNREADABLE):
        values.timestamp_from_json(written)


@pytest.mark.parametrize(
    ("date", "written"),
    [
        (Date(year=2026, month=3, day=1), "2026-03-01"),
        (Date(year=2024, month=2, day=29), "2024-02-29"),
        (Date(year=1, month=1, day=1), "0001-01-01"),
        (Date(year=9999, month=12, day=31), "9999-12-31"),
    ],
)
def test_a_day_is_written_with_four_digits_of_year_and_read_back(date: Date, written: str) -> None:
    """A day of the years 1 to 9999 is written with four digits of its year and read back."""
    assert values.date_to_json(date) == written
    assert values.date_from_json(written) == date


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [
        *[(0, 3, 1), (2026, 0, 1), (2026, 3, 0), (2026, 2, 29), (10000, 1, 1), (-1, 1, 1)],
        *[(2026, 13, 1), (2147483647, 1, 1), (-2147483648, 1, 1)],
    ],
)
def test_a_day_out_of_the_calendar_raises_with_its_numbers(year: int, month: int, day: int) -> None:
    """A day that doesn't exist raises ValueError with its year, month and day."""
    with pytest.raises(ValueError, match="no day of the calendar; set all three") as raised:
        values.date_to_json(Date(year=year, month=month, day=day))
    assert str(raised.value).startswith(f"year {year}, month {month}, day {day} is ")


@pytest.mark.parametrize("written", ["", "2026-02-30", "0000-01-01", "2026-03-01T00:00:00Z", 5])
def test_a_malformed_day_raises(written: Any) -> None:
    """A text that is no day, such as an instant, raises."""
    with pytest.raises(UNREADABLE):
        values.date_from_json(written)


# Enums.


def test_the_names_of_an_enum_are_graph_s() -> None:
    """An enum's names are Graph's, without the prefix and in lower camel case; zero has none."""
    assert values.enum_names(message_pb2.FollowupFlagStatus.DESCRIPTOR) == {
        message_pb2.FOLLOWUP_FLAG_STATUS_NOT_FLAGGED: "notFlagged",
        message_pb2.FOLLOWUP_FLAG_STATUS_COMPLETE: "complete",
        message_pb2.FOLLOWUP_FLAG_STATUS_FLAGGED: "flagged",
    }
    assert values.enum_names(outlook_pb2.BodyType.DESCRIPTOR) == {
        outlook_pb2.BODY_TYPE_TEXT: "text",
        outlook_pb2.BODY_TYPE_HTML: "html",
    }


def test_graphs_unknown_is_not_unspecified() -> None:
    """Graph's value `unknown` has a number of its own and isn't the same as not set."""
    names = values.enum_names(event_pb2.FreeBusyStatus.DESCRIPTOR)
    assert names[event_pb2.FREE_BUSY_STATUS_UNKNOWN] == "unknown"
    assert event_pb2.FREE_BUSY_STATUS_UNSPECIFIED not in names


# Values of any shape.


def test_values_of_any_shape_are_written_as_they_are() -> None:
    """Nested objects, lists, texts, booleans and null are written as they are."""
    struct = Struct()
    described: dict[str, Any] = {
        "text": "Grüße",
        "empty": "",
        "false": False,
        "null": None,
        "list": [1, "zwei", None, [], {}],
        "object": {"a": {"b": [True]}},
    }
    struct.update(described)
    assert values.struct_to_json(struct) == described


def test_an_empty_value_is_null() -> None:
    """A Value without a kind, as some writers send it, is null."""
    said = ListValue(values=[Value()])
    struct = Struct(fields={"none": Value(), "list": Value(list_value=said)})
    assert values.struct_to_json(struct) == {"none": None, "list": [None]}


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (3.0, "3"),
        (-3.0, "-3"),
        (0.5, "0.5"),
        (9007199254740991.0, "9007199254740991"),
        (-9007199254740991.0, "-9007199254740991"),
        (9007199254740992.0, "9007199254740992.0"),
        (1e300, "1e+300"),
    ],
)
def test_a_whole_number_below_2_53_has_no_fraction(number: float, written: str) -> None:
    """Whole numbers below 2**53 are written without a fraction, because Graph refuses some 3.0."""
    struct = Struct()
    struct["number"] = number
    assert repr(values.struct_to_json(struct)["number"]) == written


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_non_finite_number_raises(number: float) -> None:
    """A NaN or an infinity at any place of a Struct raises ValueError."""
    struct = Struct()
    struct.update({"a": [{"b": number}]})
    with pytest.raises(ValueError, match=f"^{number} is no number of JSON's; give a finite one$"):
        values.struct_to_json(struct)


def nested(levels: int, *, of: type[list[Any]] | type[dict[str, Any]]) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value] if of is list else {"a": value}
    return value


def told(value: Any) -> Any:
    return json_format.MessageToDict(values.struct_value(value))


@pytest.mark.parametrize("of", [list, dict])
def test_values_below_the_deepest_level_are_null(
    of: type[list[Any]] | type[dict[str, Any]],
) -> None:
    """Objects and lists below MAX_DEPTH are null, and all above is whole."""
    assert told(nested(24, of=of)) == nested(24, of=of)
    assert depth(told(nested(25, of=of))) == values.MAX_DEPTH == 24


# Properties.


@given(st.binary())
def test_any_bytes_read_back(raw: bytes) -> None:
    """Any bytes are read back as they were written."""
    assert values.binary_from_json(values.binary_to_json(raw)) == raw


@given(st.floats())
def test_any_double_reads_back(number: float) -> None:
    """Any double is read back as it was written, but for a NaN's payload."""
    assert repr(values.double_from_json(values.double_to_json(number))) == repr(number)


@given(
    st.integers(min_value=-62_135_596_800, max_value=253_402_300_799),
    st.integers(min_value=0, max_value=999_999_999),
)
def test_any_instant_reads_back(seconds: int, nanos: int) -> None:
    """Any Timestamp that can be written is read back as it was."""
    instant = Timestamp(seconds=seconds, nanos=nanos)
    assert values.timestamp_from_json(values.timestamp_to_json(instant)) == instant


@given(st.dates())
def test_any_day_reads_back(day: Any) -> None:
    """Any day of the calendar is read back as it was written."""
    date = Date(year=day.year, month=day.month, day=day.day)
    assert values.date_from_json(values.date_to_json(date)) == date


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_a_reader_raises_nothing_else(value: Any) -> None:
    """A reader of any value returns, or raises one of UNREADABLE."""
    readers = [values.text, values.truth, values.whole_number, values.double_from_json]
    readers += [values.binary_from_json, values.timestamp_from_json, values.date_from_json]
    for reader in readers:
        try:
            reader(value)
        except UNREADABLE:
            continue
