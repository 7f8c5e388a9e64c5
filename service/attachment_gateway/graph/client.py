"""HTTP to Graph: a POST that creates, and GETs that read.

A POST goes over connections of our own, since what its failure means depends on how much of it had
been handed over. Reading is httpx's: it is rare, and may fail in any way.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from attachment_gateway.http1.connection import CONNECT_TIMEOUT_S, BrokenError
from attachment_gateway.graph.request import FILE, USER_AGENT, GraphRequest, Sender
from attachment_gateway.http1.origin import GraphRoot
from attachment_gateway.http1.response_parser import ResponseParser
from attachment_gateway.http1.pool import Pool
from attachment_gateway.graph.response import NoResponse, Response

# An answer may echo the request's content whole, and says some more of its own.
ANSWER_ALLOWANCE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphClientLimits:
    """`timeout_s`: for a connection to be free, a request to move on, an answer's head, its body.

    `max_connections` are POSTs', and as many again may read; `max_answer_bytes` of a body.
    """

    timeout_s: float
    max_connections: int
    max_answer_bytes: int


class Graph:
    """Graph's REST API at one root. Close it when done."""

    def __init__(self, root: GraphRoot, limits: GraphClientLimits) -> None:
        self.root = root
        self.limits = limits
        tls = httpx.create_ssl_context()  # SSL_CERT_FILE and SSL_CERT_DIR count
        self.pool = Pool(
            root, tls, max_connections=limits.max_connections, timeout_s=limits.timeout_s
        )
        self._reader = httpx.AsyncHTTPTransport(
            verify=tls,
            # None is kept: what one connection says too much can't be taken for another's answer.
            limits=httpx.Limits(
                max_connections=limits.max_connections, max_keepalive_connections=0
            ),
        )
        self._url = httpx.URL(f"{root.scheme}://{root.host}")
        self._timeouts = httpx.Timeout(
            limits.timeout_s, connect=min(CONNECT_TIMEOUT_S, limits.timeout_s)
        ).as_dict()

    def create_attachment(
        self,
        graph_request: GraphRequest,
        *,
        may_offer: Callable[[], bool] = lambda: True,
        anew: bool = False,
    ) -> "Post":
        """Return the POST of a request, to be sent once, `anew` over a new connection.

        `may_leave` is asked before the last piece is let go; if it may not, nothing is created.
        """
        return Post(self, graph_request, may_offer, anew=anew)

    async def get(self, path: str, sender: Sender) -> Response | NoResponse:
        """Read what is at a path below Graph's root, query included."""
        try:
            request = httpx.Request(
                "GET",
                self._url.copy_with(raw_path=(self.root.path + path).encode()),
                headers=_reading_headers(sender),
                extensions={"timeout": self._timeouts},
            )
            async with asyncio.timeout(self.limits.timeout_s):
                response = await self._reader.handle_async_request(request)
        # The middle two are of a path that is none: Graph names the next page's.
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError, TimeoutError) as error:
            return NoResponse(what=type(error).__name__, offered=True)
        return Response(
            http_status=response.status_code,
            headers=dict(response.headers),
            body=await self._read(response),
            offered=True,
        )

    async def _read(self, response: httpx.Response) -> bytes | None:
        """Return the body of an answer; None if it is cut, late, undecodable or too long."""
        read = bytearray()
        try:
            if "," in response.headers.get("content-encoding", ""):
                return None  # one encoding multiplies a thousandfold at most, two a millionfold
            async with asyncio.timeout(self.limits.timeout_s):
                async for piece in response.aiter_bytes():
                    read += piece
                    if len(read) > self.limits.max_answer_bytes:
                        return None
        except (httpx.HTTPError, TimeoutError):
            return None
        finally:
            await response.aclose()
        return bytes(read)

    async def close(self) -> None:
        """Close the connections."""
        self.pool.close()
        await self._reader.aclose()


def _reading_headers(sender: Sender) -> tuple[tuple[str, str], ...]:
    """Return the headers of a request that reads, in the order in which they are sent."""
    return (
        ("Host", sender.root.host),
        ("Authorization", f"Bearer {sender.token}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", USER_AGENT),
        ("client-request-id", sender.client_request_id),
    )


class Post:
    """One POST under way.

    `request_left`: its last piece was let go, so that Graph may act on it; `left_at`: when that
    was, by the loop's clock.
    """

    def __init__(
        self, graph: Graph, graph_request: GraphRequest, may_offer: Callable[[], bool], *, anew: bool
    ) -> None:
        self._graph = graph
        self._graph_request = graph_request
        self._may_offer = may_offer
        self._anew = anew
        self.offered = False
        self.offered_at = 0.0

    async def send(self) -> Response | NoResponse:
        """Send it and read the answer."""
        limits = self._graph.limits
        answer = ResponseParser(
            max_body_bytes=limits.max_answer_bytes, without_content=self._graph_request.kind == FILE
        )
        try:
            connection = await self._graph.pool.take(anew=self._anew)
            try:
                await connection.exchange(
                    self._graph_request.pieces(), answer, leave=self._leave, timeout_s=limits.timeout_s
                )
            finally:
                self._graph.pool.give_back(connection)
        except BrokenError as broken:
            return NoResponse(what=broken.what, offered=self.offered)
        if answer.http_status < 300 and not self.offered:
            return NoResponse(what="a success before its request", offered=False)
        return Response(
            http_status=answer.http_status,
            headers=answer.headers,
            body=answer.body,
            offered=self.offered,
        )

    def _leave(self) -> bool:
        self.offered = self._may_offer()
        self.offered_at = asyncio.get_running_loop().time()
        return self.offered
