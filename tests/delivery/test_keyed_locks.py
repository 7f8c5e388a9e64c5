"""Tests of delivery/keyed_locks.py: a lock for each key, given in order of arrival."""

import asyncio

import pytest

from attachment_gateway.delivery.keyed_locks import KeyedLocks


async def test_a_lock_is_given_in_order_of_arrival() -> None:
    """Five tasks that want one key get its lock one at a time, in order of arrival."""
    locks, seen = KeyedLocks(), []

    async def go(number: int) -> None:
        async with locks.lock("k"):
            seen.append(number)
            await asyncio.sleep(0)
            seen.append(number)

    await asyncio.gather(*(go(number) for number in range(5)))
    assert seen == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


async def test_keys_do_not_wait_for_each_other() -> None:
    """The lock of one key can be held while that of another is."""
    locks = KeyedLocks()
    async with locks.lock("a"), locks.lock("b"):
        assert (locks.is_wanted("a"), locks.is_wanted("b"), locks.is_wanted("c")) == (
            True,
            True,
            False,
        )


async def test_a_released_lock_and_a_cancelled_wait_leave_nothing() -> None:
    """After a release and a cancelled wait the key is wanted by nobody."""
    locks = KeyedLocks()
    async with locks.lock("k"):
        waiting = asyncio.create_task(locks.lock("k").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert locks.is_wanted("k")
    assert not locks.is_wanted("k")


async def test_an_error_releases_the_lock() -> None:
    """An error in the body of the lock releases it."""
    locks = KeyedLocks()

    async def fail() -> None:
        async with locks.lock("k"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    assert not locks.is_wanted("k")
