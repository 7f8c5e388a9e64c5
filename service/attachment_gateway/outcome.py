"""What a reply of Graph's, or a broken connection, means.

The body's last piece decides what a failure can mean. Until it is offered to the socket Graph has
no JSON to act on: nothing was created. From then on, all but an answer that says so leaves it
unclear whether the attachment came to be.
"""

import email.utils
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from attachment_gateway import graph_json
from attachment_gateway.envelope import Envelope
from attachment_gateway.errors import (
    MAX_CODE_BYTES,
    AttachmentTooLarge,
    GatewayError,
    GatewayFault,
    GraphAnswer,
    GraphConflict,
    GraphLocked,
    GraphNotFound,
    GraphPermissionDenied,
    GraphQuotaExceeded,
    GraphRejected,
    GraphThrottled,
    GraphUnauthenticated,
    GraphUnavailable,
    GraphUnsupported,
    OutcomeUnknown,
    quoted,
)
from attachment_gateway.graph_values import JsonValue
from graphattachments.v1.attachment_pb2 import Attachment

# When to send again where Graph names no delay: its own SDKs' first back-off.
DEFAULT_RETRY_DELAY_S = 3.0

# Graph has been seen to ask for hundreds of seconds; more than an hour is a mistake.
MAX_RETRY_DELAY_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """An answer. Header names are in lower case; `body` is None where it can't be had whole."""

    http_status: int
    headers: Mapping[str, str]
    body: bytes | None
    request_left: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """No answer: `what` happened, and whether the body's last piece had been offered."""

    what: str
    request_left: bool


def judge(result: Reply | Broken, envelope: Envelope, *, now: float) -> Attachment:
    """Return the attachment that was created, or raise what became of the envelope instead.

    `now` is in seconds since the epoch, for delays that Graph gives as a date.
    """
    if isinstance(result, Broken):
        raise _unclear(f"the connection to Graph broke: {result.what}", result.request_left)
    if result.http_status // 100 == 2:
        return _created(result, envelope)
    raise _refusal(result, envelope, graph_answer(result, now=now))


def _created(reply: Reply, envelope: Envelope) -> Attachment:
    body = reply.body or b""
    attachment = graph_json.attachment_from_json(body, kind=envelope.kind)
    if attachment is None:
        answer = GraphAnswer(http_status=reply.http_status)
        raise OutcomeUnknown(f"{answer}, with a body that describes no attachment", answer=answer)
    return attachment


def _refusal(reply: Reply, envelope: Envelope, answer: GraphAnswer) -> GatewayError:
    """Return what an answer other than 2XX means; its code tells more than its status."""
    rule = _rule(answer)
    if rule is not None:
        return rule(answer, envelope)
    if 300 <= answer.http_status < 400:
        return GatewayFault(answer=answer)
    if 400 <= answer.http_status < 500 and answer.http_status != HTTPStatus.REQUEST_TIMEOUT:
        return GraphRejected(answer)
    return _unclear(str(answer), reply.request_left, answer)


def _unclear(what: str, request_left: bool, answer: GraphAnswer | None = None) -> GatewayError:  # noqa: FBT001
    if request_left:
        return OutcomeUnknown(what, answer=answer)
    return GraphUnavailable(what, retry_delay_s=_delay_s(answer), answer=answer)


def _delay_s(answer: GraphAnswer | None) -> float:
    if answer is None or answer.retry_after_s is None:
        return DEFAULT_RETRY_DELAY_S
    return answer.retry_after_s


# What an answer means: by its code, by its words where Graph has no code for it, by its status.

_Rule = Callable[[GraphAnswer, Envelope], GatewayError]


def _too_large(answer: GraphAnswer, envelope: Envelope) -> GatewayError:
    if envelope.file_bytes is None:
        return AttachmentTooLarge(
            size_bytes=envelope.size_bytes, answer=answer, of="the request with the item"
        )
    return AttachmentTooLarge(size_bytes=envelope.file_bytes, answer=answer)


def _not_found(answer: GraphAnswer, envelope: Envelope) -> GatewayError:
    return GraphNotFound(answer, resource=envelope.head.path.removesuffix("/attachments"))


def _throttled(answer: GraphAnswer, _: Envelope) -> GatewayError:
    return GraphThrottled(answer, retry_delay_s=_delay_s(answer))


