"""The result of a request to Graph, a response or none, and the reading of error responses."""

import email.utils
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from functools import lru_cache

from attachment_gateway.errors import MAX_CODE_BYTES, ErrorResponse, quoted
from attachment_gateway.graph import codec
from attachment_gateway.graph.values import JsonValue
from attachment_gateway.http1.failure import Failure

# Graph has been seen to ask for hundreds of seconds; more than an hour is a mistake.
MAX_RETRY_DELAY_S = 3600.0

# Graph's errors have a few hundred bytes, a proxy's error page some thousands. A body that is
# longer tells nothing.
MAX_ERROR_BYTES = 64 * 1024

# "Sun, 06 Nov 1994 08:49:37 GMT" has 29 characters. What is longer than this is no date, and what
# is longer than a few dates or numbers is no Retry-After.
_MAX_DATE_CHARS = 64
_MAX_RETRY_AFTER_CHARS = 256

# A claims challenge has a few hundred characters; gRPC clients take at most 8 KiB of trailers.
_MAX_CLAIMS_CHARS = 2048

_CLAIMS = re.compile(r'claims="([^"]*)"')

_DELAY_S = re.compile(r"\d+(\.\d*)?")

# `innerError` in the documentation, sometimes `innererror` on the wire.
_INNER = ("innerError", "innererror")

# A GUID has 36 characters. Another id may be longer, but has to fit into a trailer.
_MAX_ID_CHARS = 128


@dataclass(slots=True, kw_only=True)
class Response:
    """A response. Header names are in lower case; `body` is None if it isn't complete.

    `is_too_large`: it isn't because it is larger than what is read.
    """

    http_status: int
    headers: Mapping[str, str]
    body: bytes | None
    offered: bool
    is_too_large: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoResponse:
    """Why there is no response, and whether the last piece of the request was offered."""

    failure: Failure
    offered: bool


def body_bytes_of(result: Response | NoResponse) -> int:
    """Return the size of a response's body, 0 without one."""
    return 0 if isinstance(result, NoResponse) else len(result.body or b"")


def request_id_of(result: Response | NoResponse) -> str:
    """Return Graph's id of a request; "" if it is unknown, too long or not printable ASCII."""
    value = "" if isinstance(result, NoResponse) else result.headers.get("request-id", "")
    return value if value.isascii() and value.isprintable() and len(value) <= _MAX_ID_CHARS else ""


def read_error(response: Response, *, now: float) -> ErrorResponse:
    """Return the error that a response describes; any body is accepted.

    A body of more than MAX_ERROR_BYTES is treated as none.
    """
    body = response.body or b""
    error = codec.parsed(body).get("error") if len(body) <= MAX_ERROR_BYTES else None
    message = error.get("message") if isinstance(error, dict) else None
    claims = _CLAIMS.search(response.headers.get("www-authenticate", ""))
    return ErrorResponse(
        http_status=response.http_status,
        codes=tuple(_codes(error)),
        message=quoted(message) if isinstance(message, str) else "",
        retry_after_s=retry_after_s(response.headers, now=now),
        claims=claims[1] if claims and len(claims[1]) <= _MAX_CLAIMS_CHARS else "",
    )


def _codes(error: JsonValue) -> Iterator[str]:
    """Yield the code of an error, and then the codes nested in it."""
    while isinstance(error, dict):
        if isinstance(code := error.get("code"), str) and code:
            yield quoted(code, MAX_CODE_BYTES)
        error = next((error[name] for name in _INNER if name in error), None)


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the delay in seconds that Retry-After asks for; None if it asks for none.

    Graph writes an integer, a fraction, a list (the longest delay counts) or a date. A date is
    compared with the response's own Date, or without one with `now`, in seconds since the epoch.
    """
    value = headers.get("retry-after", "")
    if len(value) > _MAX_RETRY_AFTER_CHARS:
        return None
    numbers = [number.strip() for number in value.split(",")]
    if all(_DELAY_S.fullmatch(number) for number in numbers):
        return min(max(map(float, numbers)), MAX_RETRY_DELAY_S)
    at = http_date(value)
    if at is None:
        return None
    since = http_date(headers.get("date", ""))
    return min(max(at - (now if since is None else since), 0.0), MAX_RETRY_DELAY_S)


@lru_cache(maxsize=64)  # `Date` is the same for a second
def http_date(value: str) -> float | None:
    """Return a date of RFC 9110 in seconds since the epoch; None if it is invalid.

    A date without a zone is in UTC, as HTTP means it.
    """
    if len(value) > _MAX_DATE_CHARS:
        return None
    try:
        date = email.utils.parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
