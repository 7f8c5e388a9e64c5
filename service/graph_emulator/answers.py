"""A response of Graph: status, headers and body, with the headers that every response carries.

These are `request-id`, `client-request-id`, `Date` and `x-ms-ags-diagnostic`, for which Microsoft's
support asks.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime

import orjson

from graph_emulator.refusals import Refused

JSON = "application/json; odata.metadata=minimal; odata.streaming=true; IEEE754Compatible=false"
DIAGNOSTIC = (
    '{"ServerInfo":{"DataCenter":"Emulator","Slice":"E","Ring":"0","ScaleUnit":"000",'
    '"RoleInstance":"EMULATOR"}}'
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A response; its Content-Length is added when it is sent."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """The ids of one request, Graph's and the client's."""

    request_id: str
    client_request_id: str


def json_answer(
    status: int, document: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Answer:
    """Return a response with a resource."""
    return Answer(
        status=status,
        headers={"Content-Type": JSON, "OData-Version": "4.0", **(headers or {})},
        body=orjson.dumps(document),
    )


def refusal_answer(refused: Refused, ids: Ids, now: datetime) -> Answer:
    """Return a response with an error in Graph's format."""
    return Answer(
        status=refused.refusal.status,
        headers={"Content-Type": "application/json", **refused.headers},
        body=error_body(refused.refusal.code, refused.message, ids, now),
    )


def error_body(code: str, message: str, ids: Ids, now: datetime) -> bytes:
    """Return an error in Graph's format; the date in innerError is UTC, without a zone."""
    inner = {
        "date": now.strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": ids.request_id,
        "client-request-id": ids.client_request_id,
    }
    return orjson.dumps({"error": {"code": code, "message": message, "innerError": inner}})


def graph_headers(ids: Ids, now: datetime) -> dict[str, str]:
    """Return the headers that every response of Graph carries."""
    return {
        "Date": format_datetime(now, usegmt=True),
        "request-id": ids.request_id,
        "client-request-id": ids.client_request_id,
        "x-ms-ags-diagnostic": DIAGNOSTIC,
    }
