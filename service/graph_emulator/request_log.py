"""Every request that came to Graph's routes, and what became of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import count

# Enough for any body that a person would compare with another; the rest isn't kept.
BODY_START_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceivedRequest:
    """One request, as it came."""

    method: str
    path: str
    """As it was sent, percent-encoded, with the query."""
    headers: dict[str, str]
    """By lower-case name; authorization is reduced to its scheme."""
    connection: int
    """The connection's number, from 1 up, so that reuse can be seen."""
    received_at: datetime
    """When its head had come."""
    request_bytes: int = 0
    """Request line, headers and body as they came over the wire."""
    body_bytes: int = 0
    """How much of the body was read."""
    body_start: bytes = b""
    """The first 64 KiB of it."""
    answered_at: datetime | None = None
    """When the answer was out or the connection cut; None while it is in progress."""
    status: int | None = None
    """What was answered; None if there was no answer."""


class RequestLog:
    """Requests in the order in which they came."""

    def __init__(self) -> None:
        self._requests: dict[int, ReceivedRequest] = {}
        self._numbers = count()

    def add(self, request: ReceivedRequest) -> int:
        """Put down that it has come; the number is for `update`."""
        number = next(self._numbers)
        self._requests[number] = request
        return number

    def update(self, number: int, request: ReceivedRequest) -> None:
        """Put down what is now known of it; one that was forgotten meanwhile stays so."""
        if number in self._requests:
            self._requests[number] = request

    def requests(self) -> list[ReceivedRequest]:
        """List them."""
        return list(self._requests.values())

    def forget(self) -> None:
        """Start anew."""
        self._requests.clear()


def redacted(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers for the record: no token, just its scheme."""
    shown = dict(headers)
    if "authorization" in shown:
        shown["authorization"] = shown["authorization"].partition(" ")[0]
    return shown
