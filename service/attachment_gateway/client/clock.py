"""The client's source of time."""

import time
from typing import Protocol


class Clock(Protocol):
    """A source of time, in seconds; grpc_testing's clocks have this interface."""

    def time(self) -> float:
        """Return the time in seconds."""

    def sleep_for(self, duration: float) -> None:
        """Wait for `duration` seconds."""


class SystemClock:
    """The machine's monotonic clock."""

    def time(self) -> float:
        """Return the monotonic time in seconds."""
        return time.monotonic()

    def sleep_for(self, duration: float) -> None:
        """Sleep for `duration` seconds."""
        time.sleep(duration)
