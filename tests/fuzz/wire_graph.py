"""Graph's side over the wire: it counts each caller's requests, and answers at random."""

import asyncio
import json
import re
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from random import Random

from tests.fuzz import draws, http_responses, json_bodies
from tests.fuzz.draws import CANARY, chance
from tests.fuzz.target import random_of

# A caller's token names the input, so that Graph's side knows what to answer.
_TOKEN = re.compile(rf"authorization: bearer {CANARY}\.([a-z]+)\.(\d+)\r\n", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: (\d+)\r\n", re.IGNORECASE)

# Of the inputs, how many get odd answers; the others get a healthy Graph's.
_ODD_SHARE = 0.4

# Longer than the gateway waits.
_HANG_S = 1.0


def token(input_id: str) -> str:
    """Return the token of an input with an id such as `calls/7`."""
    return f"{CANARY}.{input_id.replace('/', '.')}"


@dataclass
class Graph:
    """A server; `posts` counts the POSTs by the id of the input that caused them."""

    seed: str
    port: int = 0
    posts: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1.0"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with suppress(asyncio.IncompleteReadError, ConnectionError, asyncio.LimitOverrunError):
            while not writer.is_closing():
                head = await reader.readuntil(b"\r\n\r\n")
                await self._answer(head, reader, writer)
        writer.close()

    async def _answer(
        self, head: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        found = _TOKEN.search(head.decode("latin-1"))
        input_id = f"{found[1]}/{found[2]}" if found else ""
        is_post = head.startswith(b"POST ")
        self.posts[input_id] += is_post
        self.requests[input_id] += 1
        length = _LENGTH.search(head)
        await reader.readexactly(int(length[1]) if length else 0)
        random = random_of(self.seed, f"graph/{input_id}/{self.requests[input_id]}")
        if input_id.startswith("calls/") and chance(random, _ODD_SHARE):
            await _odd_answer(random, writer)
        else:
            writer.write(_healthy(random) if is_post else _json(200, {"value": []}))
        await writer.drain()


def _json(status: int, value: object) -> bytes:
    data = json.dumps(value).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Length: {len(data)}\r\nrequest-id: 7f1c\r\n\r\n"
    return head.encode() + data


def _healthy(random: Random) -> bytes:
    described = {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "id": f"AAMk{random.randrange(10**9)}",
        "name": "n",
    }
    return _json(201, described)


async def _odd_answer(random: Random, writer: asyncio.StreamWriter) -> None:
    if chance(random, 0.1):
        await asyncio.sleep(_HANG_S)
    wire = http_responses.response(random, random.choice((0, 0, 201)), None)
    if chance(random, 0.3):
        wire = draws.mutated(random, wire)
    if chance(random, 0.1):
        wire = _json(random.choice((200, 503)), json_bodies.page(random))
    if writer.is_closing():
        return
    for piece in filter(None, draws.cut(random, wire, 3)):
        writer.write(piece)
    if chance(random, 0.1):
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
    elif chance(random, 0.5):
        writer.close()


@asynccontextmanager
async def graph(seed: str) -> AsyncIterator[Graph]:
    """Run Graph's side until the context ends."""
    made = Graph(seed)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
