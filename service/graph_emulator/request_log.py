"""The log of all requests to Graph's routes, with their results."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count

# How much of a body is kept: enough for any body that a test compares.
BODY_START_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request, as it was received."""

    method: str
    path: str
    """The path and the query as they were sent, percent-encoded."""
    headers: dict[str, str]
    """Names are in lower case; authorization is reduced to its scheme."""
    connection: int
    """The connection's number, from 1 up, which shows reuse."""
    received_at: datetime
    """When the head was complete."""
    request_bytes: int = 0
    """The size of request line, headers and body on the wire."""
    body_bytes: int = 0
    """How much of the body was read."""
    body_start: bytes = b""
    """The first BODY_START_BYTES of the body."""
    answered_at: datetime | None = None
    """When the response was sent or the connection cut; None while in progress."""
    status: int | None = None
    """The status of the response; None without a response."""


class RequestLog:
    """Requests in the order of arrival."""

    def __init__(self) -> None:
        self._requests: dict[int, ReceivedRequest] = {}
        self._numbers = count()

    def add(self, request: ReceivedRequest) -> int:
        """Add a request, and return its number for `update`."""
        number = next(self._numbers)
        self._requests[number] = request
        return number

    def update(self, number: int, request: ReceivedRequest) -> None:
        """Replace a request, unless `forget` has removed it."""
        if number in self._requests:
            self._requests[number] = request

    def requests(self) -> list[ReceivedRequest]:
        """Return all requests."""
        return list(self._requests.values())

    def forget(self) -> None:
        """Remove all requests."""
        self._requests.clear()


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Return headers for the log, with authorization reduced to its scheme."""
    shown = dict(headers)
    if "authorization" in shown:
        shown["authorization"] = shown["authorization"].partition(" ")[0]
    return shown
