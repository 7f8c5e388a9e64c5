"""Tests of server/malloc.py: free memory goes back to the kernel."""

import subprocess
import sys

import pytest

PROGRAM = """
from attachment_gateway.server.malloc import give_back, keep_pages

def resident_bytes():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * 4096

keep_pages()
blocks = [bytearray(300_000) for _ in range(1000)]
kept = blocks[::50]
full = resident_bytes()
del blocks
freed = resident_bytes()
give_back()
print(full - freed, full - resident_bytes())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps free memory in this way")
def test_free_memory_between_used_blocks_is_given_back() -> None:
    """Free blocks between used ones stay with the process until it gives them back."""
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True
    )
    kept_at_first, given_back = map(int, ended.stdout.split())
    assert kept_at_first < 50_000_000
    assert given_back > 200_000_000
