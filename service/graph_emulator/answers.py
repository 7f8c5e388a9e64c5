"""An answer of Graph's: status, headers and body, with what Graph puts around them.

Support asks for `request-id`, `client-request-id`, `Date` and `x-ms-ags-diagnostic`; every answer
carries them.
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
    """What goes out; Content-Length is added on the way."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """What the two sides call this request."""

    request_id: str
    client_request_id: str


def json_answer(
    status: int, document: Mapping[str, object], headers: Mapping[str, str] | None = None
) -> Answer:
    """Answer with a resource."""
    return Answer(
        status=status,
        headers={"Content-Type": JSON, "OData-Version": "4.0", **(headers or {})},
        body=orjson.dumps(document),
    )


def refusal_answer(refused: Refused, ids: Ids, now: datetime) -> Answer:
    """Answer with an error in Graph's shape."""
    return Answer(
        status=refused.refusal.status,
        headers={"Content-Type": "application/json", **refused.headers},
        body=error_body(refused.refusal.code, refused.message, ids, now),
    )


def error_body(code: str, message: str, ids: Ids, now: datetime) -> bytes:
    """Write Graph's error shape; innerError's date has no zone, and is UTC."""
    inner = {
        "date": now.strftime("%Y-%m-%dT%H:%M:%S"),
        "request-id": ids.request_id,
        "client-request-id": ids.client_request_id,
    }
    return orjson.dumps({"error": {"code": code, "message": message, "innerError": inner}})


def graph_headers(ids: Ids, now: datetime) -> dict[str, str]:
    """Make the headers that every answer of Graph's carries."""
    return {
        "Date": format_datetime(now, usegmt=True),
        "request-id": ids.request_id,
        "client-request-id": ids.client_request_id,
        "x-ms-ags-diagnostic": DIAGNOSTIC,
    }
