"""A stand-in for Graph that answers by the post's id and by the token, and that can be hostile.

`python -m tests.abuse.graph` serves until killed. A post's id begins with a word of BEHAVIOURS.
A token without a signature gets 401 on every post, whose owner did nothing wrong.
"""

import asyncio
import gzip
import re
from collections.abc import Callable, Iterator, Mapping
from email.utils import formatdate
from functools import cache
from itertools import count
from time import gmtime, strftime, time
from typing import cast

import uvloop

from tests.abuse.traffic import UNSIGNED_END

# About what a nearby Graph takes for a small request.
DELAY_S = 0.03

PAGES = 12
PAGE_BYTES = 4_000_000
TINY_ITEM_BYTES = 3_600_000

_RECEIVE_BYTES = 1024 * 1024
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"

_ids = count()

# A list of `packed` posts in gzip expands from 0.25 MB to this.
PACKED_BYTES = 256 * 1024 * 1024

# A status, a body, and perhaps more headers.
Answer = tuple[int, bytes] | tuple[int, bytes, str]


def created(_: bytes) -> Answer:
    """Describe a created file."""
    return 201, b'{"@odata.type":"#microsoft.graph.fileAttachment",%s,"name":"report.pdf"}' % _id()


def echoed(body: bytes) -> Answer:
    """Repeat the attachment as it was sent, with an id."""
    return 201, b"{%s,%s" % (_id(), body[1:])


def tiny(_: bytes) -> Answer:
    """Describe an item of as many elements as fit into TINY_ITEM_BYTES."""
    elements = b"{}," * (TINY_ITEM_BYTES // 3)
    item = b'{"@odata.type":"#microsoft.graph.event","attendees":[%s{}]}' % elements
    return 201, b'{"@odata.type":"#microsoft.graph.itemAttachment",%s,"item":%s}' % (_id(), item)


def unclear(_: bytes) -> Answer:
    """Answer as a Graph that may have created the attachment."""
    return 503, _error("ServiceNotAvailable")


def denied() -> Answer:
    """Refuse the token."""
    return 401, _error("InvalidAuthenticationToken")


BEHAVIOURS: Mapping[str, Callable[[bytes], Answer]] = {
    "plain": created,
    "echo": echoed,
    "tiny": tiny,
    "pages": unclear,
    "packed": unclear,
}


def listed(target: str) -> Answer:
    """Return an empty list; for posts of `pages` a page of elements without a name, of PAGES."""
    if "/posts/packed" in target:
        return 200, _packed(), "Content-Encoding: gzip\r\n"
    if "/posts/pages" not in target:
        return 200, b'{"value":[]}'
    page = int(target.partition("page=")[2] or 1)
    elements = b"{}," * (PAGE_BYTES // 3)
    path = target.partition("?")[0]
    link = b',"@odata.nextLink":"http://{host}%s?page=%d"' % (path.encode(), page + 1)
    return 200, b'{"value":[%s{}]%s}' % (elements, link if page < PAGES else b"")


@cache
def _packed() -> bytes:
    return gzip.compress(bytes(PACKED_BYTES))


def _id() -> bytes:
    stamp = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(time()))
    return b'"id":"AAMkAG%06d","lastModifiedDateTime":"%s"' % (next(_ids), stamp.encode())


def _error(code: str) -> bytes:
    return b'{"error":{"code":"%s","message":"no"}}' % code.encode()


class Connection(asyncio.BufferedProtocol):
    """One connection, which takes one request after the other."""

    # One buffer for all connections: bytes are taken before the next are received.
    _buffer = memoryview(bytearray(_RECEIVE_BYTES))

    def __init__(self) -> None:
        self._received = bytearray()
        self._requests = self._answers()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's type doesn't inherit it

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 the protocol's
        """Return the buffer to receive into."""
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take the received bytes."""
        self._received += self._buffer[:nbytes]
        next(self._requests)

    def _answers(self) -> Iterator[None]:
        """Take one request after the other, each step with more bytes."""
        while True:
            while (end := self._received.find(_END_OF_HEAD)) < 0:
                yield
            head = bytes(self._received[:end])
            length = _CONTENT_LENGTH.search(head)
            whole_bytes = end + len(_END_OF_HEAD) + (int(length[1]) if length else 0)
            while len(self._received) < whole_bytes:
                yield
            body = bytes(self._received[end + len(_END_OF_HEAD) : whole_bytes])
            del self._received[:whole_bytes]
            asyncio.get_running_loop().call_later(DELAY_S, self._answer, head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(_http(*_answer(head, body), host=_header(head, b"host")))


def _answer(head: bytes, body: bytes) -> Answer:
    method, target, _ = head.split(b"\r\n")[0].decode().split(" ")
    if _header(head, b"authorization").endswith(UNSIGNED_END.encode()):
        return denied()
    if method == "GET":
        return listed(target)
    post_id = target.partition("/posts/")[2]
    return BEHAVIOURS[post_id.partition("-")[0]](body)


def _header(head: bytes, name: bytes) -> bytes:
    found = re.search(rb"\r\n%s: *([^\r]*)" % name, head, re.IGNORECASE)
    return found[1] if found else b""


def _http(status: int, body: bytes, headers: str = "", *, host: bytes) -> bytes:
    body = body.replace(b"{host}", host)
    head = (
        f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}"
        f"Content-Length: {len(body)}\r\nDate: {formatdate(usegmt=True)}\r\n"
        "request-id: 5e6d9a2c-4b7f-4c1e-9a53-0c2f6b8d7e10\r\n\r\n"
    )
    return head.encode() + body


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, "127.0.0.1", 0, backlog=1024)
    print(f"listening on 127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)  # noqa: T201
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve())
