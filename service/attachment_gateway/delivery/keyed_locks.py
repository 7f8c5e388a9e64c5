"""Locks by key, in order of arrival; a key without a holder and waiters uses no memory."""

import asyncio


class KeyedLocks:
    """One holder at a time for each key."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def is_wanted(self, key: str) -> bool:
        """Return whether the key's lock is held or waited for."""
        return key in self._locks

    def lock(self, key: str) -> "KeyedLock":
        """Return an async context that acquires the key's lock and holds it."""
        return KeyedLock(self._locks, key)


class KeyedLock:
    """An async context that acquires the lock of one key and holds it."""

    __slots__ = ("_key", "_locks")

    def __init__(self, locks: dict[str, tuple[asyncio.Lock, int]], key: str) -> None:
        self._locks = locks
        self._key = key

    async def __aenter__(self) -> None:
        lock, users = self._locks.get(self._key) or (asyncio.Lock(), 0)
        self._locks[self._key] = lock, users + 1
        try:
            await lock.acquire()
        except BaseException:
            self._forget()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._locks[self._key][0].release()
        self._forget()

    def _forget(self) -> None:
        lock, users = self._locks.pop(self._key)
        if users > 1:
            self._locks[self._key] = lock, users - 1
