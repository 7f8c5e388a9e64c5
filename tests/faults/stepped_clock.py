"""Runs the gateway with a wall clock that another process can step.

`python -m tests.faults.stepped_clock FILE ARGUMENT…`: FILE has the seconds to add to the clock, as
text; it is read each time.
"""

import sys
import time
from pathlib import Path

from attachment_gateway.cli import main

_real = time.time


def step_clock(file: Path) -> None:
    """Let `time.time` add the seconds in a file."""

    def stepped() -> float:
        return _real() + float(file.read_text() or 0)

    time.time = stepped


if __name__ == "__main__":
    file, *arguments = sys.argv[1:]
    step_clock(Path(file))
    sys.argv[1:] = arguments
    sys.exit(main())
