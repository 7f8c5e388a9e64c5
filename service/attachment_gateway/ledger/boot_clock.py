"""The clock of the machine's present boot, which all its processes share.

It never steps, and it goes on while the machine is suspended.

Linux: CLOCK_BOOTTIME. CLOCK_MONOTONIC, which `time.monotonic` reads, stops in a suspend. A time
namespace shifts CLOCK_BOOTTIME by a fixed offset, so that containers with different ones disagree;
the offset is subtracted, which gives the kernel's own clock. The boot's id is the kernel's, too.

macOS: CLOCK_MONOTONIC_RAW, which is `mach_continuous_time` and counts sleep. `time.monotonic` and
CLOCK_UPTIME_RAW are `mach_absolute_time`, and stop in sleep; CLOCK_MONOTONIC counts sleep, but
follows adjustments of the wall clock.

Virtual machines and hosts have clocks and boot ids of their own, and so have sandboxes with a
kernel of their own (Kata Containers, gVisor).
"""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType

LINUX_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
LINUX_OFFSETS = Path("/proc/self/timens_offsets")
MACOS_BOOT_ID = ("/usr/sbin/sysctl", "-n", "kern.bootsessionuuid")
SYSCTL_TIMEOUT_S = 5.0

NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BootClock:
    """The clocks of a process.

    `now_s` reads the clock of the boot that `boot_id` names. `wall_s` reads the wall clock.
    """

    boot_id: str
    now_s: Callable[[], float]
    wall_s: Callable[[], float] = time.time


@cache
def boot_clock() -> BootClock:
    """Return the machine's clocks.

    `boot_id` is "" where the system has none; a boot is then told from an earlier one only by its
    clock, if that is behind.
    """
    return _CLOCKS.get(sys.platform, _unknown)()


def _linux() -> BootClock:
    offset_s = boottime_offset_s(_text(LINUX_OFFSETS))
    read = partial(time.clock_gettime, time.CLOCK_BOOTTIME)
    now_s = (lambda: read() - offset_s) if offset_s else read
    return BootClock(boot_id=_text(LINUX_BOOT_ID).strip(), now_s=now_s)


def _macos() -> BootClock:
    now_s = partial(time.clock_gettime, time.CLOCK_MONOTONIC_RAW)
    return BootClock(boot_id=_said(*MACOS_BOOT_ID), now_s=now_s)


def _unknown() -> BootClock:
    return BootClock(boot_id="", now_s=time.monotonic)


def boottime_offset_s(offsets: str) -> float:
    """Return by how much a time namespace shifts CLOCK_BOOTTIME.

    `offsets` is the text of /proc/self/timens_offsets, a clock's name, seconds and nanoseconds in
    each line: see time_namespaces(7). Kernels before 5.6 have neither the file nor namespaces.
    """
    for line in offsets.splitlines():
        match line.split():
            case ["boottime", seconds, nanoseconds]:
                return int(seconds) + int(nanoseconds) / NS_PER_S
    return 0.0


_CLOCKS: Mapping[str, Callable[[], BootClock]] = MappingProxyType(
    {"linux": _linux, "darwin": _macos}
)


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="ascii")
    return ""


def _said(*command: str) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(command, capture_output=True, timeout=SYSCTL_TIMEOUT_S, check=True)  # noqa: S603 - a constant command
        return done.stdout.decode("ascii", "replace").strip()
    return ""


def boot_time() -> float:
    """Return the seconds since this machine's start."""
    return boot_clock().now_s()
