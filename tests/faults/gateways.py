"""Gateways as processes, with the campaign's settings."""

import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

import grpc.aio

from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.faults import stepped_clock
from tests.faults.children import Child, child, process_environment
from tests.faults.timing import DRAIN_S, GRAPH_TIMEOUT_S, SETTLE_S

_FLAGS: Mapping[str, object] = {
    "listen": "127.0.0.1:0",
    "graph-timeout-s": GRAPH_TIMEOUT_S,
    "settle-s": SETTLE_S,
    "drain-s": DRAIN_S,
    "mailbox-concurrent": 0,
    "mailbox-upload-bytes": 0,
    "log-level": "info",
}


class Gateway:
    """A gateway process and a stub connected to it."""

    def __init__(self, child: Child, channel: grpc.aio.Channel) -> None:
        self._child = child
        self.stub = AttachmentServiceStub(channel)

    @property
    def pid(self) -> int:
        return self._child.pid

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._child.signal(number)

    async def ended(self, within_s: float) -> int | None:
        """Wait for the end; return the exit status, or None after `within_s`."""
        return await self._child.ended(within_s)


@asynccontextmanager
async def gateway(
    graph_url: str,
    *,
    ledger: str,
    baseline: str,
    log: Path,
    tree: Path | None = None,
    clock: Path | None = None,
) -> AsyncIterator[Gateway]:
    """Run a gateway, watched for stalls, and kill it when the context ends.

    `clock`: a file with the seconds by which its wall clock is stepped. The stalls are noted in a
    file beside the log: see `stalls_beside`.
    """
    flags = {**_FLAGS, "graph-url": graph_url, "ledger": ledger, "baseline": baseline}
    known = known_flags(tree)
    command = [f"--{name}={value}" for name, value in flags.items() if name in known]
    module = ("attachment_gateway",) if clock is None else (stepped_clock.__name__, str(clock))
    watched = ("tests.support.watched_gateway", str(stalls_beside(log)), *module)
    async with child(*watched, "serve", *command, tree=tree, log=log) as process:
        options = [("grpc.enable_retries", 0), ("grpc.use_local_subchannel_pool", 1)]
        async with grpc.aio.insecure_channel(process.address, options=options) as channel:
            yield Gateway(process, channel)


def stalls_beside(log: Path) -> Path:
    """Return the file for the stalls of the gateways that write to this log."""
    return log.with_suffix(".stalls")


@cache
def known_flags(tree: Path | None) -> frozenset[str]:
    """Return the names of the flags that `serve` has in a tree."""
    shown = subprocess.run(
        [sys.executable, "-m", "attachment_gateway", "serve", "--help"],
        env=process_environment(tree),
        capture_output=True,
        text=True,
        check=True,
    )
    words = shown.stdout.replace(",", " ").split()
    return frozenset(word.removeprefix("--") for word in words if word.startswith("--"))


def has_ledger(tree: Path | None) -> bool:
    """Return whether a tree's gateway remembers request ids."""
    return "ledger" in known_flags(tree)
