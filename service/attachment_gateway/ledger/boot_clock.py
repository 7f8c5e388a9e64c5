"""The clock since this machine's start, which counts suspends and never steps."""

import time


def boot_time() -> float:
    """Return the seconds since this machine's start."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
