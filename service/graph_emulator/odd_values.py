"""The changes of single values that users report of items, each as a pure function.

A function returns a value of another kind than it expects unchanged.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from graph_emulator.times import in_utc, seven_digits, windows_name, zone_of

Change = Callable[[object], object]

WINDOWS_ZONE = "W. Europe Standard Time"
CUSTOM_ZONE = "tzone://Microsoft/Custom"
TEXT_LENGTH = 255


class Dropped:
    """The type of DROPPED."""


DROPPED: Final = Dropped()
"""Stands for a property that isn't shown."""


def as_it_is(value: object) -> object:
    """Return the value."""
    return value


def always(shown: object) -> Change:
    """Return a change of every value to `shown`."""
    return lambda _: shown


def of_text(change: Callable[[str], object]) -> Change:
    """Return a change of strings alone."""
    return lambda value: change(value) if isinstance(value, str) else value


def of_each(change: Change) -> Change:
    """Return a change of each element of a list, or of a value that is no list."""

    def changed(value: object) -> object:
        return [change(one) for one in value] if isinstance(value, list) else change(value)

    return changed


def backwards(value: object) -> object:
    """Reverse a list."""
    return value[::-1] if isinstance(value, list) else value


def rotated(value: object) -> object:
    """Move a list's first element to the end."""
    return [*value[1:], *value[:1]] if isinstance(value, list) else value


def with_seven_digits(value: object) -> object:
    """Write a dateTimeTimeZone's time with seven digits."""
    time = _local(value)
    if time is None or not isinstance(value, dict):
        return value
    return {**value, "dateTime": seven_digits(time)}


def in_a_windows_zone(value: object) -> object:
    """Convert a dateTimeTimeZone to a zone with a Windows name."""
    zone = zone_of(WINDOWS_ZONE)
    if zone is None or not isinstance(value, dict):
        return value
    utc = in_utc(value.get("dateTime"), zone_of(value.get("timeZone", "UTC")))
    try:
        local = None if utc is None else utc.astimezone(zone)
    except OverflowError:  # the first or last day
        local = None
    if local is None:
        return value
    return {**value, "dateTime": seven_digits(local), "timeZone": WINDOWS_ZONE}


def _local(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value["dateTime"]) if isinstance(value, dict) else None
    except (KeyError, TypeError, ValueError):
        return None


def different(value: object) -> object:
    """Return another value of the same kind; only objects and lists stay."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return f"{value} (1)"
    return "" if value is None else value


def recomposed(item: Mapping[str, object], form: str) -> object:
    """Return a contact's name, composed from its parts; null if it has none."""
    given, surname = str(item.get("givenName") or ""), str(item.get("surname") or "")
    return form.format(given=given, surname=surname).strip(" ,") or None


in_windows_words = of_text(lambda zone: windows_name(zone) or CUSTOM_ZONE)
shortened = of_text(lambda text: text[:TEXT_LENGTH])
on_one_line = of_text(lambda text: re.sub(r"\r\n|\r|\n", " ", text))
normalised = of_text(lambda text: unicodedata.normalize("NFC", text))
trimmed = of_text(str.strip)
with_crlf = of_text(lambda text: re.sub(r"\r\n|\r|\n", "\r\n", text))
phone_digits = of_each(of_text(lambda phone: re.sub(r"[^+\d]", "", phone)))
phone_dashes = of_each(of_text(lambda phone: re.sub(r"[^+\d]+", "-", phone).strip("-")))
another_message_id = of_text(lambda id_: f"<{_hash(id_)}@graph-emulator.example>")
another_id = of_text(lambda id_: f"AAQkAG{_hash(id_)}=")


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
