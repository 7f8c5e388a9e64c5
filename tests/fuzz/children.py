"""Runs a target's inputs in a process of its own, so that a crash or a hang is counted as well."""

import multiprocessing
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fuzz.target import Tally, Target, tally

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

# An input that takes longer than this hangs.
HANG_S = 60.0

# How many inputs are run before their tally is handed over.
BLOCK = 500

# How much larger the process may be after the last input than after its first blocks.
MAX_GROWTH_BYTES = 64 * 1024 * 1024
_SETTLED_AFTER = 4

_POLL_S = 0.2

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_spawn = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class Run:
    """The inputs of a target, as far as they were run."""

    target: Target
    seed: str
    inputs: int
    hang_s: float
    found: Tally
    begin: int = 0
    skipped: set[int] = field(default_factory=set)


def run(
    target: Target,
    seed: str,
    inputs: int,
    *,
    until: float,
    tell: Callable[[int], None] = lambda _: None,
    hang_s: float = HANG_S,
) -> Tally:
    """Run a target's inputs until a time of the monotonic clock; `tell` gets the number done."""
    its = Run(target, seed, inputs, hang_s, Tally(target.name))
    while its.begin < inputs and time.monotonic() < until:
        _run_until_it_breaks(its, until, tell)
    return its.found


def _run_until_it_breaks(its: Run, until: float, tell: Callable[[int], None]) -> None:
    """Run blocks in one process; note the input that crashes or hangs it, and skip that one."""
    receiver, sender = _spawn.Pipe(duplex=False)
    number: Synchronized[int] = _spawn.Value("q", -1)
    process = _spawn.Process(
        target=_work,
        args=(its.target, its.seed, (its.begin, its.inputs), its.skipped, number, sender),
        daemon=True,
    )
    process.start()
    sender.close()
    try:
        _collect(its, receiver, number, until, tell)
    except _BrokenError as broken:
        at = number.value
        if at < 0:
            raise RuntimeError(f"{its.target.name}: no input begins") from broken
        its.skipped.add(at)
        its.found.inputs += 1
        ended = "hangs" if broken.hangs else f"ends the process: {_status(process)}"
        its.found.note(ended, f"{its.target.name}/{at}", "")
    finally:
        process.kill()
        process.join()


class _BrokenError(Exception):
    """The process has crashed, or `hangs`."""

    def __init__(self, *, hangs: bool) -> None:
        super().__init__()
        self.hangs = hangs


def _status(process: SpawnProcess) -> int | None:
    process.join(timeout=1)
    return process.exitcode


def _collect(
    its: Run,
    receiver: Connection,
    number: "Synchronized[int]",
    until: float,
    tell: Callable[[int], None],
) -> None:
    """Take the blocks' tallies until all inputs are run, or the time is over."""
    at, since = -1, time.monotonic()
    while its.begin < its.inputs and time.monotonic() < until:
        if receiver.poll(_POLL_S):
            try:
                block: Tally = receiver.recv()
            except EOFError:
                raise _BrokenError(hangs=False) from None
            its.found.add(block)
            its.begin = min(its.begin + BLOCK, its.inputs)
            tell(block.inputs)
        if number.value != at:
            at, since = number.value, time.monotonic()
        elif time.monotonic() - since > its.hang_s:
            raise _BrokenError(hangs=True)


def _work(
    target: Target,
    seed: str,
    bounds: tuple[int, int],
    skipped: set[int],
    number: "Synchronized[int]",
    sender: Connection,
) -> None:
    """Run blocks of inputs; this is the child's main function."""
    settled_bytes = 0
    for at, begin in enumerate(range(bounds[0], bounds[1], BLOCK)):
        numbers = range(begin, min(begin + BLOCK, bounds[1]))

        def tell(each: int) -> None:
            number.value = each

        block = tally(target, seed, numbers, tell=tell, skipped=skipped)
        if at == _SETTLED_AFTER:
            settled_bytes = rss_bytes(os.getpid())
        grown_bytes = rss_bytes(os.getpid()) - settled_bytes
        if settled_bytes and grown_bytes > MAX_GROWTH_BYTES:
            block.note(f"{grown_bytes:,} bytes more memory", f"{target.name}/{begin}", "")
        sender.send(block)
    sender.close()


def rss_bytes(pid: int) -> int:
    """Return the memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
