"""Tests of graph/off_loop.py: where a function is called."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from attachment_gateway.graph.off_loop import ON_LOOP_BYTES, OffLoop


@pytest.fixture
async def off_loop() -> AsyncIterator[OffLoop]:
    """A thread, closed after the test."""
    running = OffLoop()
    yield running
    running.close()


@pytest.mark.parametrize(("size_bytes", "on_loop"), [(ON_LOOP_BYTES, True), (16_385, False)])
async def test_a_large_input_is_read_on_a_thread(
    off_loop: OffLoop,
    size_bytes: int,
    on_loop: bool,
) -> None:
    """A function of up to ON_LOOP_BYTES is called on the event loop, of more on a thread."""
    thread = await off_loop.run(size_bytes, threading.current_thread)
    assert (thread is threading.current_thread()) is on_loop


@pytest.mark.parametrize("size_bytes", [0, 1_000_000])
async def test_a_function_gets_its_arguments_and_raises(off_loop: OffLoop, size_bytes: int) -> None:
    """Arguments are passed, and an error is raised, in both places."""
    assert await off_loop.run(size_bytes, int, "7f", base=16) == 127
    with pytest.raises(ValueError, match="invalid literal"):
        await off_loop.run(size_bytes, int, "x")


async def test_one_large_input_is_read_at_a_time(off_loop: OffLoop) -> None:
    """A second large input waits until the first is read, and the event loop goes on."""
    may_end, order = threading.Event(), list[str]()

    def first() -> None:
        may_end.wait(10)
        order.append("first")

    running = [
        asyncio.ensure_future(off_loop.run(1_000_000, call))
        for call in (first, lambda: order.append("second"))
    ]
    await asyncio.sleep(0.05)
    assert order == []
    may_end.set()
    await asyncio.gather(*running)
    assert order == ["first", "second"]
