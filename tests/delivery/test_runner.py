"""delivery: each call's delivery, where the call's end comes first."""

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
    """A delivery that has made its attachment, and writes that down."""

    made = Attachment(id="a")
    progress = Progress(joins=False)
    for event in (Event.SEND, Event.OFFER):
        progress.advance(event)
    progress.create(made)


async def written_in(delay_s: float) -> Attachment:
    await asyncio.sleep(delay_s)
    return Made.made


async def end(running: asyncio.Task[Attachment]) -> None:
    """End it, as when the time of its call has ended."""
    delivery: Any = Made()
    deadline = Deadline(10)
    deadline.expire(NotSent())
    deadline.close()
    await _end(delivery, running, deadline, SupportIds("c"))


async def test_what_is_made_at_the_last_moment_is_written_first() -> None:
    """The answer waits for it a moment."""
    running = asyncio.create_task(written_in(0.01))
    with capture_logs() as events:
        await end(running)
    assert (running.done(), events) == (True, [])


async def test_what_cant_be_written_in_time_is_written_later() -> None:
    """The answer doesn't wait for that."""
    running = asyncio.create_task(written_in(2 * WRITTEN_WITHIN_S))
    with capture_logs() as events:
        await end(running)
        assert not running.done()
        await running
        await asyncio.sleep(0)
    assert [event["event"] for event in events] == ["detached"]
