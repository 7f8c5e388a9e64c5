"""Odd attachments and lists, over a socket: reads agree, and the record has what was sent."""

from base64 import b64decode
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import quote

import httpx
import pytest

from graph_emulator.control import ConfigChanges, EmulatorClient
from graph_emulator.posts import AttachmentDraft, StoredAttachment
from graph_emulator.server import RunningEmulator

NAME = " \u00fc: u\u0308? "
ITEM_BODY = {
    "@odata.type": "#microsoft.graph.itemAttachment",
    "name": "Meeting",
    "item": {
        "@odata.type": "#microsoft.graph.event",
        "subject": " Meeting ",
        "transactionId": "t1",
        "showAs": "oof",
        "start": {"dateTime": "2026-01-02T10:00:00", "timeZone": "W. Europe Standard Time"},
    },
}
EXPAND = {"$expand": "microsoft.graph.itemattachment/item"}
DAY = timedelta(days=1)
ALL_ODD: ConfigChanges = {
    "odd_items": True,
    "odd_types": True,
    "odd_names": True,
    "odd_bytes": True,
    "stamps": "mixed",
}


def path_of(collection: str, id_: str) -> str:
    """Return an attachment's path."""
    return f"{collection}/{quote(id_, safe='')}"


def place(control: EmulatorClient, count: int = 1, age: timedelta = DAY) -> list[StoredAttachment]:
    """Store files of five bytes, `hello`, of that age."""
    draft = AttachmentDraft(kind="file", name=NAME, content=b"hello")
    return [control.place(draft, at=datetime.now(UTC) - age) for _ in range(count)]


def ids(graph: httpx.Client, attachments: str) -> list[str | None]:
    """Return the ids of one read of a list."""
    return [one["id"] for one in graph.get(attachments).json()["value"]]


def without_context(answer: httpx.Response) -> dict[str, object]:
    """Return a document without the context, in which a list and a single read differ."""
    return {key: value for key, value in answer.json().items() if key != "@odata.context"}


def without_stamp(document: dict[str, object]) -> dict[str, object]:
    """Return a document without the stamp; a create answers before the time of storing is known."""
    return {key: value for key, value in document.items() if key != "lastModifiedDateTime"}


