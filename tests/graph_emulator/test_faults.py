"""faults: which are valid, which request takes one, and what they change in a response."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from graph_emulator.answers import Answer, Ids
from graph_emulator.fault_answers import answer_of
from graph_emulator.faults import Broken, Fault, FaultAnswer, FaultQueue

NOW = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
IDS = Ids(request_id="theirs", client_request_id="ours")
NORMAL = Answer(status=201, headers={"Content-Type": "a/b"}, body=b'{"id":"1"}')
GONE = FaultAnswer(status=504)


@pytest.mark.parametrize(
    "senseless",
    [
        {"store": "sometimes"},
        {"cut": "hair"},
        {"broken": "heart"},
        {"store": "never"},
        {"store": "never", "cut": "mid_answer"},
        {"reset": True, "answer": GONE},
        {"early": True},
        {"early": True, "answer": GONE, "store": "after"},
        {"cut": "unread", "store": "before"},
        {"elements": "odd", "method": "GET"},
        {"next_link": "x", "store": "before"},
        {"partial": True, "store": "before"},
        {"age_s": 3, "store": "before"},
        {"next_link": "x", "method": "GET", "answer": GONE},
        {"elements": "null", "method": "GET", "cut": "before_answer"},
        {"partial": True, "method": "GET", "cut": "unread"},
    ],
)
def test_contradictory_faults_are_invalid(senseless: dict[str, Any]) -> None:
    """A fault that contradicts itself, or has no effect, raises ValueError."""
    with pytest.raises(ValueError, match=r".+"):
        Fault(**senseless)


@pytest.mark.parametrize(
    "sensible",
    [
        {"answer": GONE},
        {"store": "before"},
        {"method": "GET"},
        {"cut": "before_answer"},
        {"cut": "unread", "reset": True},
        {"early": True, "answer": GONE},
        {"cut": "mid_answer", "store": "after"},
        {"method": "GET", "next_link": "x", "elements": "null", "partial": True},
        {"method": "GET", "partial": True, "cut": "mid_answer"},
        {"method": "GET", "age_s": 3, "answer": GONE},
    ],
)
def test_consistent_faults_are_valid(sensible: dict[str, Any]) -> None:
    """A fault without contradictions can be made."""
    assert Fault(**sensible)


def test_a_request_takes_the_first_fault_that_matches() -> None:
    """A request takes the first fault that matches it and leaves the others."""
    queue = FaultQueue()
    read = Fault(method="GET")
    there = Fault(post_id="there", answer=GONE)
    anywhere = Fault(store="before")
    for fault in (read, there, anywhere):
        queue.add(fault)

    assert queue.take("POST", "here") == anywhere
    assert queue.take("POST", "here") is None
    assert queue.take("POST", "there") == there
    assert queue.pending() == [read]


def test_a_fault_is_taken_as_often_as_it_says() -> None:
    """A fault is taken `times` times, and `pending` shows how often it is left."""
    queue = FaultQueue()
    queue.add(Fault(answer=GONE, times=2))

    assert queue.take("POST", "p") == Fault(answer=GONE, times=2)
    assert queue.pending() == [Fault(answer=GONE, times=1)]
    assert queue.take("POST", "p") is not None
    assert queue.take("POST", "p") is None


@pytest.mark.parametrize("changes", [{"next_link": "x"}, {"elements": "null"}, {"partial": True}])
def test_only_a_list_takes_a_fault_of_lists(changes: dict[str, Any]) -> None:
    """A fault in a list's document is left by a single read and taken by a list."""
    queue = FaultQueue()
    queue.add(fault := Fault(method="GET", **changes))

    assert queue.take("GET", "p") is None
    assert queue.take("GET", "p", of_list=True) == fault


def test_zero_times_lasts_until_cleared() -> None:
    """A fault with `times=0` is taken by every request until it is cleared."""
    queue = FaultQueue()
    queue.add(Fault(answer=GONE, times=0))

    assert [queue.take("POST", "p") is None for _ in range(5)] == [False] * 5
    queue.clear()
    assert queue.take("POST", "p") is None


def test_headers_are_added_to_the_normal_response() -> None:
    """A fault's headers are added to the normal response."""
    fault = Fault(store="before", headers={"Retry-After": "3"})

    assert answer_of(fault, NORMAL, IDS, NOW) == Answer(
        status=201, headers={"Content-Type": "a/b", "Retry-After": "3"}, body=b'{"id":"1"}'
    )


def test_a_response_can_be_any_bytes() -> None:
    """A fault's response can be any bytes with any content type, or without one."""
    html = FaultAnswer(status=502, body=b"<html>", content_type="text/html")
    bare = FaultAnswer(status=500, content_type=None)

    assert answer_of(Fault(answer=html), NORMAL, IDS, NOW) == Answer(
        status=502, headers={"Content-Type": "text/html"}, body=b"<html>"
    )
    assert answer_of(Fault(answer=bare), NORMAL, IDS, NOW) == Answer(status=500)


def test_a_code_makes_an_error_in_graphs_shape() -> None:
    """A fault's code makes an error in Graph's shape with the request's ids."""
    busy = FaultAnswer(status=503, code="serviceNotAvailable", message="Try later.")

    answer = answer_of(Fault(answer=busy), NORMAL, IDS, NOW)

    assert answer.headers == {"Content-Type": "application/json"}
    assert orjson.loads(answer.body) == {
        "error": {
            "code": "serviceNotAvailable",
            "message": "Try later.",
            "innerError": {
                "date": "2026-03-04T05:06:07",
                "request-id": "theirs",
                "client-request-id": "ours",
            },
        }
    }


@pytest.mark.parametrize(("broken", "length"), [("truncated", 5), ("garbage", 10)])
def test_a_broken_body_is_no_json(broken: Broken, length: int) -> None:
    """A broken body isn't JSON."""
    body = answer_of(Fault(store="before", broken=broken), NORMAL, IDS, NOW).body

    assert len(body) == length
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)


@pytest.mark.parametrize(
    ("broken", "more"),
    [
        ("tiny elements", [{}] * 60_001),
        ("deep", None),
        ("oversized", "x" * 5_000_000),
    ],
)
@pytest.mark.parametrize(("normal", "kept"), [(b'{"id":"1"}', {"id": "1"}), (b"", {}), (b"[]", {})])
def test_a_body_can_have_more_than_is_taken(
    broken: Broken, more: object, normal: bytes, kept: dict[str, object]
) -> None:
    """A body with one more property is JSON, with what it had before if it was an object."""
    answer = Answer(status=201, body=normal)
    document = orjson.loads(answer_of(Fault(store="before", broken=broken), answer, IDS, NOW).body)

    found = document.pop("more")
    assert document == kept
    if broken == "deep":
        levels = 0
        while found:
            [found], levels = found, levels + 1
        assert levels == 199
    else:
        assert found == more
