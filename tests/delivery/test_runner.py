"""Tests of delivery/runner.py: a call that ends before its delivery."""

import asyncio
from typing import Any

from structlog.testing import capture_logs

from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery.runner import WRITTEN_WITHIN_S, _end
from attachment_gateway.delivery.state import Event, Progress
from attachment_gateway.errors import NotSent
from attachment_gateway.graph.request import SupportIds
from graphattachments.v1.attachment_pb2 import Attachment


class Made:
    """A delivery that has created its attachment and is writing it to the ledger."""

    made = Attachment(id="a")
    progress = Progress(joins=False)
    for event in (Event.SEND, Event.OFFER):
        progress.advance(event)
    progress.create(made)


async def written_in(delay_s: float) -> Attachment:
    await asyncio.sleep(delay_s)
    return Made.made


async def end(running: asyncio.Task[Attachment]) -> None:
    """End the delivery as at its call's deadline."""
    delivery: Any = Made()
    deadline = Deadline(10)
    deadline.expire(NotSent())
    deadline.close()
    await _end(delivery, running, deadline, SupportIds("c"))


async def test_the_end_of_a_call_waits_for_a_short_write() -> None:
    """A call's end waits for a write to the ledger that takes at most WRITTEN_WITHIN_S."""
    running = asyncio.create_task(written_in(0.01))
    with capture_logs() as events:
        await end(running)
    assert (running.done(), events) == (True, [])


async def test_a_slow_write_continues_after_the_call() -> None:
    """A write that takes longer than WRITTEN_WITHIN_S continues after the call, and is logged."""
    running = asyncio.create_task(written_in(2 * WRITTEN_WITHIN_S))
    with capture_logs() as events:
        await end(running)
        assert not running.done()
        await running
        await asyncio.sleep(0)
    assert [event["event"] for event in events] == ["detached"]


async def test_an_unforeseen_error_after_the_call_is_logged_with_its_cause() -> None:
    """A delivery that fails after its call is logged as unknown and with its cause."""

    async def failing() -> Attachment:
        await asyncio.sleep(2 * WRITTEN_WITHIN_S)
        raise ZeroDivisionError

    running = asyncio.create_task(failing())
    with capture_logs() as events:
        await end(running)
        await asyncio.wait({running})
        await asyncio.sleep(0)
    assert [event["event"] for event in events] == ["unforeseen", "detached"]
    assert events[0]["exc_info"]
    assert events[1]["reason"] == "OUTCOME_UNKNOWN"
