"""list_faults: faults in a list's document, over a socket, and by themselves."""

import httpx
import orjson
import pytest

from graph_emulator.answers import Answer
from graph_emulator.control import EmulatorClient
from graph_emulator.faults import Fault
from graph_emulator.list_faults import Elements, halved, with_next_link, with_odd_element
from graph_emulator.posts import AttachmentDraft

DRAFT = AttachmentDraft(kind="file", name="n", content=b"hello")


def listing(*ids: str, **others: str) -> Answer:
    """Return the response of a list."""
    document = {"value": [{"id": id_, "name": "n"} for id_ in ids], **others}
    return Answer(status=200, headers={"A": "b"}, body=orjson.dumps(document))


def placed(control: EmulatorClient, count: int) -> list[str]:
    """Store files, and return their ids."""
    return [control.place(DRAFT).id for _ in range(count)]


@pytest.mark.parametrize(
    ("odd", "ids", "value"),
    [
        ("null", ("1", "2"), [{"id": "1", "name": "n"}, None]),
        ("number", ("1",), [7]),
        ("string", ("1",), ["attachment"]),
        ("id null", ("1", "2"), [{"id": "1", "name": "n"}, {"id": None, "name": "n"}]),
        ("flood", ("1", "2"), [{"id": "1", "name": "n"}, {"id": "2", "name": "n"}, *[{}] * 20_000]),
        ("flood", (), [{}] * 20_001),
        ("null", (), [None]),
        ("id null", (), [{"id": None}]),
    ],
)
def test_an_odd_element(odd: Elements, ids: tuple[str, ...], value: list[object]) -> None:
    """The last element of a list is replaced or followed, and an empty list gets one."""
    answer = with_odd_element(listing(*ids), odd)

    assert orjson.loads(answer.body) == {"value": value}
    assert (answer.status, answer.headers) == (200, {"A": "b"})


@pytest.mark.parametrize(
    ("ids", "left"), [((), []), (("1",), []), (("1", "2"), ["1"]), (("1", "2", "3"), ["1"])]
)
def test_half_a_list_has_no_link(ids: tuple[str, ...], left: list[str]) -> None:
    """A halved list has the first half of its elements and no link."""
    document = orjson.loads(halved(listing(*ids, **{"@odata.nextLink": "x"})).body)

    assert [one["id"] for one in document["value"]] == left
    assert set(document) == {"value"}


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("http://[::1", "http://[::1"),
        ("not a url", "not a url"),
        ("https://evil.example/x?a=b", "https://evil.example/x?a=b"),
        ("{url}", "http://h/a?b=c"),
        ("{url}&$skip=0", "http://h/a?b=c&$skip=0"),
    ],
)
def test_a_next_link_can_be_any_text(link: str, shown: str) -> None:
    """The link is the given text, with the requested URL where it asks for it."""
    answer = with_next_link(listing(**{"@odata.nextLink": "x"}), link, "http://h/a?b=c")

    assert orjson.loads(answer.body) == {"value": [], "@odata.nextLink": shown}


def test_a_link_to_the_same_page(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A link to the same page can be followed, and then gives what the fault left."""
    ids = placed(control, 2)
    control.inject(Fault(method="GET", next_link="{url}"))

    answer = graph.get(attachments, params={"$select": "name"})
    link = answer.json()["@odata.nextLink"]

    assert link == str(answer.request.url)
    again = graph.get(link).json()
    assert [one["id"] for one in again["value"]] == ids
    assert "@odata.nextLink" not in again


def test_each_fault_of_a_list_strikes_as_often_as_it_says(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """Faults in a list strike in their order, as often as they say, with Graph's headers."""
    first, _ = placed(control, 2)
    control.inject(
        Fault(method="GET", elements="null", times=2),
        Fault(method="GET", partial=True, age_s=60),
    )

    answers = [graph.get(attachments) for _ in range(4)]

    values = [[one and one["id"] for one in answer.json()["value"]] for answer in answers]
    assert values[:3] == [[first, None], [first, None], [first]]
    assert len(values[3]) == 2
    assert [answer.headers.get("age") for answer in answers] == [None, None, "60", None]
    assert all(answer.headers["request-id"] for answer in answers)


def test_a_single_read_leaves_a_fault_of_lists(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A single read is as usual while a fault waits for a list."""
    (id_,) = placed(control, 1)
    control.inject(Fault(method="GET", partial=True))

    assert graph.get(f"{attachments}/{id_}").json()["id"] == id_
    assert graph.get(attachments).json()["value"] == []
    assert control.faults() == []


def test_an_age_on_any_read(graph: httpx.Client, control: EmulatorClient, attachments: str) -> None:
    """A fault's Age is on a single read as well."""
    (id_,) = placed(control, 1)
    control.inject(Fault(method="GET", age_s=3600))

    answer = graph.get(f"{attachments}/{id_}")

    assert (answer.status_code, answer.headers["age"]) == (200, "3600")


def test_half_a_page_of_several(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A halved page leads to no further page."""
    first, *_ = placed(control, 4)
    control.configure(page_size=2)
    control.inject(Fault(method="GET", partial=True))

    page = graph.get(attachments).json()

    assert [one["id"] for one in page["value"]] == [first]
    assert "@odata.nextLink" not in page
    assert "@odata.nextLink" in graph.get(attachments).json()