def _plain(error: Callable[[GraphAnswer], GatewayError]) -> _Rule:
    return lambda answer, _: error(answer)


_BY_CODE: Mapping[str, _Rule] = {
    "ErrorQuotaExceeded": _plain(GraphQuotaExceeded),
    # The mailbox's own limit, which no smaller request line mends: not ATTACHMENT_TOO_LARGE.
    "ErrorMessageSizeExceeded": _plain(GraphRejected),
    # The content is bad, for good, also where it comes as a 500.
    "ErrorCorruptData": _plain(GraphRejected),
    "ErrorInvalidProperty": _plain(GraphRejected),
    "ErrorPropertyValidationFailure": _plain(GraphRejected),
    "ErrorRequiredPropertyMissing": _plain(GraphRejected),
    "RequestBodyRead": _plain(GraphRejected),
    "UnableToDeserializePostBody": _plain(GraphRejected),
    "UnprocessableType": _plain(GraphRejected),
}

# The one place that reads Graph's prose: both of these come with a code that means anything.
_BY_WORDS_OF_400: Mapping[str, _Rule] = {
    "maximum request length exceeded": _too_large,
    "the odata request is not supported": _plain(GraphUnsupported),
}

_BY_STATUS: Mapping[int, _Rule] = {
    401: _plain(GraphUnauthenticated),
    403: _plain(GraphPermissionDenied),
    404: _not_found,
    405: _plain(GraphUnsupported),
    # 408 is missing on purpose: it doesn't say whether the request was acted upon.
    409: _plain(GraphConflict),
    410: _not_found,
    412: _plain(GraphConflict),
    413: _too_large,
    423: _plain(GraphLocked),
    429: _throttled,
    501: _plain(GraphUnsupported),
    507: _plain(GraphQuotaExceeded),
}


def _rule(answer: GraphAnswer) -> _Rule | None:
    for code in answer.codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    if answer.http_status == 400:
        for words, rule in _BY_WORDS_OF_400.items():
            if words in answer.message.casefold():
                return rule
    return _BY_STATUS.get(answer.http_status)


# Reading an answer.

# A claims challenge has some hundred characters; a client takes 8 KiB of trailers in all.
_MAX_CLAIMS_CHARS = 2048

_CLAIMS = re.compile(r'claims="([^"]*)"')

_DELAY_S = re.compile(r"\d+(\.\d*)?")

# `innerError` in the documentation, `innererror` on the wire at times.
_INNER = ("innerError", "innererror")


def graph_answer(reply: Reply, *, now: float) -> GraphAnswer:
    """Return what an answer says, whatever its body is."""
    error = graph_json.parsed(reply.body or b"").get("error")
    message = error.get("message") if isinstance(error, dict) else None
    claims = _CLAIMS.search(reply.headers.get("www-authenticate", ""))
    return GraphAnswer(
        http_status=reply.http_status,
        codes=tuple(_codes(error)),
        message=quoted(message) if isinstance(message, str) else "",
        retry_after_s=retry_after_s(reply.headers, now=now),
        claims=claims[1] if claims and len(claims[1]) <= _MAX_CLAIMS_CHARS else "",
    )


def _codes(error: JsonValue) -> Iterator[str]:
    """Give the code of an error and those nested in it, outermost first."""
    while isinstance(error, dict):
        if isinstance(code := error.get("code"), str) and code:
            yield quoted(code, MAX_CODE_BYTES)
        error = next((error[name] for name in _INNER if name in error), None)


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Return the delay that Retry-After asks for in seconds; None where it asks for none.

    Graph writes it whole, with a fraction, as a list (the longest counts) or as a date, which is on
    the clock of the answer's own Date; `now`, in seconds since the epoch, stands in for that.
    """
    value = headers.get("retry-after", "")
    numbers = [number.strip() for number in value.split(",")]
    if all(_DELAY_S.fullmatch(number) for number in numbers):
        return min(max(map(float, numbers)), MAX_RETRY_DELAY_S)
    at = _http_date(value)
    if at is None:
        return None
    since = _http_date(headers.get("date", ""))
    return min(max(at - (now if since is None else since), 0.0), MAX_RETRY_DELAY_S)


def _http_date(value: str) -> float | None:
    """Return a date of RFC 9110 in seconds since the epoch; None if it is none."""
    try:
        return email.utils.parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
