"""What a watched gateway noted of its event loop's stalls."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

# Lateness up to this is not noted: a busy machine's timers are late by some milliseconds.
NOTED_S = 0.02

# The longest stall that a gateway may have, whatever its callers do.
WANTED_BELOW_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Stall:
    """A timer that came `late_s` too late at `at_s` of CLOCK_MONOTONIC, `own_s` by the gateway."""

    at_s: float
    late_s: float
    own_s: float

    def line(self) -> str:
        """Return it as a line of a watched gateway's file."""
        return f"{self.at_s:.6f} {self.late_s:.6f} {self.own_s:.6f}\n"


NONE = Stall(at_s=0.0, late_s=0.0, own_s=0.0)


def stalls(file: Path, *, since_s: float = 0.0) -> Iterator[Stall]:
    """Yield the stalls in a file that ended at `since_s` of CLOCK_MONOTONIC or later.

    All processes of a machine share that clock, so a phase begins by reading it.
    """
    for line in file.read_text().splitlines() if file.exists() else ():
        at_s, late_s, own_s = map(float, line.split())
        if at_s >= since_s:
            yield Stall(at_s=at_s, late_s=late_s, own_s=own_s)


def longest(*files: Path, since_s: float = 0.0) -> Stall:
    """Return the stall with the longest own part in these files; NONE if there is none."""
    noted = (stall for file in files for stall in stalls(file, since_s=since_s))
    return max(noted, key=lambda stall: stall.own_s, default=NONE)
