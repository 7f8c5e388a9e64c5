"""HTTP to Graph: POSTs that create, and GETs that read.

A POST uses our own HTTP client, since the meaning of its failure depends on how much of it was
sent. A GET uses httpx: it is rare, and all its failures mean the same.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import httpx

from attachment_gateway.graph.attempt import Attempt
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import USER_AGENT, GraphRequest, Sender
from attachment_gateway.graph.response import NoResponse, Response
from attachment_gateway.http1.connection import CONNECT_TIMEOUT_S
from attachment_gateway.http1.failure import Failure
from attachment_gateway.http1.pool import Pool

# A response may echo the request's whole content, and has up to this much of its own.
RESPONSE_ALLOWANCE_BYTES = 64 * 1024

# httpx's errors, the most specific first. The last two come from an invalid path, which Graph can
# name as the next page of a list.
_FAILURES: Mapping[type[Exception], Failure] = MappingProxyType(
    {
        httpx.PoolTimeout: Failure.NO_FREE_CONNECTION,
        httpx.ConnectTimeout: Failure.CONNECT_TIMEOUT,
        httpx.ConnectError: Failure.CONNECT_FAILED,
        httpx.WriteTimeout: Failure.WRITE_TIMEOUT,
        httpx.WriteError: Failure.WRITE_FAILED,
        httpx.ReadTimeout: Failure.RESPONSE_TIMEOUT,
        TimeoutError: Failure.RESPONSE_TIMEOUT,
        httpx.HTTPError: Failure.CONNECTION_LOST,
        httpx.InvalidURL: Failure.NO_SUCH_PATH,
        UnicodeError: Failure.NO_SUCH_PATH,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphClientLimits:
    """The limits of a client, on time, connections and size.

    `timeout_s` applies separately to the wait for a free connection, to the sending of a request
    (as idle timeout), to a response's head and to its body. `max_connections` applies separately to
    POSTs and to GETs. `max_response_bytes` applies to a response's body.
    """

    timeout_s: float
    max_connections: int
    max_response_bytes: int


class GraphClient:
    """Graph's REST API at one root. Close it when done."""

    def __init__(self, root: GraphRoot, limits: GraphClientLimits) -> None:
        self.root = root
        self.limits = limits
        # Two TLS contexts, since httpcore changes the one that it gets. Both obey SSL_CERT_FILE and
        # SSL_CERT_DIR.
        self.pool = Pool(
            root.origin,
            httpx.create_ssl_context(),
            max_connections=limits.max_connections,
            timeout_s=limits.timeout_s,
        )
        self._reader = httpx.AsyncHTTPTransport(
            verify=httpx.create_ssl_context(),
            # No connection is kept, so that surplus bytes can't be taken for the next response.
            limits=httpx.Limits(
                max_connections=limits.max_connections, max_keepalive_connections=0
            ),
        )
        self._url = httpx.URL(root.origin.url)
        self._timeouts = httpx.Timeout(
            limits.timeout_s, connect=min(CONNECT_TIMEOUT_S, limits.timeout_s)
        ).as_dict()

    def create_attachment(
        self,
        graph_request: GraphRequest,
        *,
        may_offer: Callable[[], bool] = lambda: True,
        on_new_connection: bool = False,
    ) -> Attempt:
        """Return an attempt to create the attachment, to be sent once.

        `may_offer` is called before the last piece is offered; if it returns False, nothing is
        created.
        """
        return Attempt(
            self.pool,
            graph_request,
            may_offer,
            max_response_bytes=self.limits.max_response_bytes,
            timeout_s=self.limits.timeout_s,
            on_new_connection=on_new_connection,
        )

    async def get(self, path: str, sender: Sender) -> Response | NoResponse:
        """Return the response to a GET; `path` is below Graph's root and may have a query."""
        try:
            request = httpx.Request(
                "GET",
                self._url.copy_with(raw_path=(self.root.path + path).encode()),
                headers=_reading_headers(sender),
                extensions={"timeout": self._timeouts},
            )
            async with asyncio.timeout(self.limits.timeout_s):
                response = await self._reader.handle_async_request(request)
        # Not only httpx's errors: anyio raises AttributeError for a connection that its peer closes
        # at once. A GET changes nothing, so any failure of it just means that there is no response.
        except Exception as error:  # noqa: BLE001
            known = (_FAILURES[each] for each in _FAILURES if isinstance(error, each))
            return NoResponse(failure=next(known, Failure.CONNECTION_LOST), offered=True)
        return Response(
            http_status=response.status_code,
            headers=dict(response.headers),
            body=await self._read(response),
            offered=True,
        )

    async def _read(self, response: httpx.Response) -> bytes | None:
        """Return the body of a response; None if it is cut, late, undecodable or too long."""
        read = bytearray()
        try:
            if "," in response.headers.get("content-encoding", ""):
                return None  # one encoding expands at most 1,000 times, two 1,000,000 times
            async with asyncio.timeout(self.limits.timeout_s):
                async for piece in response.aiter_bytes():
                    read += piece
                    if len(read) > self.limits.max_response_bytes:
                        return None
        except Exception:  # noqa: BLE001 as in `get`
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
        ("Host", sender.root.origin.authority),
        ("Authorization", f"Bearer {sender.token}"),
        ("Accept", "application/json"),
        ("Accept-Encoding", "identity"),
        ("User-Agent", USER_AGENT),
        ("client-request-id", sender.ids.client_request_id),
    )
