"""oddities: the name, the bytes, the id and the stamp that are shown of an attachment."""

from datetime import UTC, datetime
from typing import Any

import pytest

from graph_emulator.config import EmulatorConfig, Stamps
from graph_emulator.oddities import listed_id, shown_content, shown_name, shown_stamp
from graph_emulator.posts import Post, StoredAttachment

STORED_AT = datetime(2026, 3, 4, 5, 6, 7, 890_000, tzinfo=UTC)
SCANNED = b"\r\n-- \r\nThis file was checked for viruses.\r\n"
IDS = [f"id {number}" for number in range(300)]


def attachment(id_: str = "1", **changes: Any) -> StoredAttachment:
    """Return an attachment of five bytes, `hello`, with these changes."""
    asked_for = {"kind": "file", "name": "n", "content": b"hello", **changes}
    return StoredAttachment(id=id_, post=Post(), stored_at=STORED_AT, **asked_for)


def names(sent: str) -> set[str | None]:
    """Return the names that attachments of this name are shown with."""
    config = EmulatorConfig(odd_names=True)
    return {shown_name(attachment(id_, name=sent), config) for id_ in IDS}


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("x" * 300, {"x" * 300, "x" * 255, None}),
        ("\u00fc", {"\u00fc", "u\u0308", None}),
        ("u\u0308", {"\u00fc", "u\u0308", None}),
        ('a\\/:*?"<>|\n\x85b', {'a\\/:*?"<>|\n\x85b', "ab", "a___________b", None}),
        (" a ", {" a ", "a", None}),
    ],
)
def test_names(sent: str, shown: set[str | None]) -> None:
    """A name is cut, normalised, cleaned, trimmed or null."""
    assert names(sent) == shown


def test_bytes_are_appended_or_changed() -> None:
    """A file is shown with bytes at its end, or with one bit of one byte changed."""
    config = EmulatorConfig(odd_bytes=True)
    shown = {shown_content(attachment(id_), config) for id_ in IDS}

    assert shown == {
        b"hello\r\n",
        b"hello" + SCANNED,
        *(b"iello", b"hdllo", b"hemlo", b"helmo", b"helln"),
    }


def test_an_empty_file_gets_bytes() -> None:
    """An empty file is shown with bytes."""
    config = EmulatorConfig(odd_bytes=True)
    shown = {shown_content(attachment(id_, content=b""), config) for id_ in IDS}

    assert shown == {b"\r\n", SCANNED, b"\x00"}


def test_an_items_content_is_unchanged() -> None:
    """An item's bytes, which are only counted, are unchanged."""
    config = EmulatorConfig(odd_bytes=True)

    assert shown_content(attachment(kind="item"), config) == b"hello"


def test_one_id_in_two_is_null() -> None:
    """A list shows about half of the ids."""
    config = EmulatorConfig(odd_ids=True)
    shown = [listed_id(attachment(id_), config) for id_ in IDS]

    assert 120 < shown.count(None) < 180
    assert all(one in (None, id_) for one, id_ in zip(shown, IDS, strict=True))


@pytest.mark.parametrize(
    ("stamps", "shown"),
    [
        ("usual", {"lastModifiedDateTime": "2026-03-04T05:06:07Z"}),
        ("missing", {}),
        ("null", {"lastModifiedDateTime": None}),
        ("no zone", {"lastModifiedDateTime": "2026-03-04T05:06:07"}),
        ("year one", {"lastModifiedDateTime": "0001-01-01T00:00:00Z"}),
        ("future", {"lastModifiedDateTime": "9999-12-31T23:59:59Z"}),
        ("fraction", {"lastModifiedDateTime": "2026-03-04T05:06:07.8900000Z"}),
    ],
)
def test_stamps(stamps: Stamps, shown: dict[str, object]) -> None:
    """Each form of a stamp."""
    assert shown_stamp(attachment(), EmulatorConfig(stamps=stamps)) == shown


def test_mixed_stamps_are_of_each_form() -> None:
    """Mixed stamps have every form, by the attachment."""
    config = EmulatorConfig(stamps="mixed")
    shown = [str(shown_stamp(attachment(id_), config)) for id_ in IDS]

    assert len(set(shown)) == 7
    assert shown == [str(shown_stamp(attachment(id_), config)) for id_ in IDS]


def test_a_stamp_has_its_offset() -> None:
    """A stamp is ahead of the time of storing by its offset."""
    config = EmulatorConfig(stamp_offset_s=-7.5)

    assert shown_stamp(attachment(), config) == {"lastModifiedDateTime": "2026-03-04T05:06:00Z"}


def test_nothing_is_odd_by_default() -> None:
    """With the default configuration an attachment is shown as it was sent."""
    config = EmulatorConfig()
    sent = attachment(name=" a?", content=b"")

    assert shown_name(sent, config) == " a?"
    assert shown_content(sent, config) == b""
    assert listed_id(sent, config) == "1"
