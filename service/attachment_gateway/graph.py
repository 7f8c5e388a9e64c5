"""HTTP to Graph: one method per Graph call.

httpx's own transport, HTTP/1.1, below httpx's client: nothing is added to the request on the way,
no redirect is followed and nothing is sent twice. What the exceptions of the transport mean depends
on how much of the body had been offered to the socket, so the body counts.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import httpx

from attachment_gateway.envelope import Envelope, GraphRoot
from attachment_gateway.outcome import Broken, Reply

# An answer may echo the request's content whole, and says some more of its own.
ANSWER_ALLOWANCE_BYTES = 64 * 1024

# Connections are kept for less than Graph keeps them: one that Graph closes while a request is on
# its way costs an unclear outcome.
KEEPALIVE_S = 15.0

CONNECT_TIMEOUT_S = 10.0


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
        self._url = httpx.URL(scheme=root.scheme, netloc=root.host.encode(), path="/")
        self._transport = httpx.AsyncHTTPTransport(
            http1=True,
            http2=False,
            retries=0,
            trust_env=True,  # SSL_CERT_FILE and SSL_CERT_DIR; proxies are the client's, not used
            limits=httpx.Limits(
                max_connections=limits.max_connections,
                # Fewer kept than opened would close connections that are about to be needed.
                max_keepalive_connections=limits.max_connections,
                keepalive_expiry=KEEPALIVE_S,
            ),
        )
        self._timeouts = {
            "connect": min(CONNECT_TIMEOUT_S, limits.timeout_s),
            "read": limits.timeout_s,
            "write": limits.timeout_s,
            "pool": limits.timeout_s,
        }

    def create_attachment(self, envelope: Envelope) -> "Post":
        """Return the POST of an envelope, to be sent once."""
        return Post(self, envelope)

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def _send(self, envelope: Envelope, body: "_Body") -> Reply | Broken:
        request = httpx.Request(
            "POST",
            self._url.copy_with(raw_path=envelope.head.target),
            headers=list(envelope.head.headers(envelope.body_bytes)),
            stream=body,
            extensions={"timeout": self._timeouts},
        )
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(None) as patience:
                body.when_left(lambda: patience.reschedule(loop.time() + self._limits.timeout_s))
                response = await self._transport.handle_async_request(request)
        except TimeoutError:  # as the transport's own, which a trickle of bytes puts off
            return Broken(what=httpx.ReadTimeout.__name__, request_left=body.offered)
        except Exception as error:  # noqa: BLE001 whatever it is, what was offered judges it
            return Broken(what=type(error).__name__, request_left=body.offered)
        return Reply(
            http_status=response.status_code,
            headers=response.headers,
            body=await self._read(response),
            request_left=body.offered,
        )

    async def _read(self, response: httpx.Response) -> bytes | None:
        """Return the body of an answer; None if it is cut, late, undecodable or too long."""
        read = bytearray()
        try:
            if "," in response.headers.get("content-encoding", ""):
                return None  # one encoding multiplies a thousandfold at most, two a millionfold
            async with asyncio.timeout(self._limits.timeout_s):
                async for piece in response.aiter_bytes():
                    read += piece
                    if len(read) > self._limits.max_answer_bytes:
                        return None
        except (httpx.HTTPError, TimeoutError):
            return None
        finally:
            await response.aclose()
        return bytes(read)


class Post:
    """One POST under way."""

    def __init__(self, graph: Graph, envelope: Envelope) -> None:
        self._graph = graph
        self._envelope = envelope
        self._body = _Body(envelope.body)

    @property
    def request_left(self) -> bool:
        """Whether the whole request has been offered to the socket, so that Graph may act on it."""
        return self._body.offered

    async def send(self) -> Reply | Broken:
        """Send it and read the answer."""
        return await self._graph._send(self._envelope, self._body)  # noqa: SLF001


class _Body(httpx.AsyncByteStream):
    """A body that knows whether its last piece has been asked for."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self._pieces = pieces
        self._tell: Callable[[], None] = lambda: None
        self.offered = False

    def when_left(self, tell: Callable[[], None]) -> None:
        """Call this when the last piece is asked for."""
        self._tell = tell

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces[:-1]:
            yield piece
        self.offered = True
        self._tell()
        yield self._pieces[-1]
