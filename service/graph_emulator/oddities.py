"""What users report of attachments that Graph shows: their names, bytes, ids and stamps differ.

Each function is pure: an attachment's id decides which row of a table applies, so that every read
shows the same.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

from graph_emulator.config import EmulatorConfig, Stamps
from graph_emulator.posts import StoredAttachment
from graph_emulator.times import graph_time, seven_digits

NAME_LENGTH = 255

_FORBIDDEN = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f-\x9f]')
_SCANNED = b"\r\n-- \r\nThis file was checked for viruses.\r\n"


def random_of(*seeds: str) -> Random:
    """Return random numbers that are the same whenever the seeds are the same."""
    return Random("\n".join(seeds))  # noqa: S311  (no secret)


def shown_content(attachment: StoredAttachment, config: EmulatorConfig) -> bytes:
    """Return the bytes to show; an item's are only counted."""
    if not config.odd_bytes or attachment.kind != "file":
        return attachment.content
    random = random_of(attachment.id, "bytes")
    return random.choice(CONTENTS)(attachment.content, random)


def shown_name(attachment: StoredAttachment, config: EmulatorConfig) -> str | None:
    """Return the name to show."""
    if not config.odd_names:
        return attachment.name
    return random_of(attachment.id, "name").choice(NAMES)(attachment.name)


def listed_id(attachment: StoredAttachment, config: EmulatorConfig) -> str | None:
    """Return the id that a list shows."""
    nulled = config.odd_ids and random_of(attachment.id, "id").choice((True, False))
    return None if nulled else attachment.id


def shown_stamp(attachment: StoredAttachment, config: EmulatorConfig) -> dict[str, object]:
    """Return lastModifiedDateTime as a property, or no property."""
    form = config.stamps
    if form == "mixed":
        form = random_of(attachment.id, "stamp").choice(tuple(STAMPS))
    return STAMPS[form](with_offset(attachment, config).stored_at)


def with_offset(attachment: StoredAttachment, config: EmulatorConfig) -> StoredAttachment:
    """Return the attachment with the time of storing as it is shown."""
    offset = timedelta(seconds=config.stamp_offset_s)
    return replace(attachment, stored_at=attachment.stored_at + offset)


def _with_a_byte_changed(content: bytes, random: Random) -> bytes:
    """Change one byte; append one if there is none."""
    changed = bytearray(content or b"\x01")
    changed[random.randrange(len(changed))] ^= 1
    return bytes(changed)


def _stamped(value: object) -> dict[str, object]:
    return {"lastModifiedDateTime": value}


CONTENTS: tuple[Callable[[bytes, Random], bytes], ...] = (
    lambda content, _: content + b"\r\n",
    lambda content, _: content + _SCANNED,
    _with_a_byte_changed,
)

NAMES: tuple[Callable[[str], str | None], ...] = (
    lambda name: name[:NAME_LENGTH],
    lambda name: unicodedata.normalize("NFC", name),
    lambda name: unicodedata.normalize("NFD", name),
    lambda name: _FORBIDDEN.sub("", name),
    lambda name: _FORBIDDEN.sub("_", name),
    lambda name: name.strip(),
    lambda _: None,
)

STAMPS: Mapping[Stamps, Callable[[datetime], dict[str, object]]] = {
    "usual": lambda time: _stamped(graph_time(time)),
    "missing": lambda _: {},
    "null": lambda _: _stamped(None),
    "no zone": lambda time: _stamped(graph_time(time).removesuffix("Z")),
    "year one": lambda _: _stamped("0001-01-01T00:00:00Z"),
    "future": lambda _: _stamped("9999-12-31T23:59:59Z"),
    "fraction": lambda time: _stamped(f"{seven_digits(time.astimezone(UTC))}Z"),
}
