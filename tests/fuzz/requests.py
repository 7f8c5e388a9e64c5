"""The REST request that a target's input became: its JSON, and what holds for every one."""

import json
from typing import Any

from attachment_gateway.delivery.content_comparison import ContentComparison
from attachment_gateway.delivery.fingerprint import fingerprint
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import GraphRequest, Sender, SupportIds
from tests.fuzz.draws import CANARY
from tests.fuzz.target import Outcome

ROOT = "https://graph.example/v1.0"

_LINES = (
    "Host: graph.example",
    f"Authorization: Bearer {CANARY}",
    "Content-Type: application/json",
    "Content-Length: {length}",
    "Accept: application/json",
    "Accept-Encoding: identity",
    "User-Agent: attachment-gateway",
    "client-request-id: id",
)


def sender(cap_bytes: int) -> Sender:
    """Return a sender whose token is the canary."""
    return Sender(
        root=GraphRoot.parse(ROOT),
        token=CANARY,
        ids=SupportIds("id"),
        max_request_bytes=cap_bytes,
    )


def head(path: str, length: int | str) -> bytes:
    """Return the head that a request must have."""
    lines = (f"POST /v1.0{path} HTTP/1.1", *_LINES, "", "")
    return "\r\n".join(lines).format(length=length).encode()


HEAD_BYTES = len(head("", ""))


class _Duplicate(ValueError):
    """A JSON object has a name twice."""


def json_of(graph_request: GraphRequest) -> Any:
    """Return the JSON of a request's body. Raises ValueError if a name is there twice."""
    body = b"".join(graph_request.body)
    return json.loads(body.decode("utf-8", "strict"), object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise _Duplicate
    return dict(pairs)


def rules_of_request(graph_request: GraphRequest, path: str, outcome: Outcome) -> None:
    """Check the head, the sizes, and that the delivery can work with the request."""
    wire, body = b"".join(graph_request.pieces()), b"".join(graph_request.body)
    outcome.expect("another head", holds=wire == head(path, len(body)) + body)
    outcome.expect("another size on the wire", holds=graph_request.size_bytes == len(wire))
    cap_bytes = graph_request.head.sender.max_request_bytes
    outcome.expect("larger than the cap", holds=len(wire) <= cap_bytes)
    outcome.expect("no fingerprint", holds=len(fingerprint(graph_request)) == 32)
    outcome.expect("no kind sought", holds=bool(ContentComparison(graph_request).sought.kind))
