"""Turns by key, in order of arrival; nothing is kept of a key that nobody wants."""

import asyncio


class Turns:
    """One turn at a time for each key."""

    def __init__(self) -> None:
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    def taken(self, key: str) -> bool:
        """Tell whether someone has the key's turn, or waits for it."""
        return key in self._locks

    def of(self, key: str) -> "Turn":
        """Return the key's turn: a context that waits for it, and has it."""
        return Turn(self._locks, key)


class Turn:
    """An async context."""

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
            self._leave()
            raise

    async def __aexit__(self, *_: object) -> None:
        self._locks[self._key][0].release()
        self._leave()

    def _leave(self) -> None:
        lock, users = self._locks.pop(self._key)
        if users > 1:
            self._locks[self._key] = lock, users - 1
