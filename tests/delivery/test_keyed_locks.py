"""turns: one at a time for each key, in order of arrival."""

import asyncio

import pytest

from attachment_gateway.delivery.keyed_locks import KeyedLocks


async def test_order_of_arrival() -> None:
    """Who came first goes first, one at a time."""
    turns, seen = KeyedLocks(), []

    async def go(number: int) -> None:
        async with turns.lock("k"):
            seen.append(number)
            await asyncio.sleep(0)
            seen.append(number)

    await asyncio.gather(*(go(number) for number in range(5)))
    assert seen == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


async def test_keys_do_not_wait_for_each_other() -> None:
    """Another key's turn is free."""
    turns = KeyedLocks()
    async with turns.lock("a"), turns.lock("b"):
        assert (turns.is_wanted("a"), turns.is_wanted("b"), turns.is_wanted("c")) == (
            True,
            True,
            False,
        )


async def test_nothing_is_kept() -> None:
    """Not of those who had a turn, failed in it, or gave up waiting."""
    turns = KeyedLocks()
    async with turns.lock("k"):
        waiting = asyncio.create_task(turns.lock("k").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert turns.is_wanted("k")
    assert not turns.is_wanted("k")


async def test_nothing_is_kept_of_one_that_fails() -> None:
    """The next has its turn."""
    turns = KeyedLocks()

    async def fail() -> None:
        async with turns.lock("k"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not turns.is_wanted("k")
