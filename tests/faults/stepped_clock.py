"""Runs the gateway with a wall clock that another process can step.

`python -m tests.faults.stepped_clock FILE ARGUMENT…`: FILE has the seconds to add to the clock, as
text; it is read each time. Only the gateway's own modules see the steps: gRPC's core, which hands
out each call's deadline, keeps the machine's clock.
"""

import os

os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # as `__main__` does, before gRPC is imported

import sys
import time
from pathlib import Path
from types import ModuleType

from attachment_gateway.cli import main
from attachment_gateway.server import lifecycle

PACKAGE = "attachment_gateway"


class SteppedTime(ModuleType):
    """The module `time`, with a stepped `time.time`."""

    def __init__(self, file: Path) -> None:
        super().__init__("time")
        self._file = file

    def time(self) -> float:
        """Return the machine's time and the seconds in the file."""
        return time.time() + float(self._file.read_text() or 0)

    def __getattr__(self, name: str) -> object:
        return getattr(time, name)


def step_clock(file: Path) -> None:
    """Let the gateway's modules see the stepped clock."""
    assert lifecycle.__name__ in sys.modules  # whose imports are all that a gateway needs
    stepped = SteppedTime(file)
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == PACKAGE and getattr(module, "time", None) is time:
            setattr(module, "time", stepped)  # noqa: B010 a module has no such attribute for mypy


if __name__ == "__main__":
    file, *arguments = sys.argv[1:]
    step_clock(Path(file))
    sys.argv[1:] = arguments
    sys.exit(main())
