"""Where the client takes its time from."""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time, in seconds; grpc_testing's clocks are some."""

    def time(self) -> float:
        """Return the time."""

    def sleep_for(self, duration: float) -> None:
        """Let time pass."""


class SystemClock:
    """The machine's own."""

    def time(self) -> float:
        """Return the time, which never goes back."""
        return time.monotonic()

    def sleep_for(self, duration: float) -> None:
        """Sleep."""
        time.sleep(duration)
