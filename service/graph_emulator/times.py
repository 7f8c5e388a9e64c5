"""Times as Graph writes them, and time zones by their IANA or Windows names."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tzlocal.windows_tz import tz_win, win_tz


def graph_time(time: datetime) -> str:
    """Return an Edm.DateTimeOffset as Graph writes it: UTC, whole seconds, `Z`."""
    return time.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def seven_digits(time: datetime) -> str:
    """Return a time without its zone, with the seven digits that Graph writes."""
    return f"{time.replace(tzinfo=None).isoformat(timespec='microseconds')}0"


def in_utc(value: object, zone: tzinfo | None) -> datetime | None:
    """Read an ISO 8601 time, in `zone` if it has no offset; None if that is impossible."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else None
        if time is None or (time.tzinfo or zone) is None:
            return None
        return (time if time.tzinfo else time.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):  # in some zones the first or last day has no UTC
        return None


def zone_of(name: object) -> tzinfo | None:
    """Return the zone with an IANA or a Windows name; None if there is none."""
    if name == "UTC":
        return UTC  # works without a time zone database
    try:
        return ZoneInfo(win_tz.get(str(name), str(name)))
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name is a directory
        return None


def windows_name(zone: object) -> str | None:
    """Return the Windows name of an IANA zone; None if it has none."""
    return tz_win.get(str(zone))
