"""How many retries are allowed: a share of the traffic, so that retries don't overload Graph.

Up to ALWAYS_PER_S retries are allowed in any case, for a gateway with little traffic.
"""

# The retries earned by each first attempt, and the most that can be saved.
SHARE = 0.1
SAVED_MAX = 100.0

# The retries per second that each process may make in any case.
ALWAYS_PER_S = 10.0


class RetryBudget:
    """The retries of one process. `now_s` is the time on any clock that never goes back."""

    def __init__(self) -> None:
        self._saved = 0.0
        self._always = ALWAYS_PER_S
        self._at_s = 0.0

    def earn(self) -> None:
        """Count a first attempt."""
        self._saved = min(self._saved + SHARE, SAVED_MAX)

    def spend(self, now_s: float) -> bool:
        """Take one retry and return whether there was one."""
        self._always = min(self._always + (now_s - self._at_s) * ALWAYS_PER_S, ALWAYS_PER_S)
        self._at_s = now_s
        if self._always >= 1:
            self._always -= 1
            return True
        if self._saved >= 1:
            self._saved -= 1
            return True
        return False
