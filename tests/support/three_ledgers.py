"""The three ledgers, each with a clock that the test moves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redis.asyncio import Redis

from attachment_gateway.ledger import Ledger
from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.memory import MemoryLedger
from attachment_gateway.ledger.redis import RedisLedger
from attachment_gateway.ledger.redis_snapshot import Sightings
from attachment_gateway.ledger.sqlite import SqliteLedger

SETTLE_S = 15.0
RETENTION_S = 1000.0
BEGIN_S = 5000.0


@dataclass(kw_only=True)
class Ledgers:
    """Opens ledgers of one kind that share their data, as processes do, and one clock."""

    kind: str
    path: Path
    url: str
    now: float = BEGIN_S
    retention_s: float = RETENTION_S
    opened: list[Ledger] = field(default_factory=list)
    sightings: Sightings = field(default_factory=Sightings)
    """As if each process had watched Redis from the beginning."""

    async def open(self) -> Ledger:
        self.opened.append(await self._open())
        return self.opened[-1]

    async def _open(self) -> Ledger:
        spans = {"settle_s": SETTLE_S, "retention_s": self.retention_s}
        if self.kind == "sqlite":
            clock = BootClock(boot_id="boot", now_s=lambda: self.now)
            return await SqliteLedger.open(str(self.path), clock=clock, **spans)
        if self.kind == "redis":
            clock = BootClock(boot_id="boot", now_s=lambda: self.now)
            return await RedisLedger.open(self.url, clock=clock, sightings=self.sightings, **spans)
        # A ledger in memory belongs to one process, so all openings share one ledger.
        return self.opened[0] if self.opened else MemoryLedger(clock=lambda: self.now, **spans)

    async def after(self, span_s: float) -> None:
        """Advance the clock by a span."""
        self.now += span_s

    async def close(self) -> None:
        for each in self.opened:
            await each.close()


@asynccontextmanager
async def empty_ledgers(kind: str, path: Path, url: str = "") -> AsyncIterator[Ledgers]:
    """Yield empty ledgers at a path, or at a Redis's URL."""
    ledgers = Ledgers(kind=kind, path=path, url=url)
    if kind != "redis":
        yield ledgers
        await ledgers.close()
        return
    async with Redis.from_url(url) as client:
        await client.flushall()
    yield ledgers
    await ledgers.close()