def test_all_reads_show_a_file_alike(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """Create, single read and list show one form of a file; the record has what was sent."""
    control.configure(**ALL_ODD)
    for _ in range(20):
        control.clear()
        created = graph.post(attachments, json={**file_body, "name": NAME})
        (stored,) = control.stored()

        (listed,) = graph.get(attachments).json()["value"]
        read = graph.get(path_of(attachments, stored.id))

        assert without_context(read) == listed
        assert without_stamp(created.json()) == without_stamp(read.json())
        assert (stored.name, stored.content) == (NAME, b"hello")
        shown = b64decode(listed["contentBytes"])
        assert shown != b"hello"
        assert listed["size"] == len(shown) + 237
        assert graph.get(f"{path_of(attachments, stored.id)}/$value").content == shown


def test_two_reads_show_an_item_alike(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """Two reads of an item and a list show it alike, some with changes; the record has it sent."""
    control.configure(**ALL_ODD)
    shown = []
    for _ in range(20):
        control.clear()
        graph.post(attachments, json=ITEM_BODY)
        (stored,) = control.stored()
        path = path_of(attachments, stored.id)

        (listed,) = graph.get(attachments, params=EXPAND).json()["value"]
        items = [graph.get(path, params=EXPAND).json()["item"] for _ in range(2)]

        assert items == [listed["item"]] * 2
        assert stored.item == ITEM_BODY["item"]
        shown.append(items[0].get("transactionId", "(missing)"))
    assert None in shown
    assert "t1" in shown


def test_an_item_of_a_windows_zone_is_read_in_utc(graph: httpx.Client, attachments: str) -> None:
    """By default an item's time in a zone with a Windows name is read back in UTC."""
    created = graph.post(attachments, json=ITEM_BODY).json()

    item = graph.get(path_of(attachments, created["id"]), params=EXPAND).json()["item"]

    assert item["start"] == {"dateTime": "2026-01-02T09:00:00.0000000", "timeZone": "UTC"}
    assert item["subject"] == " Meeting "


@pytest.mark.parametrize(
    ("changes", "offsets_s"),
    [
        ({"stamp_offset_s": 5000}, (0, 5000)),
        ({"date_offset_s": 5000}, (5000, 0)),
        ({"clock_offset_s": -5000}, (-5000, -5000)),
        ({"clock_offset_s": 1000, "date_offset_s": -4000, "stamp_offset_s": 2000}, (-3000, 3000)),
    ],
)
def test_date_and_stamp_have_offsets_of_their_own(
    graph: httpx.Client,
    control: EmulatorClient,
    attachments: str,
    file_body: dict[str, object],
    changes: ConfigChanges,
    offsets_s: tuple[float, float],
) -> None:
    """`Date` and stamps are off by the clock's offset and each by its own."""
    date_s, stamp_s = offsets_s
    control.configure(**changes)

    answer = graph.post(attachments, json=file_body)
    now = datetime.now(UTC)

    date = parsedate_to_datetime(answer.headers["date"])
    stamp = datetime.fromisoformat(answer.json()["lastModifiedDateTime"])
    assert abs((date - now).total_seconds() - date_s) < 60
    assert abs((stamp - now).total_seconds() - stamp_s) < 60


def test_an_error_has_the_time_of_its_date(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A refusal's date, in its body and its header, has the offset of `Date`."""
    control.configure(date_offset_s=5000)

    answer = graph.post(attachments, content=b"")

    header = parsedate_to_datetime(answer.headers["date"])
    body = datetime.fromisoformat(answer.json()["error"]["innerError"]["date"] + "Z")
    assert abs((header - body).total_seconds()) <= 1
    assert (header - datetime.now(UTC)).total_seconds() > 4900


def test_an_items_times_have_the_stamps_offset(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """The times that Graph gives an item have the offset of stamps."""
    control.configure(stamp_offset_s=86400)
    draft = AttachmentDraft(kind="item", name="n", item={"@odata.type": "#microsoft.graph.event"})
    placed = control.place(draft, at=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))

    item = graph.get(path_of(attachments, placed.id), params=EXPAND).json()["item"]

    assert item["createdDateTime"] == "2026-01-03T03:04:05Z"


def test_lists_lag_behind_single_reads(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A list doesn't show an attachment that is younger than its lag; a single read does."""
    control.configure(list_lag_s=3600)
    (old,), (new,) = place(control), place(control, age=timedelta(0))

    assert ids(graph, attachments) == [old.id]
    assert graph.get(path_of(attachments, new.id)).status_code == 200


def test_the_order_varies_per_read(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """With `page_shuffle` reads have several orders of the same attachments, else one."""
    placed: list[str | None] = [one.id for one in place(control, 5)]
    assert [ids(graph, attachments) for _ in range(5)] == [placed] * 5

    control.configure(page_shuffle=True)
    reads = [ids(graph, attachments) for _ in range(20)]

    assert len({tuple(read) for read in reads}) > 2
    assert [set(read) for read in reads] == [set(placed)] * 20


def test_lists_have_an_age(graph: httpx.Client, control: EmulatorClient, attachments: str) -> None:
    """With `list_age_s` lists have an Age, and other reads have none."""
    (placed,) = place(control)
    assert "age" not in graph.get(attachments).headers

    control.configure(list_age_s=30)

    assert graph.get(attachments).headers["age"] == "30"
    assert "age" not in graph.get(path_of(attachments, placed.id)).headers


def test_lists_without_ids(graph: httpx.Client, control: EmulatorClient, attachments: str) -> None:
    """With `odd_ids` lists have null for some ids, the same at each read; single reads have all."""
    control.configure(odd_ids=True)
    placed = [one.id for one in place(control, 30)]

    listed = ids(graph, attachments)

    assert 0 < listed.count(None) < 30
    assert listed == ids(graph, attachments)
    assert all(graph.get(path_of(attachments, one)).json()["id"] == one for one in placed)


def test_content_that_is_missing(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """With `value_missing` the bytes and the item of a listed attachment are not found."""
    control.configure(value_missing=True)
    (placed,) = place(control)
    path = path_of(attachments, placed.id)

    assert ids(graph, attachments) == [placed.id]
    assert graph.get(path).status_code == 200
    for missing in (graph.get(f"{path}/$value"), graph.get(path, params=EXPAND)):
        assert missing.status_code == 404
        assert missing.json()["error"]["code"] == "ErrorItemNotFound"
        assert missing.headers["request-id"]


@pytest.mark.parametrize("stamps", ["never", "", None])
def test_an_unknown_form_of_stamps_is_refused(emulator: RunningEmulator, stamps: object) -> None:
    """The control route refuses a form of stamps that it doesn't know."""
    answer = httpx.put(f"{emulator.control_url}/config", json={"stamps": stamps}, trust_env=False)

    assert answer.status_code == 400
    assert "stamps is one of" in answer.text
