"""A process on a boot of its own: `booted.py PATH BOOT_ID NOW_S WALL_S STEP…`.

Each step is a method of the ledger, a holder and a request id, with commas between: acquire,a,r1.
It prints the result of each.
"""

import asyncio
import sys

from attachment_gateway.ledger import EndedCreated, EndedUnknown, Lease, Ledger, Sending
from attachment_gateway.ledger.boot_clock import BootClock
from attachment_gateway.ledger.sqlite import SqliteLedger


async def result_of(
    ledger: Ledger, wall_s: float, what: str, holder: str, request_id: str
) -> object:
    lease = Lease(holder=holder, post="g/p", request_id=request_id, fingerprint=b"f")
    match what:
        case "acquire":
            return await ledger.acquire(lease)
        case "send":
            sending = Sending(settles_in_s=60.0, wall_s=wall_s, baseline=b"ids")
            return await ledger.acquire(lease, sending=sending)
        case "renew":
            return await ledger.renew(lease)
        case "unknown":
            await ledger.release(lease, EndedUnknown(settles_in_s=15.0))
        case "created":
            await ledger.release(lease, EndedCreated("x"))
        case "claimed":
            return sorted(await ledger.claimed("g/p"))
    return None


async def main(path: str, boot_id: str, now_s: str, wall_s: str, *steps: str) -> None:
    clock = BootClock(boot_id=boot_id, now_s=lambda: float(now_s), wall_s=lambda: float(wall_s))
    ledger = await SqliteLedger.open(path, settle_s=15, retention_s=1000, clock=clock)
    for step in steps:
        result = await result_of(ledger, float(wall_s), *step.split(","))
        print(result, flush=True)  # noqa: T201 - the test reads standard output
    await ledger.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
