"""A process that shares a ledger, for the tests: `contender.py URL LEASE_S DIRECTORY WHAT …`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attachment_gateway.ledger import (
    Acquired,
    EndedAbsent,
    EndedCreated,
    Lease,
    Ledger,
    LedgerUnavailable,
    Sending,
)
from attachment_gateway.ledger.redis import RedisLedger
from attachment_gateway.ledger.sqlite import SqliteLedger
from attachment_gateway.ledger.urls import SQLITE, sqlite_path


async def opened(url: str, lease_s: float) -> Ledger:
    spans: dict[str, Any] = {"settle_s": 15.0, "retention_s": 1000.0, "lease_s": lease_s}
    if url.startswith(SQLITE):
        return await SqliteLedger.open(sqlite_path(url), **spans)
    return await RedisLedger.open(url, **spans)


def sending(settles_in_s: float) -> Sending:
    return Sending(settles_in_s=settles_in_s, wall_s=1_795_000_000.0)


def say(word: str) -> None:
    """Print a word to standard output, which the test reads."""
    print(word, flush=True)  # noqa: T201 - the test reads standard output


async def acquire_head(ledger: Ledger, lease: Lease) -> None:
    """Acquire until the lease is at the head of its post's queue."""
    while True:
        if await ledger.acquire(lease) == Acquired():
            return
        await asyncio.sleep(0.001)


@contextmanager
def exclusively(held: Path) -> Iterator[None]:
    """Fail if another process is inside: only one process can create the file `held`."""
    held.touch(exist_ok=False)
    yield
    held.unlink()


async def contend(ledger: Ledger, directory: Path, name: str, times: str) -> None:
    """Acquire and release a lease `times` times, checking each time that no other is held."""
    for number in range(int(times)):
        lease = Lease(holder=f"{name}-{number}", post="g/p", request_id=f"r-{name}-{number}")
        await acquire_head(ledger, lease)
        with exclusively(directory / "held"):
            assert await ledger.record_sending(lease, sending(1))
        await ledger.release(
            lease, EndedCreated(f"{name}-{number}") if number % 2 else EndedAbsent()
        )
    say("done")


async def send_and_hang(ledger: Ledger, _: Path) -> None:
    """Record a sending and wait to be killed."""
    lease = Lease(holder="killed", post="g/p", request_id="r1", fingerprint=b"f")
    assert await ledger.acquire(lease) == Acquired()
    assert await ledger.record_sending(lease, sending(60))
    say("sending")
    await asyncio.sleep(600)


async def renew_on_lines(ledger: Ledger, _: Path) -> None:
    """Acquire a lease, and renew it for each line of standard input; say what came of it."""
    lease = Lease(holder="renewing", post="g/q")
    assert await ledger.acquire(lease) == Acquired()
    say("acquired")
    while await asyncio.to_thread(sys.stdin.readline):
        try:
            say(str(await ledger.renew(lease)))
        except LedgerUnavailable as error:
            say(error.why)


async def open_and_close_for_ever(ledger: Ledger, _: Path) -> None:
    """Open, write to and close a file until killed; `ledger` is closed first."""
    await ledger.close()
    number = 0
    while True:
        number += 1
        ledger = await opened(sys.argv[1], 0.01)
        await ledger.release(Lease(holder="h", post="g/p"), EndedCreated(f"x-{number}"))
        await ledger.close()
        if number == 5:
            say("writing")


async def write_for_ever(ledger: Ledger, _: Path) -> None:
    """Write to the ledger until killed."""
    number = 0
    while True:
        number += 1
        lease = Lease(holder=f"h-{number}", post=f"g/{number % 7}", request_id=f"r-{number}")
        await ledger.acquire(lease)
        await ledger.release(lease, EndedCreated(f"x-{number}"))
        if number == 50:
            say("writing")


async def main(url: str, lease_s: str, directory: str, what: str, *args: str) -> None:
    ledger = await opened(url, float(lease_s))
    works: dict[str, Callable[..., Awaitable[None]]]
    works = {"contend": contend, "send_and_hang": send_and_hang, "write_for_ever": write_for_ever}
    works |= {"renew_on_lines": renew_on_lines, "open_and_close_for_ever": open_and_close_for_ever}
    await works[what](ledger, Path(directory), *args)
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
