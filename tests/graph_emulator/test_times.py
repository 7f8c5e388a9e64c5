"""times: Graph's forms of a time, and zones by their two kinds of names."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest

from graph_emulator.times import graph_time, in_utc, seven_digits, windows_name, zone_of

PLUS_TWO = timezone(timedelta(hours=2))
ZONES = pytest.mark.skipif(
    "Europe/Berlin" not in available_timezones(), reason="no time zone database"
)


def test_forms_of_a_time() -> None:
    """A time is written in UTC and whole seconds, or with seven digits and without its zone."""
    time = datetime(2026, 1, 2, 10, 0, 0, 250_000, tzinfo=PLUS_TWO)

    assert graph_time(time) == "2026-01-02T08:00:00Z"
    assert seven_digits(time) == "2026-01-02T10:00:00.2500000"


@ZONES
@pytest.mark.parametrize(
    ("name", "iana"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("Tokyo Standard Time", "Asia/Tokyo"),
    ],
)
def test_a_zone_has_an_iana_and_a_windows_name(name: str, iana: str) -> None:
    """A zone is found by its IANA name and by its Windows name."""
    assert zone_of(name) == ZoneInfo(iana)


@pytest.mark.parametrize("name", ["tzone://Microsoft/Custom", "../etc", "Europe", "", None, 7])
def test_other_names_have_no_zone(name: object) -> None:
    """A name of no zone, or a folder of zones, gives none."""
    assert zone_of(name) is None


def test_windows_names_of_iana_zones() -> None:
    """An IANA zone has a Windows name, another text has none."""
    assert windows_name("America/Los_Angeles") == "Pacific Standard Time"
    assert windows_name("Pacific Standard Time") is None


def test_a_time_is_read_in_its_zone() -> None:
    """A time is read in the given zone unless it has an offset; a bad one is None."""
    ten = datetime(2026, 1, 2, 10, tzinfo=UTC)

    assert in_utc("2026-01-02T12:00:00", PLUS_TWO) == ten
    assert in_utc("2026-01-02T10:00:00Z", PLUS_TWO) == ten
    assert in_utc("2026-01-02T10:00:00", None) is None
    assert in_utc("0001-01-01T00:00:00", PLUS_TWO) is None
