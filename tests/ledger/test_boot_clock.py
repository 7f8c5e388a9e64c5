"""ledger.boot_clock: the machine's clocks."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from attachment_gateway.ledger.boot_clock import boot_clock, boottime_offset_s


@pytest.mark.skipif(sys.platform != "linux", reason="Linux's own clock")
def test_the_boots_clock_counts_suspends_on_linux() -> None:
    """Two readings of CLOCK_BOOTTIME have that of the boot's clock between them."""
    offset_s = boottime_offset_s(Path("/proc/self/timens_offsets").read_text())
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    now = boot_clock().now_s()
    assert before <= now + offset_s <= time.clock_gettime(time.CLOCK_BOOTTIME)
    assert boot_clock().boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_the_wall_clock_is_the_systems() -> None:
    """The wall clock is in seconds since the epoch."""
    before = time.time()
    assert before <= boot_clock().wall_s() <= time.time()


@pytest.mark.parametrize(
    ("offsets", "offset_s"),
    [
        ("", 0.0),
        ("monotonic           0         0\nboottime            0         0\n", 0.0),
        ("monotonic     -86400         0\nboottime        -7 500000000\n", -6.5),
        ("monotonic      86400         0\nboottime      3600         0\n", 3600.0),
    ],
)
def test_a_time_namespaces_offset(offsets: str, offset_s: float) -> None:
    """The offset is that of the boot's clock, 0 without a time namespace."""
    assert boottime_offset_s(offsets) == offset_s


def test_a_process_in_another_time_namespace_reads_the_same_clock() -> None:
    """In a time namespace whose CLOCK_BOOTTIME is an hour ahead, the boot's clock isn't."""
    program = "from attachment_gateway.ledger.boot_clock import *; print(boot_clock().now_s())"
    shifted = ("unshare", "--time", "--boottime", "3600", "--fork")
    if not shutil.which("unshare") or subprocess.run([*shifted, "true"], check=False).returncode:
        pytest.skip("time namespaces can't be made here")
    before = boot_clock().now_s()
    command = (*shifted, sys.executable, "-c", program)
    said = subprocess.run(command, capture_output=True, check=True)
    assert before <= float(said.stdout) <= boot_clock().now_s()
