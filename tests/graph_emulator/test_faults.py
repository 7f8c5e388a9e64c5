"""Faults: which make sense, whom they befall, and what they make of an answer."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from graph_emulator.answers import Answer, Ids
from graph_emulator.faults import Broken, Fault, FaultAnswer, FaultQueue, answer_of

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
    ],
)
def test_senseless(senseless: dict[str, Any]) -> None:
    """A fault that contradicts itself, or tells of an effect that isn't, can't be made."""
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
    ],
)
def test_sensible(sensible: dict[str, Any]) -> None:
    """These can."""
    assert Fault(**sensible)


def test_queue_in_order_and_by_match() -> None:
    """A request takes the first fault that matches it, and leaves the others."""
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


def test_times() -> None:
    """A fault befalls as many requests as it says; none is said to be left over."""
    queue = FaultQueue()
    queue.add(Fault(answer=GONE, times=2))

    assert queue.take("POST", "p") == Fault(answer=GONE, times=2)
    assert queue.pending() == [Fault(answer=GONE, times=1)]
    assert queue.take("POST", "p") is not None
    assert queue.take("POST", "p") is None


def test_until_cleared() -> None:
    """Zero times is always, until cleared."""
    queue = FaultQueue()
    queue.add(Fault(answer=GONE, times=0))

    assert [queue.take("POST", "p") is None for _ in range(5)] == [False] * 5
    queue.clear()
    assert queue.take("POST", "p") is None


def test_normal_answer_with_headers() -> None:
    """Headers are added to the normal answer too."""
    fault = Fault(store="before", headers={"Retry-After": "3"})

    assert answer_of(fault, NORMAL, IDS, NOW) == Answer(
        status=201, headers={"Content-Type": "a/b", "Retry-After": "3"}, body=b'{"id":"1"}'
    )


def test_given_bytes() -> None:
    """An answer may be any bytes, under any type or none."""
    html = FaultAnswer(status=502, body=b"<html>", content_type="text/html")
    bare = FaultAnswer(status=500, content_type=None)

    assert answer_of(Fault(answer=html), NORMAL, IDS, NOW) == Answer(
        status=502, headers={"Content-Type": "text/html"}, body=b"<html>"
    )
    assert answer_of(Fault(answer=bare), NORMAL, IDS, NOW) == Answer(status=500)


def test_given_code() -> None:
    """With a code, the body is an error in Graph's shape, with this request's ids."""
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
def test_broken(broken: Broken, length: int) -> None:
    """A broken body is no JSON any more."""
    body = answer_of(Fault(store="before", broken=broken), NORMAL, IDS, NOW).body

    assert len(body) == length
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body)
