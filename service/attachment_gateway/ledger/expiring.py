"""A dictionary that forgets."""

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

_K = TypeVar("_K")
_V = TypeVar("_V")


class Expiring(Generic[_K, _V]):
    """Values with the time at which each may go.

    What was written last is last, and that is about the order in which they expire: those that
    have are found at the front, and the rest is never looked through.
    """

    def __init__(self) -> None:
        self._values: OrderedDict[_K, tuple[_V, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: _K, now: float = -math.inf) -> _V | None:
        """Return a value that hasn't expired by then."""
        value, expires_at = self._values.get(key, (None, math.inf))
        return value if now < expires_at else None

    def put(self, key: _K, value: _V, expires_at: float) -> None:
        """Write a value instead of the key's."""
        self._values[key] = (value, expires_at)
        self._values.move_to_end(key)

    def pop(self, key: _K) -> None:
        """Remove a value, if it is there."""
        self._values.pop(key, None)

    def expired(self, now: float) -> Iterator[_V]:
        """Remove those at the front that have expired, and give them."""
        while self._values:
            key = next(iter(self._values))
            value, expires_at = self._values[key]
            if now < expires_at:
                return
            del self._values[key]
            yield value
