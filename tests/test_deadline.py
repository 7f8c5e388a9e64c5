"""deadline: a call's time, which pays for every wait."""

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
def test_it_ends_early(left_s: float, ends_in_s: float) -> None:
    """A twentieth of the time left, half a second at most, is kept for the answer."""

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
    """The time ends once, for one reason."""
    deadline = Deadline(10)
    deadline.check()
    deadline.expire(GatewayDraining(retry_delay_s=1))
    deadline.expire(NotSent())
    with pytest.raises(GatewayDraining):
        deadline.check()
    deadline.close()


@in_virtual_time
async def test_a_wait_in_time() -> None:
    """Its result is what the wait returns; the deadline goes on."""
    deadline = Deadline(10)
    assert await deadline.in_time(asyncio.sleep(5, "done"), late=overloaded) == "done"
    assert deadline.left_s() == pytest.approx(4.5)
    deadline.close()


@in_virtual_time
async def test_a_wait_that_is_late() -> None:
    """The deadline cancels it and tells what being late means."""
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
async def test_a_gateway_that_stops_says_so() -> None:
    """What ends the time from outside is told as it is."""
    deadline = Deadline(10)
    asyncio.get_running_loop().call_later(1, deadline.expire, GatewayDraining(retry_delay_s=1))
    with pytest.raises(GatewayDraining):
        await deadline.in_time(asyncio.sleep(100), late=overloaded)
    deadline.close()


@in_virtual_time
async def test_work_that_it_outlasts_is_not_cancelled() -> None:
    """Whoever asks decides what becomes of it."""
    deadline = Deadline(10)
    work = asyncio.create_task(asyncio.sleep(20, "done"))
    assert not await deadline.outlasts(work)
    assert await work == "done"
    assert await Deadline(10).outlasts(work)
