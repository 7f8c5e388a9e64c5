"""The CPU time (in nanoseconds) and memory of a process and its children. Linux only."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CPUCLOCK_SCHED = 2
_RESET_PEAK = "5"
_KIB = 1024


def cpu_s(pid: int) -> float:
    """Return the CPU time of all threads so far, ended ones included."""
    # clock_getcpuclockid(3): the id of a process's CPU clock is computed from its process id.
    return sum(time.clock_gettime((~each << 3) | _CPUCLOCK_SCHED) for each in _family(pid))


def resident_bytes(pid: int) -> int:
    """Return the resident memory."""
    return sum(_status_bytes(each, "VmRSS") for each in _family(pid))


def peak_resident_bytes(pid: int) -> int:
    """Return the peak of the resident memory since `reset_peak`."""
    return sum(_status_bytes(each, "VmHWM") for each in _family(pid))


def reset_peak(pid: int) -> None:
    """Reset the peak to the present resident memory."""
    for each in _family(pid):
        Path(f"/proc/{each}/clear_refs").write_text(_RESET_PEAK)


def _family(pid: int) -> Iterator[int]:
    yield pid
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended meanwhile
            for child in (task / "children").read_text().split():
                yield from _family(int(child))


def _status_bytes(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * _KIB
    raise LookupError(name)
