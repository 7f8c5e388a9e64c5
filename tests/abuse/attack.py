"""What an attack is, and what all attacks use."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.abuse.raw_client import RawClient, raw_client
from tests.abuse.traffic import MB

# How long an attack waits before it opens again what the gateway has ended.
AGAIN_AFTER_S = 0.1

# Floods write their frames this often.
TICK_S = 0.01


@dataclass(kw_only=True)
class Target:
    """The gateway's addresses, for gRPC and for the operator, and whether the attack is over."""

    address: str
    operator_address: str
    over: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(kw_only=True)
class Outcome:
    """What an attack saw: notes to print, and what was not as wanted."""

    notes: dict[str, Any] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Attack:
    """An attack: what it does, and how, until its target's `over` is set."""

    name: str
    about: str
    run: Callable[[Target], Awaitable[Outcome]]


Work = Coroutine[Any, Any, None]


async def during(target: Target, works: Iterable[Work]) -> None:
    """Run works at once until the attack is over. Raises what they raise, but connections' ends."""
    tasks = [asyncio.create_task(work) for work in works]
    await target.over.wait()
    for task in tasks:
        task.cancel()
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, Exception) and not isinstance(ended, OSError):
            raise ended


async def on_connections(
    target: Target,
    number: int,
    work: Callable[[RawClient], Coroutine[Any, Any, None]],
    **options: Any,
) -> list[RawClient]:
    """Do a work on each of so many connections until the attack is over; open ended ones again.

    Returns all connections that there were.
    """
    clients: list[RawClient] = []

    async def connected() -> None:
        while True:
            try:
                async with raw_client(target.address, **options) as client:
                    clients.append(client)
                    await _until_gone(client, work)
            except OSError:
                pass
            await asyncio.sleep(AGAIN_AFTER_S)

    await during(target, [connected() for _ in range(number)])
    return clients


async def _until_gone(
    client: RawClient, work: Callable[[RawClient], Coroutine[Any, Any, None]]
) -> None:
    doing = asyncio.create_task(work(client))
    gone = asyncio.create_task(client.gone.wait())
    try:
        await asyncio.wait({doing, gone}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
            await gone
    finally:
        doing.cancel()
        gone.cancel()
        await asyncio.gather(doing, gone, return_exceptions=True)


def seen(clients: Iterable[RawClient]) -> Outcome:
    """Return what all streams and connections came to."""
    clients = list(clients)
    ends = Counter(each.status for client in clients for each in client.streams.values())
    goaways = Counter(str(client.goaway[1], "latin-1") for client in clients if client.goaway)
    notes: dict[str, Any] = {
        "connections": len(clients),
        "streams": sum(client.opened for client in clients),
        "ends": dict(ends.most_common(4)),
        "written MB": round(sum(client.written_bytes for client in clients) / MB, 1),
    }
    if goaways:
        notes["goaway"] = dict(goaways.most_common(2))
    return Outcome(notes=notes)


async def paced(per_s: float, act: Callable[[int], Awaitable[None]]) -> None:
    """Call `act` with a number of units every TICK_S, so that they are `per_s` in a second."""
    began_s, done = time.monotonic(), 0
    while True:
        due = int((time.monotonic() - began_s) * per_s)
        if due > done:
            await act(min(due - done, int(per_s * TICK_S * 5) + 1))
            done = due
        await asyncio.sleep(TICK_S)
