"""A TCP proxy that injects faults, one HTTP exchange at a time.

Each connection of a client has its own connection to Graph. A request's head is read whole, as the
post in its path selects the fault; everything else is passed on as it comes.
"""

import asyncio
import socket
from collections import defaultdict
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Literal, Self
from urllib.parse import unquote

from tests.faults.exchanges import Cut, Exchange
from tests.faults.streams import GONE, Link
from tests.faults.traffic import Traffic
from tests.faults.wire_faults import Head

BACKLOG = 512

# Small enough that the end of a large request stays with its sender while the beginning is held.
RECEIVE_BUFFER_BYTES = 128 * 1024

# Heads have tokens, which can be long.
MAX_HEAD_BYTES = 256 * 1024

# What may happen to a connection before its first request.
ConnectionFault = Literal["none", "reset", "close", "hang", "slow"]
SLOW_S = 0.3


class FaultProxy:
    """A proxy in front of one Graph, closed when its context ends."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._traffic: defaultdict[str, Traffic] = defaultdict(Traffic)
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.connection_fault: Callable[[], ConnectionFault] = lambda: "none"
        """Called for every new connection."""
        self.one_request_a_connection = False

    def of(self, post_id: str) -> Traffic:
        """Return the traffic of a post."""
        return self._traffic[post_id]

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await asyncio.sleep(0)  # the loop finishes closing the connections

    async def open(self) -> None:
        """Accept connections, on the same port as before."""
        listener = socket.create_server(("127.0.0.1", self.port), backlog=BACKLOG)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)
        self._server = await asyncio.start_server(self._accept, sock=listener, limit=MAX_HEAD_BYTES)
        self.port = listener.getsockname()[1]

    def refuse(self) -> None:
        """Accept no connections until `open`; existing connections go on."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._start(self._connection(Link(reader, writer)))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connection(self, client: Link) -> None:
        try:
            if await self._apply_connection_fault(client, self.connection_fault()):
                await self._exchanges(client)
        except Cut as cut:
            await _end(client, cut.act)
        except GONE:
            client.close()
        finally:
            client.close()

    async def _apply_connection_fault(self, client: Link, fault: ConnectionFault) -> bool:
        """Apply a fault to a new connection; return whether it is still open."""
        if fault == "slow":
            await asyncio.sleep(SLOW_S)
        if fault in ("none", "slow"):
            return True
        await _end(client, fault)
        return False

    async def _exchanges(self, client: Link) -> None:
        async with AsyncExitStack() as stack:
            upstream = await _connect(*self._upstream)
            stack.callback(upstream.close)
            try:
                while await self._exchange(client, upstream):
                    pass
            except Cut as cut:
                if cut.then is not None:
                    stack.pop_all()
                    self._start(cut.then())
                raise

    async def _exchange(self, client: Link, upstream: Link) -> bool:
        request = Head.parse(await client.head())
        traffic = self._traffic[_post_id(request.target)]
        exchange = Exchange(client, upstream, request, traffic)
        return await exchange.run() and not self.one_request_a_connection


async def _end(client: Link, act: str) -> None:
    if act == "reset":
        client.reset()
    elif act == "hang":
        await client.discard()
    client.close()


async def _connect(host: str, port: int) -> Link:
    return Link(*await asyncio.open_connection(host, port, limit=MAX_HEAD_BYTES))


def _post_id(target: str) -> str:
    """Return the post's id in a path of Graph's; "" if there is none."""
    segments = target.partition("?")[0].split("/")
    return unquote(segments[segments.index("posts") + 1]) if "posts" in segments else ""
