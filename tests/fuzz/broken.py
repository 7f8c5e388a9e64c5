"""Targets that break at a number, by which the tests see that the fuzz notices."""

import os
import signal
import time
from random import Random

from tests.fuzz.target import ACCEPTED, Outcome, Target

AT = 9


def draw(random: Random) -> int:
    """Draw a number below 10."""
    return random.randrange(10)


def crash(number: int) -> Outcome:
    """End the process."""
    if number == AT:
        os.kill(os.getpid(), signal.SIGSEGV)
    return Outcome(ACCEPTED)


def hang(number: int) -> Outcome:
    """Take very long."""
    if number == AT:
        time.sleep(1000)
    return Outcome(ACCEPTED)


def raise_error(number: int) -> Outcome:
    """Raise an error that no target expects."""
    if number == AT:
        raise LookupError("nine")
    return Outcome(ACCEPTED)


CRASHES, HANGS, RAISES = (
    Target(name="broken", about="breaks at a 9", share=1, draw=draw, check=check)
    for check in (crash, hang, raise_error)
)
