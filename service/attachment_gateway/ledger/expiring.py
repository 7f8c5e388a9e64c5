"""A dictionary whose values expire."""

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Expiring(Generic[_K, _V]):
    """A dictionary of values, each with the time at which it expires.

    Values are in the order of writing, which is roughly the order in which they expire. So expired
    values are found at the front, and the others are never scanned.
    """

    def __init__(self) -> None:
        self._values: OrderedDict[_K, tuple[_V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: _K, now: float = -math.inf) -> _V | None:
        """Return a key's value, None if there is none or it has expired by `now`."""
        value, expires_at = self._values.get(key, (None, math.inf))
        return value if now < expires_at else None

    def put(self, key: _K, value: _V, expires_at: float) -> None:
        """Write a key's value, and move it to the end."""
        self._values[key] = (value, expires_at)
        self._values.move_to_end(key)

    def pop(self, key: _K) -> None:
        """Remove a key's value, if there is one."""
        self._values.pop(key, None)

    def expired(self, now: float) -> Iterator[_V]:
        """Remove the expired values at the front, and yield each of them."""
        while self._values:
            key = next(iter(self._values))
            value, expires_at = self._values[key]
            if now < expires_at:
                return
            del self._values[key]
            yield value
