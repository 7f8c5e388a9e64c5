"""How much may be sent again: a share of the traffic, so that a Graph that is down isn't flooded.

Some retries are always allowed, so that a gateway with little traffic has any. Time is passed in.
"""

# One retry for so many first attempts, and what may be saved up.
SHARE = 0.1
SAVED_MAX = 100.0

# The floor, for each process.
ALWAYS_PER_S = 10.0


class RetryBudget:
    """The retries of one process. `now_s` is of any clock that doesn't go back."""

    def __init__(self) -> None:
        self._saved = 0.0
        self._always = ALWAYS_PER_S
        self._at_s = 0.0

    def earn(self) -> None:
        """Count a first attempt."""
        self._saved = min(self._saved + SHARE, SAVED_MAX)

    def spend(self, now_s: float) -> bool:
        """Take one retry; whether there was one."""
        self._always = min(self._always + (now_s - self._at_s) * ALWAYS_PER_S, ALWAYS_PER_S)
        self._at_s = now_s
        if self._always >= 1:
            self._always -= 1
            return True
        if self._saved >= 1:
            self._saved -= 1
            return True
        return False
