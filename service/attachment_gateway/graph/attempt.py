"""One attempt to create an attachment: a POST over a connection of the pool."""

import asyncio
from collections.abc import Callable

from attachment_gateway.graph.request import FILE, GraphRequest
from attachment_gateway.graph.response import NoResponse, Response
from attachment_gateway.http1.failure import Failure, NoResponseError
from attachment_gateway.http1.pool import Pool
from attachment_gateway.http1.response_parser import ResponseParser

# Graph may echo a file's base64, which isn't needed: from here to the next quote it is skipped.
_ECHOED_CONTENT = b'"contentBytes":"'


class Attempt:
    """One POST, to be sent once.

    `offered`: its last piece was offered, so that Graph may act on it; `offered_at`: when that was,
    on the event loop's clock.
    """

    def __init__(
        self,
        pool: Pool,
        graph_request: GraphRequest,
        may_offer: Callable[[], bool],
        *,
        max_response_bytes: int,
        timeout_s: float,
        on_new_connection: bool,
    ) -> None:
        self._pool = pool
        self._graph_request = graph_request
        self._may_offer = may_offer
        self._max_response_bytes = max_response_bytes
        self._timeout_s = timeout_s
        self._on_new_connection = on_new_connection
        self.offered = False
        self.offered_at = 0.0

    async def send(self) -> Response | NoResponse:
        """Send it and read the response."""
        parser = ResponseParser(
            max_body_bytes=self._max_response_bytes,
            skipped_after=_ECHOED_CONTENT if self._graph_request.kind == FILE else b"",
        )
        try:
            connection = await self._pool.take(on_new_connection=self._on_new_connection)
            try:
                await connection.exchange(
                    self._graph_request.pieces(),
                    parser,
                    may_offer=self._offer,
                    timeout_s=self._timeout_s,
                )
            finally:
                self._pool.release(connection)
        except NoResponseError as error:
            return NoResponse(failure=error.failure, offered=self.offered)
        if parser.http_status < 300 and not self.offered:
            return NoResponse(failure=Failure.EARLY_SUCCESS, offered=False)
        return Response(
            http_status=parser.http_status,
            headers=parser.headers,
            body=parser.body,
            offered=self.offered,
            is_too_large=parser.is_too_large,
        )

    def _offer(self) -> bool:
        self.offered = self._may_offer()
        self.offered_at = asyncio.get_running_loop().time()
        return self.offered
