"""Tests of delivery/replay.py: how often Graph is asked for an attachment that it doesn't show."""

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from attachment_gateway.deadline import Deadline
from attachment_gateway.delivery.replay import WAITS_S, replayed
from attachment_gateway.delivery.resources import Resources
from attachment_gateway.errors import (
    GraphNotFound,
    GraphUnauthenticated,
    OutcomeUnknown,
    Violations,
)
from attachment_gateway.graph.client import GraphClientLimits
from attachment_gateway.graph.off_loop import OffLoop
from attachment_gateway.graph.request import (
    FileRequest,
    GraphRequest,
    Sender,
)
from attachment_gateway.graph.response import NoResponse, Response
from attachment_gateway.http1.failure import Failure
from attachment_gateway.ledger import Created
from attachment_gateway.ledger.memory import MemoryLedger
from attachment_gateway.mailbox import MailboxLimits
from attachment_gateway.mailbox.identities import Standing
from attachment_gateway.mailbox.local import LocalMailboxes
from graphattachments.v1.attachment_pb2 import Attachment
from tests.support.graph_requests import HEAD
from tests.support.virtual_time import in_virtual_time

SETTLE_S = 15.0
AWAY = NoResponse(failure=Failure.CONNECT_FAILED, offered=True)


def shown(http_status: int, body: bytes = b"{}") -> Response:
    return Response(http_status=http_status, headers={}, body=body, offered=True)


class Graph:
    """A Graph that gives these responses in order, and repeats the last one."""

    def __init__(self, *responses: Response | NoResponse) -> None:
        self._responses = list(responses)
        self.limits = GraphClientLimits(timeout_s=1, max_connections=1, max_response_bytes=1000)
        self.off_loop = OffLoop()
        self.asked_at: list[float] = []

    async def get(
        self, _path: str, _sender: Sender, *, max_body_bytes: int
    ) -> Response | NoResponse:
        assert max_body_bytes == 1000
        self.asked_at.append(asyncio.get_running_loop().time())
        return self._responses.pop(0) if len(self._responses) > 1 else self._responses[0]


def request() -> GraphRequest:
    return FileRequest(HEAD, Attachment(name="n"), Violations()).seal((), file_bytes=0)


def resources_of(graph: Any) -> Resources:
    return Resources(
        graph=graph,
        ledger=MemoryLedger(settle_s=SETTLE_S, retention_s=1000.0),
        mailboxes=LocalMailboxes(MailboxLimits()),
        settle_s=SETTLE_S,
        timeout_s=1.0,
    )


async def replay(graph: Graph, *, created_ago_s: float) -> Attachment:
    deadline = Deadline(300)
    try:
        created = Created(attachment_id="A", ago_s=created_ago_s)
        return await replayed(resources_of(graph), request(), deadline, created)
    finally:
        deadline.close()


def now() -> float:
    return asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_replay_ends_right_after_its_last_request() -> None:
    """A replay asks once and after each of WAITS_S, and raises without another wait."""
    graph, began_at = Graph(AWAY), now()
    with pytest.raises(OutcomeUnknown, match="was created, but is not described"):
        await replay(graph, created_ago_s=100)
    assert [at - began_at for at in graph.asked_at] == pytest.approx([0, 0.25, 0.75, 1.75, 3.75])
    assert now() == graph.asked_at[-1] == pytest.approx(began_at + sum(WAITS_S))


@pytest.mark.parametrize("response", [AWAY, shown(503), shown(429), shown(200, b"<html>")])
def test_a_replay_asks_again_after_a_passing_failure(response: Response | NoResponse) -> None:
    """A replay asks again after a passing failure, until Graph shows the attachment."""

    @in_virtual_time
    async def run() -> None:
        graph = Graph(response, response, shown(200, b'{"id":"A","name":"n"}'))
        assert (await replay(graph, created_ago_s=100)).id == "A"
        assert len(graph.asked_at) == 3

    run()


@in_virtual_time
async def test_a_404_counts_from_5_s_after_the_creation() -> None:
    """A 404 means that the attachment is gone from five seconds after its creation."""
    graph, began_at = Graph(shown(404)), now()
    with pytest.raises(GraphNotFound, match="is not there any more"):
        await replay(graph, created_ago_s=4)
    assert graph.asked_at[-1] == pytest.approx(began_at + 1)
    graph = Graph(shown(404))
    with pytest.raises(GraphNotFound):
        await replay(graph, created_ago_s=5)
    assert len(graph.asked_at) == 1


@pytest.mark.parametrize(
    ("http_status", "standing"), [(200, Standing.ACCEPTED), (401, Standing.REFUSED)]
)
def test_a_replay_tells_whether_graph_accepts_its_token(
    http_status: int, standing: Standing
) -> None:
    """Graph's response to a replay counts for the standing of the caller's token."""

    @in_virtual_time
    async def run() -> None:
        resources = resources_of(Graph(shown(http_status, b'{"id":"A"}')))
        deadline = Deadline(10)
        with suppress(GraphUnauthenticated):
            await replayed(resources, request(), deadline, Created(attachment_id="A", ago_s=100))
        deadline.close()
        assert resources.mailbox(HEAD).standing() is standing

    run()


def test_a_replay_has_the_support_ids_of_its_last_response() -> None:
    """The support ids of a replay are those of the last response, for Microsoft's support."""

    @in_virtual_time
    async def run() -> None:
        response = shown(200, b'{"id":"A"}')
        response.headers = {"request-id": "r-1"}
        asked = request()
        deadline = Deadline(10)
        await replayed(
            resources_of(Graph(response)), asked, deadline, Created(attachment_id="A", ago_s=100)
        )
        deadline.close()
        assert asked.head.sender.ids.graph_request_id == "r-1"

    run()
