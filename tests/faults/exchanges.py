"""One request and its response, passed on byte by byte up to the point of a fault."""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from tests.faults.streams import GONE, Link, pieces
from tests.faults.traffic import Passage, Traffic
from tests.faults.wire_faults import AS_IT_IS, Head

# How long to wait for a response whose client was cut off, and for one when Graph seems gone.
UNHEARD_S = 10.0
LAST_RESPONSE_S = 0.5


# What continues after the client's connection has ended.
Continuation = Callable[[], Coroutine[Any, Any, None]]


class Cut(Exception):
    """The client's connection ends here by `act`; `then` continues after its end."""

    def __init__(self, act: str, then: Continuation | None = None) -> None:
        self.act = act
        self.then = then


class Exchange:
    """One request and its response."""

    def __init__(self, client: Link, upstream: Link, request: Head, traffic: Traffic) -> None:
        self._client = client
        self._upstream = upstream
        self._request = request
        self._traffic = traffic
        self._fault = traffic.take(request.method)
        self._gathered = b""
        self._passage = Passage(request.method, request.target, time.time())
        traffic.passages.append(self._passage)

    async def run(self) -> bool:
        """Pass both sides on; return whether the connection can be reused. Raises Cut, or GONE."""
        sending = asyncio.ensure_future(self._send())
        answering = asyncio.ensure_future(self._answer())
        try:
            await asyncio.wait({sending, answering}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done() and isinstance(sending.exception(), GONE):
                # Graph may have ended the connection with its response on the way.
                await asyncio.wait({answering}, timeout=LAST_RESPONSE_S)
                return answering.done() and answering.result()
            if sending.done():
                sending.result()
            if (
                not await answering
            ):  # a response may be early, so the request goes on until Graph closes
                closed = asyncio.ensure_future(self._upstream.discard())
                await asyncio.wait({sending, closed}, return_when=asyncio.FIRST_COMPLETED)
                closed.cancel()
                return False
            await sending
            return True
        finally:
            self._traffic.last_at = self._passage.ended_at = time.time()
            for task in (sending, answering):
                task.cancel()
            await asyncio.wait({sending, answering})

    async def _send(self) -> None:
        request, fault = self._request, self._fault
        total = request.total_bytes
        at = fault.offset(len(request.raw), total) if fault.side == "request" else total
        takes_effect = at == total and fault.side == "request" and fault.act != "go_on"
        until = at - 1 if takes_effect else at
        await self._pass_on(request.raw, until)
        rest = request.raw[until:]
        if takes_effect:
            rest = rest or await self._client.reader.readexactly(1)
        if fault.side == "request":
            await self._apply_fault(partial(self._take_effect, rest) if takes_effect else None)
            await self._pass_on(rest, total - until)
        await self._upstream.send(self._gathered, AS_IT_IS)
        self._sent()

    async def _pass_on(self, first: bytes, size: int) -> None:
        """Pass a part of the request on, or with `gather` keep it until the request is whole."""
        if not self._fault.gather:
            await self._pass(first, self._client, self._upstream, size)
            return
        async for piece in pieces(first, self._client, size):
            self._gathered += piece

    async def _take_effect(self, rest: bytes) -> None:
        """Send the rest of a request to Graph after its client was cut off."""
        await asyncio.sleep(self._fault.late_s)
        with suppress(*GONE):
            async with asyncio.timeout(UNHEARD_S):
                self._sent()
                await self._upstream.send(self._gathered + rest, AS_IT_IS)
                answer = Head.parse(await self._upstream.head())
                async for _ in pieces(b"", self._upstream, answer.body_bytes):
                    pass
        self._traffic.last_at = time.time()
        self._upstream.close()

    async def _answer(self) -> bool:
        fault = self._fault
        try:
            answer = Head.parse(await self._upstream.head())
            total = answer.total_bytes
            at = fault.offset(len(answer.raw), total) if fault.side == "answer" else total
            passed = await self._pass(answer.raw, self._upstream, self._client, at)
            if fault.side == "answer":
                await self._apply_fault()
                left = answer.raw[at:]
                passed += await self._pass(left, self._upstream, self._client, total - at)
        except ConnectionResetError:
            raise Cut("reset") from None
        self._passage.status = int(answer.target)
        if self._request.method == "GET":
            self._passage.head = answer.raw
            self._passage.body = bytes(passed[len(answer.raw) :])
        return not answer.closes

    async def _pass(self, first: bytes, source: Link, sink: Link, size: int) -> bytes:
        passed = bytearray()
        async for piece in pieces(first, source, size):
            self._traffic.last_at = time.time()
            await sink.send(piece, self._fault.shape)
            passed += piece
        return bytes(passed)

    async def _apply_fault(self, then: Continuation | None = None) -> None:
        if self._traffic.hook is not None and self._fault.calls_hook:
            await self._traffic.hook()
        if self._fault.pause_s:
            await asyncio.sleep(self._fault.pause_s)
        if self._fault.act != "go_on":
            raise Cut(self._fault.act, then)

    def _sent(self) -> None:
        self._passage.sent_at = self._traffic.last_at = time.time()
        if self._request.method == "POST":
            self._traffic.posted.set()
