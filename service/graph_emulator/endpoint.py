"""The steps of a request: the first checks, a place in the mailbox, the effect, the response.

The checks have the order of Graph's layers: the front end (route, token, size), the mailbox (post,
limits), and then the content. A fault strikes after the mailbox's checks.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from uuid import uuid4

from starlette.types import Receive, Scope, Send

from graph_emulator import front_end
from graph_emulator.answers import Answer, Ids, graph_headers, refusal_answer
from graph_emulator.emulator import Emulator
from graph_emulator.exchange import ClientGone, Exchange
from graph_emulator.fault_answers import answer_of
from graph_emulator.faults import Fault
from graph_emulator.operations import WRITES, Call, Operation, Outcome, list_all
from graph_emulator.posts import Post, Posts
from graph_emulator.query import parse_query
from graph_emulator.refusals import METHOD_NOT_ALLOWED, NO_SUCH_ROUTE, TOO_LARGE, Refused
from graph_emulator.request_log import BODY_START_BYTES, ReceivedRequest, redacted
from graph_emulator.throttle import app_id

ROOT = "/v1.0"

# Stands for the outcome when a fault strikes before there is one; it is never sent.
_UNREAD = Outcome(answer=Answer(status=500))


class GraphEndpoint:
    """An ASGI app for one of Graph's paths; without operations it refuses the path."""

    def __init__(self, emulator: Emulator, operations: Mapping[str, Operation]) -> None:
        self._emulator = emulator
        self._operations = operations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, and log it."""
        exchange = Exchange(scope, receive, send)
        arrived = self._arrived(exchange)
        number = self._emulator.log.add(arrived)
        try:
            await self._serve(exchange)
        except ClientGone:
            pass  # there is nobody to answer
        finally:
            self._emulator.log.update(number, self._ended(arrived, exchange))

    async def _serve(self, exchange: Exchange) -> None:
        ids = _ids(exchange)
        try:
            outcome, fault = await self._work(exchange)
        except Refused as refused:
            await self._refuse(exchange, refused, ids)
            return
        if fault is None:
            await exchange.answer(self._signed(outcome.answer, ids))
        else:
            await self._go_wrong(exchange, outcome, fault, ids)

    async def _work(self, exchange: Exchange) -> tuple[Outcome, Fault | None]:
        """Do all steps before the response. Raises `Refused`."""
        config, posts = self._emulator.config, self._emulator.posts
        operation = self._operation(exchange.method)
        app = app_id(front_end.bearer_token(exchange.headers))
        front_end.check_declared_length(exchange.headers, config.max_request_bytes)
        post = _post(posts, exchange.path_params)
        write = exchange.method in WRITES
        with self._emulator.throttle.place(config, app, post, write=write):
            of_list = operation is list_all
            fault = self._emulator.faults.take(exchange.method, post.post_id, of_list=of_list)
            if fault is not None and fault.strikes_unread:
                return _UNREAD, fault
            body = await exchange.read(config.max_request_bytes)
            await asyncio.sleep(config.latency_s if write else 0)
            outcome = operation(posts, config, self._call(exchange, post, body))
            if outcome.effect and (fault is None or fault.store == "before"):
                outcome.effect(self._emulator.now())
            return outcome, fault

    async def _refuse(self, exchange: Exchange, refused: Refused, ids: Ids) -> None:
        """Refuse after reading the body, so that the connection stays open.

        A request that is too large is refused at once.
        """
        if refused.refusal is not TOO_LARGE:
            with suppress(Refused):
                await exchange.read(self._emulator.config.max_request_bytes)
        answer = refusal_answer(refused, ids, self._emulator.date())
        await exchange.answer(self._signed(answer, ids))

    async def _go_wrong(self, exchange: Exchange, outcome: Outcome, fault: Fault, ids: Ids) -> None:
        await asyncio.sleep(fault.delay_s)
        url = f"{_origin(exchange)}{exchange.target}"
        answer = answer_of(fault, outcome.answer, ids, self._emulator.date(), url)
        if fault.answer is None or fault.answer.graph_headers:
            answer = self._signed(answer, ids)
        if fault.cut == "none":
            await exchange.answer(answer)
        elif fault.cut == "mid_answer":
            await exchange.cut_within(answer, reset=fault.reset)
        else:
            await exchange.cut(reset=fault.reset)
        if outcome.effect and fault.store == "after":
            self._emulator.take_effect_later(outcome.effect, fault.store_after_s)

    def _operation(self, method: str) -> Operation:
        if not self._operations:
            raise Refused(NO_SUCH_ROUTE)
        if method not in self._operations:
            raise Refused(METHOD_NOT_ALLOWED, {"Allow": ", ".join(sorted(self._operations))})
        return self._operations[method]

    def _call(self, exchange: Exchange, post: Post, body: bytes) -> Call:
        origin = _origin(exchange)
        return Call(
            post=post,
            attachment_id=exchange.path_params.get("attachment"),
            base_url=f"{origin}{ROOT}",
            url=f"{origin}{exchange.path}",
            query=parse_query(exchange.query_string),
            content_type=exchange.headers.get("content-type"),
            body=body,
            now=self._emulator.now(),
        )

    def _signed(self, answer: Answer, ids: Ids) -> Answer:
        """Return the response with the headers that every response of Graph carries."""
        headers = {**graph_headers(ids, self._emulator.date()), **answer.headers}
        return Answer(status=answer.status, headers=headers, body=answer.body)

    def _arrived(self, exchange: Exchange) -> ReceivedRequest:
        return ReceivedRequest(
            method=exchange.method,
            path=exchange.target,
            headers=redacted(exchange.headers),
            connection=exchange.wire.number,
            received_at=self._emulator.now(),
        )

    def _ended(self, arrived: ReceivedRequest, exchange: Exchange) -> ReceivedRequest:
        return replace(
            arrived,
            request_bytes=exchange.request_bytes,
            body_bytes=len(exchange.body),
            body_start=exchange.body[:BODY_START_BYTES],
            answered_at=self._emulator.now(),
            status=exchange.status,
        )


def _origin(exchange: Exchange) -> str:
    return f"http://{exchange.headers.get('host', '')}"


def _post(posts: Posts, ids: Mapping[str, str]) -> Post:
    return posts.post(ids["group"], ids.get("conversation"), ids["thread"], ids["post"])


def _ids(exchange: Exchange) -> Ids:
    request_id = str(uuid4())
    return Ids(
        request_id=request_id,
        client_request_id=exchange.headers.get("client-request-id", request_id),
    )
