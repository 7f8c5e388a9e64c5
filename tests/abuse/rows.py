"""One row: an attack beside the honest callers, and what was measured meanwhile."""

import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import usage
from tests.abuse.attack import Attack, Outcome
from tests.abuse.children import Child, Failed, child
from tests.abuse.honest import DEADLINE_S, Seen
from tests.abuse.traffic import MIB
from tests.support.stalls import NONE, WANTED_BELOW_S, Stall, longest

UPLOAD_MEMORY_BYTES = 64 * MIB

# The gateway may take the memory for uploads, and this much for all else that callers make it hold.
OTHER_MEMORY_BYTES = 96 * MIB
ABOVE_IDLE_BYTES = UPLOAD_MEMORY_BYTES + OTHER_MEMORY_BYTES

# The soft limit of file descriptors that Linux gives a process.
DESCRIPTORS = 1024

# How long an attack may take to end.
END_WITHIN_S = 30.0


@dataclass(kw_only=True)
class Row:
    """What was measured; `attack` is None for the honest callers alone."""

    attack: Attack | None
    honest: Seen = field(default_factory=Seen)
    outcome: Outcome = field(default_factory=Outcome)
    above_idle_bytes: int = 0
    stall: Stall = NONE
    gateway_cpu: float = 0.0
    """The gateway's CPU time as a share of the time; the attacker's likewise."""
    attacker_cpu: float = 0.0
    began_s: float = 0.0
    """When the attack began, by CLOCK_MONOTONIC."""
    failed: str = ""
    """Why it could not be measured."""

    @property
    def name(self) -> str:
        return self.attack.name if self.attack else "(alone)"

    def broken(self) -> Iterator[str]:
        """Yield what is not as wanted."""
        if self.failed:
            yield self.failed
            return
        if self.honest.failed:
            ends = ", ".join(f"{number} {end}" for end, number in self.honest.failed.items())
            yield f"honest calls failed: {ends}"
        if self.above_idle_bytes > ABOVE_IDLE_BYTES:
            yield (
                f"{self.above_idle_bytes / MIB:.0f} MiB above idle, "
                f"wanted at most {ABOVE_IDLE_BYTES / MIB:.0f}"
            )
        if self.stall.own_s >= WANTED_BELOW_S:
            yield (
                f"the event loop stood for {self.stall.own_s * 1000:.0f} ms, "
                f"wanted below {WANTED_BELOW_S * 1000:.0f}"
            )
        yield from self.outcome.broken


class Bench:
    """The processes that all rows share, Graph's stand-in and the honest callers, and a folder.

    `tree` goes first on the gateways' import path.
    """

    def __init__(self, graph: Child, callers: Child, folder: Path, tree: Path | None) -> None:
        self._tree = tree
        self._operator_address = _free_address()
        self._graph = graph
        self._callers = callers
        self._folder = folder

    async def row(self, attack: Attack | None, *, seconds: float) -> Row:
        """Measure an attack beside the honest callers, or them alone, for that long."""
        row = Row(attack=attack)
        log = self._folder / f"{row.name.strip('()')}.log"
        try:
            async with self._gateway(log) as gateway, _attacker(attack, log) as attacker:
                for started in filter(None, (gateway, attacker)):
                    await started.ready()
                await self._measure(row, gateway, attacker, seconds)
                row.stall = longest(log.with_suffix(".stalls"), since_s=row.began_s)
        except (Failed, OSError) as why:  # OSError: a process that has ended can't be measured
            row.failed = str(why)
        return row

    async def _measure(
        self, row: Row, gateway: Child, attacker: Child | None, seconds: float
    ) -> None:
        """Fill in a row, first the idle gateway, after small calls on all connections."""
        await self._honest(gateway, seconds=0)
        idle_bytes = usage.resident_bytes(gateway.pid)
        usage.reset_peak(gateway.pid)
        row.began_s, cpu_s = time.monotonic(), _cpu_s(gateway, attacker)
        if attacker:
            addresses = {"address": gateway.address, "operator_address": self._operator_address}
            await attacker.tell(addresses)
        row.honest = await self._honest(gateway, seconds=seconds)
        if gateway.has_ended:
            raise Failed("the gateway ended; see its log")
        took_s = time.monotonic() - row.began_s
        row.gateway_cpu, row.attacker_cpu = (
            (now_s - then_s) / took_s
            for now_s, then_s in zip(_cpu_s(gateway, attacker), cpu_s, strict=True)
        )
        if attacker:
            await attacker.tell("over")
            row.outcome = Outcome(**await attacker.answer(within_s=END_WITHIN_S))
        row.above_idle_bytes = usage.peak_resident_bytes(gateway.pid) - idle_bytes

    async def _honest(self, gateway: Child, *, seconds: float) -> Seen:
        await self._callers.tell({"address": gateway.address, "seconds": seconds})
        return Seen(**await self._callers.answer(within_s=seconds + 2 * DEADLINE_S))

    @asynccontextmanager
    async def _gateway(self, log: Path) -> AsyncIterator[Child]:
        """Run a watched gateway."""
        flags = {
            "listen": "127.0.0.1:0",
            "graph-url": f"http://{self._graph.address}/v1.0",
            "ledger": f"sqlite:///{log.with_suffix('.db')}",
            "upload-memory-bytes": UPLOAD_MEMORY_BYTES,
            "metrics-listen": self._operator_address,
            "log-level": "warning",
        }
        stalls = log.with_suffix(".stalls")
        async with child(
            *("tests.support.watched_gateway", str(stalls), "attachment_gateway", "serve"),
            *(f"--{name}={value}" for name, value in flags.items()),
            log=log,
            tree=self._tree,
            descriptors=DESCRIPTORS,
        ) as gateway:
            yield gateway


@asynccontextmanager
async def _attacker(attack: Attack | None, log: Path) -> AsyncIterator[Child | None]:
    """Start an attack's process, which waits for its order."""
    if attack is None:
        yield None
        return
    async with child("tests.abuse.attacker", attack.name, log=log) as attacker:
        yield attacker


def _free_address() -> str:
    """Return a free port of loopback, for a gateway that doesn't tell the port that it took."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def _cpu_s(gateway: Child, attacker: Child | None) -> tuple[float, float]:
    return usage.cpu_s(gateway.pid), usage.cpu_s(attacker.pid) if attacker else 0.0


@asynccontextmanager
async def bench(folder: Path, *, tree: Path | None = None) -> AsyncIterator[Bench]:
    """Start the processes that all rows share. Raises Failed."""
    async with (
        child("tests.abuse.graph", log=folder / "graph.log") as graph,
        child("tests.abuse.honest", log=folder / "honest.log") as callers,
    ):
        await graph.ready()
        await callers.ready()
        yield Bench(graph, callers, folder, tree)
