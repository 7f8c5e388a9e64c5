"""Runs one attack: `python -m tests.abuse.attacker NAME`.

Prints `ready`. The first line of standard input has the gateway's addresses, as JSON; the attack
takes from that line to the next, or to the input's end. Its outcome is printed as a line of JSON.
"""

import asyncio
import json
import os
import resource
import sys
from dataclasses import asdict

import uvloop

from tests.abuse.attack import Target
from tests.abuse.attacks import ATTACKS

# The machine's other processes go first, so that an attack takes what they leave.
NICE = 5


async def _attack(name: str) -> None:
    print("ready", flush=True)  # noqa: T201
    target = Target(**json.loads(await _line()))
    running = asyncio.ensure_future(ATTACKS[name].run(target))
    await _line()
    target.over.set()
    print(json.dumps(asdict(await running)), flush=True)  # noqa: T201


async def _line() -> str:
    return await asyncio.to_thread(sys.stdin.readline)


if __name__ == "__main__":
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    os.nice(NICE)
    uvloop.run(_attack(*sys.argv[1:]))
