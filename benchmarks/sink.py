"""A stand-in for Graph at the least cost: it counts each request's bytes and answers 201.

`--delay-s` delays its responses; with `--echo` they hold the whole content, as Graph's may. GET
/sink returns, in JSON, the counts since the last GET: requests created, their bytes, and how many
waited for their response at once.
"""

import argparse
import asyncio
import re
from collections.abc import Callable
from email.utils import formatdate
from itertools import count
from time import gmtime, strftime, time
from typing import cast

import orjson
import uvloop

_RECEIVE_BYTES = 1024 * 1024
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"

_HEAD = (
    "HTTP/1.1 %d %s\r\n"
    "Content-Type: application/json;odata.metadata=minimal\r\n"
    "Content-Length: %d\r\n"
    "Date: %s\r\n"
    "request-id: 5e6d9a2c-4b7f-4c1e-9a53-0c2f6b8d7e10\r\n"
    "\r\n"
)
_CREATED = (
    '{"@odata.context":"https://graph.microsoft.com/v1.0/$metadata#attachments/$entity",'
    '"@odata.type":"#microsoft.graph.fileAttachment","@odata.mediaContentType":"application/pdf",'
    '"id":"AAMkAG%06dAAAAAAB8YL=","lastModifiedDateTime":"%s",'
    '"name":"quarterly report.pdf","contentType":"application/pdf","size":1053,"isInline":false,'
    '"contentId":null,"contentLocation":null'
)

_EMPTY = b'{"value":[]}'


class Graph:
    """The state that all connections share."""

    def __init__(self, *, delay_s: float, echo: bool) -> None:
        self.delay_s = delay_s
        self.echo = echo
        # One buffer for all connections: bytes are taken before the next are received.
        self.buffer = memoryview(bytearray(_RECEIVE_BYTES))
        self._ids = count()
        self._created = self._body_bytes = self._waiting = self._waited_at_once = 0

    def received(self, body_bytes: int) -> None:
        """Count a complete request."""
        self._created += 1
        self._body_bytes += body_bytes
        self._waiting += 1
        self._waited_at_once = max(self._waited_at_once, self._waiting)

    def answer(self, body: bytes) -> bytes:
        """Return the response, with the request's `contentBytes` if `echo` is set."""
        self._waiting -= 1
        stamp = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(time()))
        described = (_CREATED % (next(self._ids), stamp)).encode()
        start = body.find(b'"contentBytes"') if self.echo else -1
        echoed = b"," + body[start:] if start >= 0 else b"}"
        return _head(201, "Created", len(described) + len(echoed)) + described + echoed

    def told(self) -> bytes:
        """Return the response with the counts since the last one, and reset them."""
        counts = {
            "created": self._created,
            "body_bytes": self._body_bytes,
            "waited_at_once": self._waited_at_once,
        }
        self._created = self._body_bytes = self._waited_at_once = 0
        body = orjson.dumps(counts)
        return _head(200, "OK", len(body)) + body


def _head(status: int, reason: str, length: int) -> bytes:
    return (_HEAD % (status, reason, length, formatdate(usegmt=True))).encode()


class Connection(asyncio.BufferedProtocol):
    """One connection, which takes one request after the other."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._head = b""
        self._left = 0
        self._length = 0
        self._body: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's type doesn't inherit it

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 the protocol's
        """Return the buffer to receive into."""
        return self._graph.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take the received bytes."""
        received = self._graph.buffer[:nbytes]
        if not self._left:
            self._head += received
            head, end, rest = self._head.partition(_END_OF_HEAD)
            if not end:
                return
            self._head = b""
            if head.startswith(b"GET /sink"):
                self._transport.write(self._graph.told())
                return
            if head.startswith(b"GET "):
                self._later(self._list)
                return
            length = _CONTENT_LENGTH.search(head)
            self._left = self._length = int(length[1]) if length else 0
            received = memoryview(rest)
        self._take(received)

    def _take(self, received: memoryview) -> None:
        self._left -= len(received)
        if self._graph.echo:
            self._body.append(bytes(received))
        if self._left:
            return
        self._graph.received(self._length)
        self._later(self._answer)

    def _later(self, respond: Callable[[], None]) -> None:
        if self._graph.delay_s:
            asyncio.get_running_loop().call_later(self._graph.delay_s, respond)
        else:
            respond()

    def _list(self) -> None:
        """Answer a list of a post's attachments: it has none."""
        self._transport.write(_head(200, "OK", len(_EMPTY)) + _EMPTY)

    def _answer(self) -> None:
        answer = self._graph.answer(b"".join(self._body))
        self._body.clear()
        self._transport.write(answer)


async def serve(graph: Graph) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(graph), "127.0.0.1", 0, backlog=1024)
    host, port = server.sockets[0].getsockname()
    print(f"listening on {host}:{port}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-s", type=float, default=0.0)
    parser.add_argument("--echo", action="store_true")
    asked = parser.parse_args()
    uvloop.run(serve(Graph(delay_s=asked.delay_s, echo=asked.echo)))


if __name__ == "__main__":
    main()
