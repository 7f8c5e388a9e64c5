"""The gateway process that gets the calls and frames, and what holds for it after them."""

import json
import os
import re
import signal
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

from tests.faults.children import Child, child
from tests.faults.gateways import known_flags
from tests.fuzz import watched
from tests.fuzz.draws import CANARY
from tests.fuzz.target import STALL_S
from tests.fuzz.wire_calls import CAP_BYTES

# How much larger the process may be after the inputs than after the first of them.
MAX_GROWTH_BYTES = 64 * 1024 * 1024

DRAIN_S = 4.0
END_WITHIN_S = DRAIN_S + 6.0

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")

_FLAGS: Mapping[str, object] = {
    "ledger": "memory:",
    "ledger-retention-s": 20,
    "settle-s": 0.05,
    "graph-timeout-s": 0.5,
    "max-request-bytes": CAP_BYTES,
    "mailbox-concurrent": 0,
    "mailbox-upload-bytes": 0,
    "default-deadline-s": 5,
    "stream-idle-s": 1,
    "drain-s": DRAIN_S,
    "log-level": "info",
}

_MAX_QUOTED = 20

# How the faults of a process and of its log begin.
FAILED = "gRPC's server has failed"
# What the log has of it, also if the process crashes before it can end.
FAILURES = ('"event": "server_failed"', '"error": "UnicodeDecodeError"')

ENDED, EXIT = "the process has ended by itself", "exit status"
NOT_JSON, UNFORESEEN = "not JSON on standard error", "unforeseen"


class WatchedGateway:
    """A gateway process whose log and lateness are kept in files."""

    def __init__(self, process: Child, log: Path, late: Path) -> None:
        self._process = process
        self._log = log
        self._late = late
        self._settled_bytes = 0

    @property
    def address(self) -> str:
        return self._process.address

    def settle(self) -> None:
        """Take the size of the process, after the first inputs, as its usual size."""
        self._settled_bytes = self.rss_bytes()

    def rss_bytes(self) -> int:
        """Return the memory of the process."""
        statm = Path(f"/proc/{self._process.pid}/statm").read_text()
        return int(statm.split()[1]) * _PAGE_BYTES

    @property
    def grown_bytes(self) -> int:
        """How much the process has grown since it settled; 0 before that."""
        return self.rss_bytes() - self._settled_bytes if self._settled_bytes else 0

    async def end(self, *, within_s: float = 0.01) -> list[str]:
        """Stop it, unless it ends `within_s`; return the rules that the process has broken."""
        status = await self._process.ended(within_s)
        if status is not None:
            has_failed = any(each in self._log.read_text(errors="replace") for each in FAILURES)
            why = FAILED if has_failed else "for no known reason"
            return [f"{ENDED}: {status}, {why}", *self._log_faults()]
        found = []
        if self.grown_bytes > MAX_GROWTH_BYTES:
            found.append(f"{self.grown_bytes:,} bytes more memory")
        self._process.signal(signal.SIGTERM)
        status = await self._process.ended(END_WITHIN_S)
        if status != 0:
            found.append(f"{EXIT} {status} after SIGTERM (None: it hangs)")
        return [*found, *watched.stalls(self._late, STALL_S), *self._log_faults()]

    def _log_faults(self) -> list[str]:
        found = _log_faults(self._log.read_text(errors="replace"))
        faults = list({_without_numbers(each): each for each in found}.values())
        more = len(faults) - _MAX_QUOTED
        return faults[:_MAX_QUOTED] + ([f"and {more} more lines"] if more > 0 else [])


def _log_faults(log: str) -> Iterator[str]:
    """Yield what isn't one JSON object a line, tells a secret, or tells of an unforeseen error."""
    for is_event, lines in groupby(log.splitlines(), _is_event):
        block = list(lines)
        if not is_event:
            yield from _foreign(block)
        for line in block:
            if is_event and '"event": "unforeseen"' in line:
                yield f"{UNFORESEEN}: {line[:1500]}"
            if CANARY in line:
                yield f"the canary is in the log: {line[:300]}"


def _foreign(block: list[str]) -> Iterator[str]:
    """Yield what another library has written, each with its traceback."""
    text = "\n".join(block)
    for each in re.split(r"\n(?=Invalid encoding on|Unexpected \[|Task exception)", text):
        yield f"{NOT_JSON}: {each[:2000]}"


def _without_numbers(fault: str) -> str:
    """Return a fault by which it is the same as others, which are left out."""
    return re.sub(r"[0-9]+", "", fault)


def _is_event(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


@asynccontextmanager
async def gateway(
    listen: str, graph_url: str, folder: Path, tree: Path | None
) -> AsyncIterator[WatchedGateway]:
    """Run a gateway from `tree`, by default from here, and kill it when the context ends."""
    flags = {**_FLAGS, "listen": listen, "graph-url": graph_url}
    known = known_flags(tree)
    command = [f"--{name}={value}" for name, value in flags.items() if name in known]
    log, late = folder / "log", folder / "late"
    async with child(watched.__name__, str(late), "serve", *command, tree=tree, log=log) as process:
        yield WatchedGateway(process, log, late)
