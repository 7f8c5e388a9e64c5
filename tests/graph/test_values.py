"""graph_values: one value, protobuf <-> Graph JSON."""

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

# What a reader may raise; `graph_json` leaves out what it can't read.
UNREADABLE = (ValueError, TypeError, OverflowError)


def depth(value: Any) -> int:
    """Return how many objects and lists stand in one another."""
    levels = 0
    while isinstance(value, dict | list):
        levels += 1
        value = next(iter(value.values() if isinstance(value, dict) else value), None)
    return levels


# Numbers, texts and truth.


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
def test_a_double_is_a_number_or_a_word_of_odata_s(number: float, written: float | str) -> None:
    """JSON has no infinity and no NaN; OData has texts for them."""
    assert values.double_to_json(number) == written
    assert type(values.double_to_json(number)) is type(written)


@pytest.mark.parametrize(
    ("written", "number"),
    [(1.5, 1.5), (2, 2.0), ("INF", math.inf), ("-INF", -math.inf), (math.inf, math.inf)],
)
def test_a_double_is_read_as_odata_writes_it(written: Any, number: float) -> None:
    """A whole number is a double too."""
    assert values.double_from_json(written) == number
    assert isinstance(values.double_from_json(written), float)


def test_not_a_number_is_read() -> None:
    """OData's text, and the literal that some writers put."""
    assert math.isnan(values.double_from_json("NaN"))
    assert math.isnan(values.double_from_json(math.nan))


@pytest.mark.parametrize(
    "written",
    ["Infinity", "1.5", "nan", "inf", "", True, [], {}, pytest.param(10**400, id="huge")],
)
def test_what_is_no_double_cannot_be_read(written: Any) -> None:
    """A number in quotes isn't one, nor is true."""
    with pytest.raises(UNREADABLE):
        values.double_from_json(written)


@pytest.mark.parametrize(("written", "number"), [(7, 7), (-7, -7), (2.0, 2), (-0.0, 0)])
def test_a_whole_number_is_read(written: Any, number: int) -> None:
    """Also where it is written as a double."""
    assert values.whole_number(written) == number
    assert isinstance(values.whole_number(written), int)


@pytest.mark.parametrize("written", [1.5, math.nan, math.inf, True, False, "7", [], {}])
def test_what_is_no_whole_number_cannot_be_read(written: Any) -> None:
    """Nothing is rounded, and true isn't 1."""
    with pytest.raises(UNREADABLE):
        values.whole_number(written)


@pytest.mark.parametrize("written", [1, 1.5, True, [], {}])
def test_what_is_no_text_cannot_be_read(written: Any) -> None:
    """A number isn't read as its digits."""
    assert values.text("") == ""
    with pytest.raises(UNREADABLE):
        values.text(written)


@pytest.mark.parametrize("written", [0, 1, "true", "", [], {}])
def test_what_is_no_boolean_cannot_be_read(written: Any) -> None:
    """Truth is true or false."""
    assert values.truth(True) is True
    assert values.truth(False) is False
    with pytest.raises(UNREADABLE):
        values.truth(written)


# Bytes.


@pytest.mark.parametrize(
    ("raw", "written"), [(b"", ""), (b"\xff", "/w=="), (b"\xfb\xef", "++8="), (b"abc", "YWJj")]
)
def test_bytes_are_standard_base64_with_padding(raw: bytes, written: str) -> None:
    """Both ways."""
    assert values.binary_to_json(raw) == written
    assert values.binary_from_json(written) == raw


@pytest.mark.parametrize("written", ["YWJ", "_w==", "/w==\n", "/w==/w==", "ü", "YW Jj", 5])
def test_what_is_no_base64_cannot_be_read(written: Any) -> None:
    """Neither cut, nor of another alphabet, nor with anything between."""
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
    """To the nanosecond, from the first year to the last."""
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
def test_an_instant_out_of_range_says_what_the_range_is(seconds: int, nanos: int) -> None:
    """A Timestamp can hold more than RFC 3339 can write."""
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
    """With as many digits as Graph gives."""
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
def test_what_is_no_instant_cannot_be_read(written: Any) -> None:
    """Neither a local time, nor a day that there isn't, nor one before the first year."""
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
    """From the first year to the last."""
    assert values.date_to_json(date) == written
    assert values.date_from_json(written) == date


