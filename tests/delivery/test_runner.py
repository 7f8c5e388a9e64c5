"""Tests of delivery/runner.py: a call that ends before its delivery."""

import asyncio
from typing import Any

from structlog.testing import capture_logs

from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.delivery.runner import WRITTEN_WITHIN_S, Runner, _end
from attachment_gateway.delivery.state import Event, Progress
from attachment_gateway.errors import NotSent, Violations
from attachment_gateway.graph.request import FileRequest, SupportIds
from attachment_gateway.ledger import End, Lease
from attachment_gateway.ledger.memory import MemoryLedger
from attachment_gateway.mailbox import MailboxLimits, mailbox_of
from attachment_gateway.mailbox.local import LocalMailboxes
from graphattachments.v1.attachment_pb2 import Attachment
from tests.support.graph_requests import HEAD


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


class SlowLedger(MemoryLedger):
    """A ledger that takes half of WRITTEN_WITHIN_S to record how a lease ended."""

    async def release(self, lease: Lease, end: End) -> None:
        await asyncio.sleep(WRITTEN_WITHIN_S / 2)
        await super().release(lease, end)


async def test_a_cancellation_while_the_end_is_written_is_logged() -> None:
    """A call that is cancelled after its deadline, while its end is written, is still logged."""
    mailboxes = LocalMailboxes(MailboxLimits(concurrent=1))
    graph: Any = None  # nothing is sent
    ledger = SlowLedger(settle_s=1, retention_s=1)
    runner = Runner(
        Resources(graph=graph, ledger=ledger, mailboxes=mailboxes, settle_s=1, timeout_s=1)
    )
    request = FileRequest(HEAD, Attachment(name="n"), Violations()).seal((), file_bytes=0)
    deadline = Deadline(10)
    mailbox = mailbox_of(HEAD.sender.token, HEAD.post.group_id)
    with capture_logs() as events:
        async with mailboxes.slot(mailbox, within_s=0):  # so the delivery waits for its slot
            call = asyncio.create_task(runner.deliver(request, deadline))
            await asyncio.sleep(WRITTEN_WITHIN_S / 10)
            deadline.expire(NotSent())
            await asyncio.sleep(WRITTEN_WITHIN_S / 10)
            call.cancel()
            await asyncio.wait({call})
        await runner.finish(within_s=WRITTEN_WITHIN_S)
        await asyncio.sleep(0)
    deadline.close()
    assert call.cancelled()
    assert [(event["event"], event["reason"]) for event in events] == [("detached", "NOT_SENT")]
