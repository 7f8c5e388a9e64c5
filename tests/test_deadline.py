"""Tests of deadline.py: a call's deadline, which limits every wait."""

import asyncio

import pytest

from attachment_gateway.deadline import Deadline
from attachment_gateway.errors import GatewayDraining, GatewayOverloaded, NotSent
from tests.support.virtual_time import in_virtual_time


def overloaded() -> GatewayOverloaded:
    return GatewayOverloaded(memory_bytes=1, waiting=1, retry_delay_s=1)


@pytest.mark.parametrize(
    ("left_s", "ends_in_s"), [(100, 99.5), (2, 1.9), (0.1, 0.095), (0, 0), (300, 299.5)]
)
def test_a_deadline_ends_before_the_callers(left_s: float, ends_in_s: float) -> None:
    """A twentieth of the time left, at most half a second, is kept for the response."""

    @in_virtual_time
    async def run() -> None:
        deadline = Deadline(left_s)
        assert deadline.left_s() == pytest.approx(ends_in_s)
        began_at = asyncio.get_running_loop().time()
        assert isinstance(await deadline.expired, NotSent)
        assert asyncio.get_running_loop().time() - began_at == pytest.approx(ends_in_s)
        assert deadline.left_s() == 0

    run()


@in_virtual_time
async def test_only_the_first_end_counts() -> None:
    """A deadline ends once, with the first error."""
    deadline = Deadline(10)
    deadline.check()
    deadline.expire(GatewayDraining(retry_delay_s=1))
    deadline.expire(NotSent())
    with pytest.raises(GatewayDraining):
        deadline.check()
    deadline.close()


@in_virtual_time
async def test_a_wait_in_time_returns_its_result() -> None:
    """A wait that ends in time returns its result, and the deadline continues."""
    deadline = Deadline(10)
    assert await deadline.in_time(asyncio.sleep(5, "done"), late=overloaded) == "done"
    assert deadline.left_s() == pytest.approx(4.5)
    deadline.close()


@in_virtual_time
async def test_a_late_wait_is_cancelled() -> None:
    """A wait that isn't done at the deadline is cancelled, and the error of `late` is raised."""
    ended: list[str] = []

    async def wait() -> None:
        try:
            await asyncio.sleep(100)
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    with pytest.raises(GatewayOverloaded):
        await Deadline(10).in_time(wait(), late=overloaded)
    await asyncio.sleep(0)
    assert ended == ["cancelled"]


@in_virtual_time
async def test_an_error_from_outside_ends_the_wait() -> None:
    """An error that ends the deadline from outside is raised, and not the error of `late`."""
    deadline = Deadline(10)
    asyncio.get_running_loop().call_later(1, deadline.expire, GatewayDraining(retry_delay_s=1))
    with pytest.raises(GatewayDraining):
        await deadline.in_time(asyncio.sleep(100), late=overloaded)
    deadline.close()


@in_virtual_time
async def test_a_task_that_the_deadline_does_not_outlast_goes_on() -> None:
    """`outlasts` returns false if the task isn't done at the deadline, and doesn't cancel it."""
    deadline = Deadline(10)
    work = asyncio.create_task(asyncio.sleep(20, "done"))
    assert not await deadline.outlasts(work)
    assert await work == "done"
    assert await Deadline(10).outlasts(work)