@pytest.mark.parametrize(
    ("year", "month", "day"),
    [
        *[(0, 3, 1), (2026, 0, 1), (2026, 3, 0), (2026, 2, 29), (10000, 1, 1), (-1, 1, 1)],
        *[(2026, 13, 1), (2147483647, 1, 1), (-2147483648, 1, 1)],
    ],
)
def test_a_day_that_is_not_in_the_calendar_says_which(year: int, month: int, day: int) -> None:
    """All three numbers are told, since any may be the wrong one."""
    with pytest.raises(ValueError, match="no day of the calendar; set all three") as raised:
        values.date_to_json(Date(year=year, month=month, day=day))
    assert str(raised.value).startswith(f"year {year}, month {month}, day {day} is ")


@pytest.mark.parametrize("written", ["", "2026-02-30", "0000-01-01", "2026-03-01T00:00:00Z", 5])
def test_what_is_no_day_cannot_be_read(written: Any) -> None:
    """An instant isn't one."""
    with pytest.raises(UNREADABLE):
        values.date_from_json(written)


# Enums.


def test_the_names_of_an_enum_are_graph_s() -> None:
    """Behind the enum's prefix, in lower camel case, and none for zero."""
    assert values.enum_names(message_pb2.FollowupFlagStatus.DESCRIPTOR) == {
        message_pb2.FOLLOWUP_FLAG_STATUS_NOT_FLAGGED: "notFlagged",
        message_pb2.FOLLOWUP_FLAG_STATUS_COMPLETE: "complete",
        message_pb2.FOLLOWUP_FLAG_STATUS_FLAGGED: "flagged",
    }
    assert values.enum_names(outlook_pb2.BodyType.DESCRIPTOR) == {
        outlook_pb2.BODY_TYPE_TEXT: "text",
        outlook_pb2.BODY_TYPE_HTML: "html",
    }


def test_what_graph_calls_unknown_is_a_value_of_its_own() -> None:
    """It isn't the same as not set."""
    names = values.enum_names(event_pb2.FreeBusyStatus.DESCRIPTOR)
    assert names[event_pb2.FREE_BUSY_STATUS_UNKNOWN] == "unknown"
    assert event_pb2.FREE_BUSY_STATUS_UNSPECIFIED not in names


# Values of any shape.


def test_values_of_any_shape_are_written_as_they_are() -> None:
    """Objects, lists, texts, truth and null, one in another."""
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


def test_a_value_that_says_nothing_is_null() -> None:
    """Some writers leave a Value empty."""
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
def test_a_whole_number_is_written_as_one_as_far_as_doubles_count(
    number: float, written: str
) -> None:
    """Graph takes 3 for any type of number, and 3.0 for some."""
    struct = Struct()
    struct["number"] = number
    assert repr(values.struct_to_json(struct)["number"]) == written


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_not_is_refused(number: float) -> None:
    """Wherever it stands; nobody knows what the property would have for it."""
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
def test_what_lies_too_deep_is_left_out(of: type[list[Any]] | type[dict[str, Any]]) -> None:
    """Objects and lists below the deepest level are null; what lies above is whole."""
    assert told(nested(24, of=of)) == nested(24, of=of)
    assert depth(told(nested(25, of=of))) == values.MAX_DEPTH == 24


# Properties.


@given(st.binary())
def test_bytes_survive(raw: bytes) -> None:
    """Any bytes are read back as they were written."""
    assert values.binary_from_json(values.binary_to_json(raw)) == raw


@given(st.floats())
def test_doubles_survive(number: float) -> None:
    """Any double is read back as it was written, to the bit but for a NaN's payload."""
    assert repr(values.double_from_json(values.double_to_json(number))) == repr(number)


@given(
    st.integers(min_value=-62_135_596_800, max_value=253_402_300_799),
    st.integers(min_value=0, max_value=999_999_999),
)
def test_instants_survive(seconds: int, nanos: int) -> None:
    """Any Timestamp that can be written is read back as it was."""
    instant = Timestamp(seconds=seconds, nanos=nanos)
    assert values.timestamp_from_json(values.timestamp_to_json(instant)) == instant


@given(st.dates())
def test_days_survive(day: Any) -> None:
    """Any day of the calendar is read back as it was written."""
    date = Date(year=day.year, month=day.month, day=day.day)
    assert values.date_from_json(values.date_to_json(date)) == date


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(_JSON)
def test_a_reader_reads_or_says_that_it_cannot(value: Any) -> None:
    """Whatever it is given, it raises nothing but what `graph_json` takes for unreadable."""
    readers = [values.text, values.truth, values.whole_number, values.double_from_json]
    readers += [values.binary_from_json, values.timestamp_from_json, values.date_from_json]
    for reader in readers:
        try:
            reader(value)
        except UNREADABLE:
            continue
