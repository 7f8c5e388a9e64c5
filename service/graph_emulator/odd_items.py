"""Items as users report that Graph shows them: properties are changed, reordered, null or dropped.

Any property may be changed, though most often those of the tables below are.
"""

from collections.abc import Mapping
from random import Random

from graph_emulator import odd_values as odd
from graph_emulator.items import type_name
from graph_emulator.odd_types import CASES, ENUMS, mapped
from graph_emulator.oddities import random_of

# How likely a property is to be changed by its row of a table, to be dropped, or to be changed
# as no table says; the last is also for each plain value inside of a property.
TABLE_CHANCE = 0.5
DROP_CHANCE = 0.05
ANY_CHANCE = 0.05

Row = tuple[odd.Change, ...]

_FALSE = odd.always(shown=False)
_NULL = odd.always(None)
_CASES: Row = tuple(odd.of_text(case) for case in CASES)
_ORDERS: Row = (odd.backwards, odd.rotated)
_TEXTS: Row = (odd.trimmed, _NULL)
_FLAGS: Row = (_FALSE, _NULL)
_PHONES: Row = (odd.phone_digits, odd.phone_dashes)
_TIMES: Row = (odd.with_seven_digits, odd.in_a_windows_zone)
_ZONES: Row = (odd.in_windows_words, odd.always(odd.CUSTOM_ZONE))

_EVERY_ITEM: Mapping[str, Row] = {**dict.fromkeys(ENUMS, _CASES), "categories": _ORDERS}

BY_TYPE: Mapping[str, Mapping[str, Row]] = {
    "microsoft.graph.event": {
        "attendees": _ORDERS,
        "end": _TIMES,
        "isOnlineMeeting": (_FALSE,),
        "isReminderOn": _FLAGS,
        "onlineMeetingProvider": (odd.always("unknown"), *_CASES),
        "originalEndTimeZone": _ZONES,
        "originalStartTimeZone": _ZONES,
        "reminderMinutesBeforeStart": (odd.always(15), odd.always(0), _NULL),
        "sensitivity": (odd.always("normal"), _NULL, *_CASES),
        "showAs": (odd.always("busy"), _NULL, *_CASES),
        "start": _TIMES,
        "transactionId": (_NULL,),
    },
    "microsoft.graph.message": {
        "bccRecipients": _ORDERS,
        "ccRecipients": _ORDERS,
        "conversationId": (odd.another_id,),
        "internetMessageId": (odd.another_message_id,),
        "replyTo": _ORDERS,
        "subject": (odd.shortened, odd.on_one_line, odd.normalised),
        "toRecipients": _ORDERS,
    },
    "microsoft.graph.contact": {
        "businessPhones": (*_PHONES, *_ORDERS),
        "emailAddresses": _ORDERS,
        "homePhones": (*_PHONES, *_ORDERS),
        "mobilePhone": _PHONES,
        "personalNotes": (odd.with_crlf, odd.shortened),
    },
}

# The properties of a contact that are composed from others.
COMPOSED: Mapping[str, tuple[str, ...]] = {
    "displayName": ("{given} {surname}",),
    "fileAs": ("{surname}, {given}", "{given} {surname}"),
}

# For properties without a row.
_STRINGS: Mapping[str, Row] = {"microsoft.graph.contact": (*_TEXTS, odd.shortened)}
_BOOLEANS: Mapping[str, Row] = {"microsoft.graph.message": (_NULL,)}


def odd_item(item: Mapping[str, object], seed: str) -> dict[str, object]:
    """Return the item with changes, the same for each call with this seed."""
    shown = {
        name: value if name.startswith("@odata.") else _odd(item, name, random_of(seed, name))
        for name, value in item.items()
    }
    return {name: value for name, value in shown.items() if value is not odd.DROPPED}


def changes_of(item: Mapping[str, object], name: str) -> Row:
    """Return the changes that are reported of a property."""
    kind, value = type_name(item) or "", item[name]
    table = {**_EVERY_ITEM, **BY_TYPE.get(kind, {})}
    if kind == "microsoft.graph.contact" and name in COMPOSED:
        return tuple(odd.always(odd.recomposed(item, form)) for form in COMPOSED[name])
    if name in table:
        return table[name]
    if isinstance(value, str):
        return _STRINGS.get(kind, _TEXTS)
    return _BOOLEANS.get(kind, (odd.as_it_is,)) if isinstance(value, bool) else (odd.as_it_is,)


def _odd(item: Mapping[str, object], name: str, random: Random) -> object:
    luck = random.random()
    if luck < TABLE_CHANCE:
        return random.choice(changes_of(item, name))(_odd_inside(item[name], random))
    if luck < TABLE_CHANCE + DROP_CHANCE:
        return odd.DROPPED
    if luck < TABLE_CHANCE + DROP_CHANCE + ANY_CHANCE:
        return mapped(name, item[name], lambda _, value: odd.different(value))
    return _odd_inside(item[name], random)


def _odd_inside(value: object, random: Random) -> object:
    """Change few of the plain values inside of an object or a list, and the case of enums."""

    def leaf(name: str, value: object) -> object:
        if name in ENUMS and random.random() < TABLE_CHANCE:
            return random.choice(_CASES)(value)
        return odd.different(value) if random.random() < ANY_CHANCE else value

    return mapped("", value, leaf) if isinstance(value, dict | list) else value
