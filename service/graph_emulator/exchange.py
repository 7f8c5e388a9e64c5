"""One request and its response, over ASGI, and the ways to cut the connection between them."""

import asyncio
from contextlib import suppress

from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from graph_emulator.answers import Answer
from graph_emulator.refusals import TOO_LARGE, Refused
from graph_emulator.wire import STATE_KEY, Wire

# How long an early response waits for the rest of the body. Closing while the client still sends
# would reset the connection, and the client could lose the response.
DRAIN_S = 5.0

NO_CONTENT = 204  # without body and Content-Length (RFC 9110, 8.6)


class ClientGone(Exception):
    """The client has closed the connection before the response."""


class Exchange:
    """A request and its response."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.get("state", {})
        if STATE_KEY not in state:
            raise RuntimeError("serve this app with graph_emulator.server: it needs its wire")
        self.wire: Wire = state[STATE_KEY]
        self.method: str = scope["method"]
        self.path: str = scope["raw_path"].decode("ascii")
        self.query_string: str = scope["query_string"].decode("ascii")
        self.path_params: dict[str, str] = scope["path_params"]
        self.headers = Headers(scope=scope)
        self.status: int | None = None
        self.request_bytes = self.wire.request_bytes
        self._chunks: list[bytes] = []
        self._body_ended = False
        self._receive = receive
        self._send = send

    @property
    def target(self) -> str:
        """The path and the query, as they were sent."""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    async def read(self, max_request_bytes: int) -> bytes:
        """Read and return the body. Raises `Refused` if the request is too large, `ClientGone`."""
        while not self._body_ended:
            self._chunks.append(await self._next_chunk())
            if self.request_bytes > max_request_bytes:
                raise Refused(TOO_LARGE)
        return self.body

    @property
    def body(self) -> bytes:
        """The part of the body that has been read."""
        self._chunks = [b"".join(self._chunks)]
        return self._chunks[0]

    async def answer(self, answer: Answer) -> None:
        """Send a response; if the body is still coming, read it for at most DRAIN_S, and close."""
        early = not self._body_ended
        await self._begin(answer, close=early)
        await self._send({"type": "http.response.body", "body": answer.body, "more_body": early})
        if early:
            await self._drain()
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def cut(self, *, reset: bool) -> None:
        """Cut the connection without a response."""
        await self.wire.cut(reset=reset)

    async def cut_within(self, answer: Answer, *, reset: bool) -> None:
        """Cut the connection after half of the response's body."""
        half = answer.body[: len(answer.body) // 2]
        await self._begin(answer, close=False)
        await self._send({"type": "http.response.body", "body": half, "more_body": True})
        await self.wire.cut(reset=reset)

    async def _begin(self, answer: Answer, *, close: bool) -> None:
        self.status = answer.status
        headers = dict(answer.headers)
        if answer.status != NO_CONTENT:
            headers["Content-Length"] = str(len(answer.body))
        if close:
            headers["Connection"] = "close"
        raw = [(name.encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]
        await self._send({"type": "http.response.start", "status": answer.status, "headers": raw})

    async def _next_chunk(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._body_ended = not message.get("more_body", False)
        self.request_bytes = self.wire.request_bytes
        chunk: bytes = message.get("body", b"")
        return chunk

    async def _drain(self) -> None:
        with suppress(TimeoutError, ClientGone):
            async with asyncio.timeout(DRAIN_S):
                while not self._body_ended:
                    await self._next_chunk()
