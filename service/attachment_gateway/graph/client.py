"""HTTP to Graph: POSTs that create, and GETs that read.

Both use our own HTTP client. The meaning of a POST's failure depends on how much of it was sent,
and both need its bounds on what a server answers: httpx's parser takes any number of headers, and
its time for them is proportional to the square of their number.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import httpx

from attachment_gateway.graph.attempt import Attempt
from attachment_gateway.graph.off_loop import OffLoop
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import USER_AGENT, GraphRequest, Sender
from attachment_gateway.graph.response import NoResponse, Response
from attachment_gateway.http1.failure import Failure, NoResponseError
from attachment_gateway.http1.pool import Pool
from attachment_gateway.http1.response_parser import ResponseParser

# A response may echo the request's whole content, and has up to this much of its own.
RESPONSE_ALLOWANCE_BYTES = 64 * 1024

# Graph may show an item with more than was sent: each character as an escape of six bytes for two,
# markup around a text, and the properties that were not set.
ECHO_GROWTH = 4
ECHO_ALLOWANCE_BYTES = 256 * 1024

# A path has some 1,000 characters, the most by which a list continues under 3,000.
MAX_PATH_CHARS = 8 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphClientLimits:
    """The limits of a client, on time, connections and size.

    `timeout_s` applies separately to the wait for a free connection, to the sending of a request
    (as idle timeout), to a response's head and to its body. `max_connections` applies separately to
    POSTs and to GETs. `max_response_bytes` applies to a response's body; of a look-up of what
    a request has created, `echo_bytes` is read at most.
    """

    timeout_s: float
    max_connections: int
    max_response_bytes: int

    def echo_bytes(self, graph_request: GraphRequest) -> int:
        """Return the most that is read of a look-up of what this request creates.

        So memory for a look-up is in proportion to what its caller has sent.
        """
        usual = ECHO_GROWTH * graph_request.body_bytes + ECHO_ALLOWANCE_BYTES
        return min(usual, self.max_response_bytes)


class GraphClient:
    """Graph's REST API at one root. Close it when done.

    `off_loop` is for functions that read large responses.
    """

    def __init__(self, root: GraphRoot, limits: GraphClientLimits) -> None:
        self.root = root
        self.limits = limits
        self.off_loop = OffLoop()
        tls = httpx.create_ssl_context()  # obeys SSL_CERT_FILE and SSL_CERT_DIR
        pool = partial(
            Pool,
            root.origin,
            tls,
            max_connections=limits.max_connections,
            timeout_s=limits.timeout_s,
        )
        self.pool, self._reading = pool(), pool()

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

    async def get(
        self, path: str, sender: Sender, *, max_body_bytes: int | None = None
    ) -> Response | NoResponse:
        """Return the response to a GET; `path` is below Graph's root and may have a query.

        A body of more than `max_body_bytes`, by default the client's limit, is None.
        """
        target = self.root.path + path
        if not _can_be_sent(target):
            return NoResponse(failure=Failure.NO_SUCH_PATH, offered=True)
        limit_bytes = self.limits.max_response_bytes
        if max_body_bytes is not None:
            limit_bytes = min(max_body_bytes, limit_bytes)
        parser = ResponseParser(max_body_bytes=limit_bytes)
        try:
            await self._read(_reading_head(target, sender), parser)
        except NoResponseError as error:
            return NoResponse(failure=error.failure, offered=True)
        return Response(
            http_status=parser.http_status,
            headers=parser.headers,
            body=parser.body,
            offered=True,
            is_too_large=parser.is_too_large,
        )

    async def _read(self, head: bytes, parser: ResponseParser) -> None:
        """Send a request that reads, over a connection that is used for no other one.

        So surplus bytes can't be taken for the next response. Raises NoResponseError.
        """
        connection = await self._reading.take(on_new_connection=True)
        try:
            await connection.exchange(
                (head,), parser, may_offer=lambda: True, timeout_s=self.limits.timeout_s
            )
        finally:
            connection.reset()
            self._reading.release(connection)

    async def close(self) -> None:
        """Close the connections."""
        self.pool.close()
        self._reading.close()
        self.off_loop.close()


def _can_be_sent(target: str) -> bool:
    """Return whether a path can stand in a request line; Graph names that of a list's next page."""
    return (
        len(target) <= MAX_PATH_CHARS
        and target.startswith("/")
        and target.isascii()
        and target.isprintable()
        and " " not in target
    )


def _reading_head(target: str, sender: Sender) -> bytes:
    return (
        f"GET {target} HTTP/1.1\r\n"
        f"Host: {sender.root.origin.authority}\r\n"
        f"Authorization: Bearer {sender.token}\r\n"
        "Accept: application/json\r\n"
        "Accept-Encoding: identity\r\n"
        f"User-Agent: {USER_AGENT}\r\n"
        f"client-request-id: {sender.ids.client_request_id}\r\n"
        "\r\n"
    ).encode()
