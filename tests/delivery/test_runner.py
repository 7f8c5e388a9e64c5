"""delivery: each call's delivery, where the call's end comes first."""

import asyncio

from structlog.testing import capture_logs

from attachment_gateway.delivery.runner import WRITTEN_WITHIN_S, _end
from graphattachments.v1.attachment_pb2 import Attachment


class Made:
    """a delivery that has made its attachment, and writes that down."""

    made = Attachment(id="a")
    may_have_effect = True


class Call:
    """One whose time has ended."""

    ids = {"client_request_id": "c"}  # noqa: RUF012 nobody changes it


async def test_what_is_made_at_the_last_moment_is_written_first() -> None:
    """The answer waits for it a moment."""
    running = asyncio.create_task(asyncio.sleep(0.01))
    with capture_logs() as events:
        await _end(Made(), running, Call())
    assert (running.done(), events) == (True, [])


async def test_what_cant_be_written_in_time_is_written_later() -> None:
    """The answer doesn't wait for that."""
    running = asyncio.create_task(asyncio.sleep(2 * WRITTEN_WITHIN_S))
    with capture_logs() as events:
        await _end(Made(), running, Call())
        assert not running.done()
        await running
        await asyncio.sleep(0)
    assert [event["event"] for event in events] == ["detached"]
