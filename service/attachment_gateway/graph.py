"""HTTP to Graph: a POST that creates, and GETs that read.

The pool below httpx2's client, HTTP/1.1: nothing is added to a request on the way, no redirect is
followed and nothing is sent twice. What its exceptions mean depends on how much of the body had
been offered to the socket, so the body counts.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

import httpcore2
import httpx2

from attachment_gateway.envelope import Envelope, GraphRoot, Sender, reading_headers
from attachment_gateway.network import Network
from attachment_gateway.reply import Broken, Reply

# An answer may echo the request's content whole, and says some more of its own.
ANSWER_ALLOWANCE_BYTES = 64 * 1024

# Connections are kept for less than Graph keeps them: one that Graph closes while a request is on
# its way costs an unclear outcome.
KEEPALIVE_S = 15.0

CONNECT_TIMEOUT_S = 10.0

_Tell = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphLimits:
    """`timeout_s`: for each piece of a request to move on, for the answer's head, for its body."""

    timeout_s: float
    max_connections: int
    max_answer_bytes: int


class Graph:
    """Graph's REST API at one root. Close it when done."""

    def __init__(self, root: GraphRoot, limits: GraphLimits) -> None:
        self.root = root
        self._limits = limits
        self._url = httpx2.URL(f"{root.scheme}://{root.host}")
        self._tls = httpx2.create_ssl_context(trust_env=True)  # SSL_CERT_FILE and SSL_CERT_DIR
        self._pool = self._new_pool(limits.max_connections)
        self._timeouts = {
            "connect": min(CONNECT_TIMEOUT_S, limits.timeout_s),
            "read": limits.timeout_s,
            "write": limits.timeout_s,
            "pool": limits.timeout_s,
        }

    def create_attachment(
        self,
        envelope: Envelope,
        *,
        may_leave: Callable[[], bool] = lambda: True,
        anew: bool = False,
    ) -> "Post":
        """Return the POST of an envelope, to be sent once, `anew` over a connection of its own.

        `may_leave` is asked before the last piece is offered; if it may not, nothing is created.
        """
        return Post(self, envelope, may_leave, anew=anew)

    async def get(self, path: str, sender: Sender) -> Reply | Broken:
        """Read what is at a path below Graph's root, query included."""
        body = _Body((b"",))
        target = (self.root.path + path).encode()
        request = self._request("GET", target, reading_headers(sender), body)
        return await self._exchange(self._pool, request, body)

    async def close(self) -> None:
        """Close the connections."""
        await self._pool.aclose()

    async def _post(self, envelope: Envelope, body: "_Body", *, anew: bool) -> Reply | Broken:
        headers = envelope.head.headers(envelope.body_bytes)
        request = self._request("POST", envelope.head.target, headers, body)
        if not anew:
            return await self._exchange(self._pool, request, body)
        async with self._new_pool(1) as pool:
            return await self._exchange(pool, request, body)

    def _request(
        self, method: str, target: bytes, headers: Sequence[tuple[bytes, bytes]], body: "_Body"
    ) -> httpcore2.Request:
        url = httpcore2.URL(
            scheme=self._url.raw_scheme,
            host=self._url.raw_host,
            port=self._url.port,
            target=target,
        )
        extensions = {"timeout": self._timeouts}
        return httpcore2.Request(method, url, headers=headers, content=body, extensions=extensions)

    async def _exchange(
        self, pool: httpcore2.AsyncConnectionPool, request: httpcore2.Request, body: "_Body"
    ) -> Reply | Broken:
        """Send a request and read the answer; from when it has left, the answer has its time."""
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as patience:
                body.when_left(lambda: patience.reschedule(loop.time() + self._limits.timeout_s))
                response = await pool.handle_async_request(request)
        except TimeoutError:  # as the pool's own, which a trickle of bytes puts off
            return Broken(what=httpcore2.ReadTimeout.__name__, request_left=body.offered)
        except Exception as error:  # noqa: BLE001 whatever it is, what was offered judges it
            return Broken(what=type(error).__name__, request_left=body.offered)
        if not response.extensions["network_stream"].asked:
            await response.aclose()  # what it says is about a request before this one
            return Broken(what="an answer before its request", request_left=body.offered)
        headers = _headers(response)
        return Reply(
            http_status=response.status,
            headers=headers,
            body=await self._read(response, headers.get("content-encoding", "")),
            request_left=body.offered,
        )

    async def _read(self, response: httpcore2.Response, encoding: str) -> bytes | None:
        """Return the body of an answer; None if it is cut, late, undecodable or too long."""
        read = bytearray()
        try:
            if "," in encoding:
                return None  # one encoding multiplies a thousandfold at most, two a millionfold
            async with asyncio.timeout(self._limits.timeout_s):
                async for piece in _decoded(response) if encoding else response.aiter_stream():
                    read += piece
                    if len(read) > self._limits.max_answer_bytes:
                        return None
        except (httpcore2.NetworkError, httpcore2.ProtocolError, httpcore2.TimeoutException):
            return None
        except (httpx2.HTTPError, TimeoutError):
            return None
        finally:
            await response.aclose()
        return bytes(read)

    def _new_pool(self, max_connections: int) -> httpcore2.AsyncConnectionPool:
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._tls,
            max_connections=max_connections,
            # Fewer kept than opened would close connections that are about to be needed.
            max_keepalive_connections=max_connections,
            keepalive_expiry=KEEPALIVE_S,
            http1=True,
            http2=False,
            retries=0,
            socket_options=_unacknowledged_at_most(self._limits.timeout_s),
            network_backend=Network(),
        )


