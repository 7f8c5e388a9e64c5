"""turns: one at a time for each key, in order of arrival."""

import asyncio

import pytest

from attachment_gateway.delivery.keyed_locks import Turns


async def test_order_of_arrival() -> None:
    """Who came first goes first, one at a time."""
    turns, seen = Turns(), []

    async def go(number: int) -> None:
        async with turns.of("k"):
            seen.append(number)
            await asyncio.sleep(0)
            seen.append(number)

    await asyncio.gather(*(go(number) for number in range(5)))
    assert seen == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


async def test_keys_do_not_wait_for_each_other() -> None:
    """Another key's turn is free."""
    turns = Turns()
    async with turns.of("a"), turns.of("b"):
        assert (turns.taken("a"), turns.taken("b"), turns.taken("c")) == (True, True, False)


async def test_nothing_is_kept() -> None:
    """Not of those who had a turn, failed in it, or gave up waiting."""
    turns = Turns()
    async with turns.of("k"):
        waiting = asyncio.create_task(turns.of("k").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert turns.taken("k")
    assert not turns.taken("k")


async def test_nothing_is_kept_of_one_that_fails() -> None:
    """The next has its turn."""
    turns = Turns()

    async def fail() -> None:
        async with turns.of("k"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not turns.taken("k")
