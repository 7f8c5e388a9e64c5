"""The honest callers, in a process of their own, so that no attack disturbs their clock.

Standard input has an order a line, JSON with `address`, and what `work` takes; each is answered by
a line of JSON, the fields of `Seen`. CALLERS callers, each with a channel and posts of its own,
make calls in turn: a small item, a large upload, a small upload. One connects anew for each call.
"""

import asyncio
import itertools
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc.aio

from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceStub
from tests.abuse import traffic
from tests.abuse.traffic import HONEST, LARGE_BYTES, SMALL_BYTES, honest_post

CALLERS = 20

# The caller that connects anew for each call.
NEWCOMER = 19

DEADLINE_S = 8.0

# A caller waits this long between two calls: the callers together make some 40 calls in a second.
PAUSE_S = 0.4

# A channel that opens no second connection to the same address with another channel's, and repeats
# nothing by itself.
_OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_retries", 0)]


@dataclass(kw_only=True)
class Seen:
    """What the calls came to: their number, the failed ones by status, and how long they took."""

    calls: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    p99_s: float = 0.0
    max_s: float = 0.0

    @property
    def succeeded(self) -> int:
        """How many calls created their attachment."""
        return self.calls - sum(self.failed.values())


def _calls(stub: Any, caller: int) -> Sequence[Callable[[], Awaitable[Any]]]:
    """Return the calls that a caller makes in turn."""
    how: dict[str, Any] = {"metadata": HONEST, "timeout": DEADLINE_S}

    def upload(size_bytes: int) -> Awaitable[Any]:
        messages = traffic.upload(honest_post(caller), size_bytes)
        call: Awaitable[Any] = stub.UploadFileAttachment(messages, **how)
        return call

    def item() -> Awaitable[Any]:
        request = traffic.item(honest_post(caller, "echo"), SMALL_BYTES)
        call: Awaitable[Any] = stub.CreateAttachment(request, **how)
        return call

    return (item, lambda: upload(LARGE_BYTES), lambda: upload(SMALL_BYTES))


class Callers:
    """The callers of one gateway."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._channels = [
            grpc.aio.insecure_channel(address, options=_OPTIONS) for _ in range(CALLERS)
        ]

    async def work(self, *, seconds: float) -> Seen:
        """Make calls for that long, and at least one of each caller; with 0 s only small ones."""
        self._times: list[float] = []
        self._failed: Counter[str] = Counter()
        until_s = time.monotonic() + seconds
        await asyncio.gather(
            *(self._caller(caller, until_s, small=not seconds) for caller in range(CALLERS))
        )
        times = sorted(self._times)
        return Seen(
            calls=len(times),
            failed=dict(self._failed),
            p99_s=times[min(int(len(times) * 0.99), len(times) - 1)],
            max_s=times[-1],
        )

    async def _caller(self, caller: int, until_s: float, *, small: bool) -> None:
        for number in itertools.count(0 if small else caller):
            async with self._channel(caller) as channel:
                calls = _calls(AttachmentServiceStub(channel), caller)
                await self._call(calls[number % len(calls)])
            if time.monotonic() >= until_s:
                return
            await asyncio.sleep(PAUSE_S * random.uniform(0.5, 1.5))

    @asynccontextmanager
    async def _channel(self, caller: int) -> AsyncIterator[grpc.aio.Channel]:
        """Yield a caller's channel: a new one each time for NEWCOMER."""
        if caller != NEWCOMER:
            yield self._channels[caller]
            return
        async with grpc.aio.insecure_channel(self._address, options=_OPTIONS) as channel:
            yield channel

    async def _call(self, call: Callable[[], Awaitable[Any]]) -> None:
        began_s = time.monotonic()
        try:
            await call()
        except grpc.aio.AioRpcError as error:
            self._failed[f"{error.code().name} {_reason(error)}".rstrip()] += 1
        self._times.append(time.monotonic() - began_s)

    async def close(self) -> None:
        """Close the channels."""
        await asyncio.gather(*(channel.close() for channel in self._channels))


def _reason(error: grpc.aio.AioRpcError) -> str:
    """Return the beginning of an error's sentence, with each number as #."""
    return re.sub(r"\d[\d,]*", "#", error.details() or "")[:60]


async def _main(orders: Iterable[str]) -> None:
    callers: dict[str, Callers] = {}
    while line := await asyncio.to_thread(sys.stdin.readline):
        order = json.loads(line)
        address = order.pop("address")
        for other in [each for each in callers if each != address]:
            await callers.pop(other).close()
        if address not in callers:
            callers[address] = Callers(address)
        print(json.dumps(asdict(await callers[address].work(**order))), flush=True)  # noqa: T201


if __name__ == "__main__":
    print("ready", flush=True)  # noqa: T201
    asyncio.run(_main(sys.stdin))