def _headers(response: httpcore2.Response) -> dict[str, str]:
    """Return the headers by lower-case name, those that come more than once as one list."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("ascii", "replace").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def _decoded(response: httpcore2.Response) -> AsyncIterator[bytes]:
    """Undo an encoding that nobody asked for."""

    class Raw(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            async for piece in response.aiter_stream():
                yield piece

    encoded = httpx2.Response(response.status, headers=response.headers, stream=Raw())
    return encoded.aiter_bytes()


def _unacknowledged_at_most(timeout_s: float) -> list[tuple[int, int, int]]:
    """Return the option that ends a connection whose bytes nobody takes for so long."""
    if not hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux has it
        return []
    return [(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(timeout_s * 1000))]


class Post:
    """One POST under way."""

    def __init__(
        self, graph: Graph, envelope: Envelope, may_leave: Callable[[], bool], *, anew: bool
    ) -> None:
        self._graph = graph
        self._envelope = envelope
        self._anew = anew
        self._body = _Body(envelope.body, may_leave)

    @property
    def request_left(self) -> bool:
        """Whether the whole request has been offered to the socket, so that Graph may act on it."""
        return self._body.offered

    @property
    def left_at(self) -> float:
        """When that was, by the loop's clock."""
        return self._body.left_at

    async def send(self) -> Reply | Broken:
        """Send it and read the answer."""
        return await self._graph._post(self._envelope, self._body, anew=self._anew)  # noqa: SLF001


class _MayNotLeaveError(Exception):
    """The last piece is held back."""


class _Body:
    """A body that knows whether its last piece has been asked for."""

    def __init__(
        self, pieces: tuple[bytes, ...], may_leave: Callable[[], bool] = lambda: True
    ) -> None:
        self._pieces = pieces
        self._may_leave = may_leave
        self._tell: _Tell = lambda: None
        self.offered = False
        self.left_at = 0.0

    def when_left(self, tell: _Tell) -> None:
        """Call this when the last piece is asked for."""
        self._tell = tell

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces[:-1]:
            yield piece
        if not self._may_leave():
            raise _MayNotLeaveError
        self.offered = True
        self.left_at = asyncio.get_running_loop().time()
        self._tell()
        yield self._pieces[-1]
