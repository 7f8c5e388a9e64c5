"""Inputs over the wire: calls and frames to a gateway process, many at once."""

import asyncio
import socket
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import grpc.aio

from tests.fuzz import frame_draws, wire_calls, wire_frames
from tests.fuzz.target import Outcome, Tally, random_of
from tests.fuzz.wire_gateway import ENDED, EXIT, NOT_JSON, UNFORESEEN, WatchedGateway, gateway
from tests.fuzz.wire_graph import Graph, graph

CALLS, FRAMES, PROCESS = "calls", "frames", "process"

# How many inputs are on their way at once. Most of an input's time is waiting.
AT_ONCE = 48

_CHANNELS = 6

# An input's connection may meet a gateway that another input has stopped.
_TRIES = 5

# The number of inputs after which the process has its usual size.
_SETTLED_AFTER = 500

# How long a gateway whose server has failed takes to end.
ENDS_WITHIN_S = 8.0


@dataclass
class _Gateways:
    """One gateway after the other, at the same address; `broken` has what each has broken."""

    listen: str
    graph_url: str
    tree: Path | None
    broken: Tally = field(default_factory=lambda: Tally(PROCESS))
    running: WatchedGateway | None = None
    served: int = 0
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def start(self) -> None:
        """Start a gateway."""
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        started = gateway(self.listen, self.graph_url, folder, self.tree)
        self.running = await self._stack.enter_async_context(started)
        self.served = 0

    def count(self) -> None:
        """Count an input; after the first ones the process has its usual size."""
        self.served += 1
        if self.served == _SETTLED_AFTER and self.running is not None:
            self.running.settle()

    async def end(self) -> None:
        """End the gateway, and note what it has broken."""
        for what in await self._ended():
            self.broken.note(what, PROCESS, "")

    async def _ended(self, *, within_s: float = 0.01) -> list[str]:
        broken = [] if self.running is None else await self.running.end(within_s=within_s)
        self.running = None
        await self._stack.aclose()
        return broken

    async def revive(self, input_id: str) -> None:
        """Start another gateway unless the one that runs takes connections."""
        async with self._lock:
            with suppress(OSError):
                _, writer = await asyncio.open_connection(*self.listen.split(":"))
                writer.close()
                return
            broken = await self._ended(within_s=ENDS_WITHIN_S)
            # Its end and its log follow from why it has stopped, and are no other violations.
            why = [each for each in broken if each.startswith((ENDED, EXIT, NOT_JSON, UNFORESEEN))]
            stopped = f"takes no connections any more, after about {input_id}: {why}"
            for what in (stopped, *(each for each in broken if each not in why)):
                self.broken.note(what, PROCESS, "")
            await self.start()


@dataclass
class _Wire:
    seed: str
    graph: Graph
    gateways: _Gateways
    channels: list[grpc.aio.Channel]

    async def call(self, input_id: str) -> tuple[object, Outcome]:
        """Make the call of an id, and return it with its outcome."""
        call = wire_calls.draw(random_of(self.seed, input_id), input_id)
        channel = self.channels[int(input_id.partition("/")[2]) % len(self.channels)]
        try:
            received = await wire_calls.run(channel, call)
        except TimeoutError:
            return call, Outcome("no end", [f"no end within {wire_calls.HANG_S} s"])
        return call, wire_calls.judged(call, received, self.graph.posts[input_id])

    async def frame(self, input_id: str) -> tuple[object, Outcome]:
        """Send the frames of an id, and return them with the outcome."""
        connection = frame_draws.draw(random_of(self.seed, input_id), input_id)
        for _ in range(_TRIES):
            with suppress(OSError):
                answers = await wire_frames.run(self.gateways.listen, connection)
                posts = self.graph.posts[input_id]
                return connection, wire_frames.judged(connection, answers, posts)
            await self.gateways.revive(input_id)
        return connection, Outcome("no connection", ["no connection"])


async def run(
    seed: str,
    ids: Mapping[str, Sequence[int]],
    *,
    until: float,
    tell: Callable[[], None] = lambda: None,
    tree: Path | None = None,
) -> list[Tally]:
    """Run the inputs with these numbers of `calls` and `frames`, until a time of the clock.

    The last tally, `process`, is that of the gateways' processes.
    """
    async with AsyncExitStack() as stack:
        graphs = await stack.enter_async_context(graph(seed))
        gateways = _Gateways(_free_address(), graphs.url, tree)
        stack.push_async_callback(gateways.end)
        await gateways.start()
        channels = [
            await stack.enter_async_context(_channel(gateways.listen)) for _ in range(_CHANNELS)
        ]
        wire = _Wire(seed, graphs, gateways, channels)
        tallies = [await _all(wire, name, numbers, until, tell) for name, numbers in ids.items()]
    return [*tallies, gateways.broken]


def _free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"127.0.0.1:{free.getsockname()[1]}"


def _channel(address: str) -> grpc.aio.Channel:
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_retries", 0),
        ("grpc.max_metadata_size", 64 * 1024),
        ("grpc.absolute_max_metadata_size", 64 * 1024),
    ]
    return grpc.aio.insecure_channel(address, options=options)


async def _all(
    wire: _Wire, name: str, numbers: Sequence[int], until: float, tell: Callable[[], None]
) -> Tally:
    """Run all inputs of one target, AT_ONCE at a time."""
    one = wire.call if name == CALLS else wire.frame
    found = Tally(name)
    waiting = iter(numbers)

    def done() -> None:
        wire.gateways.count()
        tell()

    workers = [_work(one, found, waiting, until, done) for _ in range(AT_ONCE)]
    await asyncio.gather(*workers)
    return found


async def _work(
    one: Callable[[str], Awaitable[tuple[object, Outcome]]],
    found: Tally,
    numbers: Iterator[int],
    until: float,
    tell: Callable[[], None],
) -> None:
    for number in numbers:
        if time.monotonic() > until:
            return
        input_id = f"{found.target}/{number}"
        began_s = time.monotonic()
        given, outcome = await one(input_id)
        found.took(time.monotonic() - began_s, input_id)
        found.inputs += 1
        found.words[outcome.word] += 1
        for what in outcome.violations:
            found.note(what, input_id, given)
        tell()
