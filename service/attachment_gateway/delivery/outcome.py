"""What a response of Graph's, or its absence, means, and what to do next.

The body's last piece decides what a failure can mean. Until it is offered to the socket Graph has
no JSON to act on: nothing was created. From then on, all but an answer that says so leaves it
unclear whether the attachment came to be, and only looking it up makes that clear.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import ClassVar

from attachment_gateway.errors import (
    AttachmentTooLarge,
    ErrorResponse,
    GatewayError,
    GatewayFault,
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
)
from attachment_gateway.graph import codec
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.graph.response import NoResponse, Response, read_error
from graphattachments.v1.attachment_pb2 import Attachment

# When to send again where Graph names no delay: its own SDKs' first back-off.
DEFAULT_RETRY_DELAY_S = 3.0

# Our own back-off, doubled at each attempt: Graph is often back at once.
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0

# Another program that writes to the post without a pause can keep it from us for good.
MAX_CONFLICTS = 6


# What is next.


@dataclass(slots=True, kw_only=True)
class Situation:
    """Where a delivery stands.

    `attempt` counts from 1; `left_s` is what the caller's deadline leaves; `chance` is in [0, 1),
    drawn each time; `now` is in seconds since the epoch.
    """

    attempt: int
    left_s: float
    chance: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """It was created."""

    word: ClassVar = "created"
    attachment: Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """It ends here; nothing was created."""

    word: ClassVar = "give_up"
    error: GatewayError


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAgain:
    """Nothing was created: wait `wait_s` and send it again, or else it ends with `error`.

    `asked` says that Graph itself asked for the wait, which isn't for this one request alone.
    """

    word: ClassVar = "send_again"
    wait_s: float
    error: GatewayError
    asked: bool = False
    on_new_connection: bool = False
    """Over a new connection, as Microsoft asks for after a 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """Nobody knows: look it up, and until that is settled the call can only end with `error`."""

    word: ClassVar = "look_up"
    error: OutcomeUnknown


Step = Done | GiveUp | SendAgain | LookUp


def decide(result: Response | NoResponse, graph_request: GraphRequest, at: Situation) -> Step:
    """Return what to do after an attempt that ended so."""
    try:
        return Done(attachment=judge(result, graph_request, now=at.now))
    except OutcomeUnknown as error:
        return LookUp(error=error)
    except GatewayError as error:
        return _after(error, at)


def decide_absent(unknown: OutcomeUnknown, at: Situation, *, since_s: float) -> SendAgain | GiveUp:
    """Return what to do when it is settled, `since_s` after the attempt, that nothing came of it.

    The time that the settling took is part of the wait.
    """
    error = GraphUnavailable(
        unknown.what, retry_delay_s=_delay_s(unknown.response), response=unknown.response
    )
    return _within(at, _again(error, at, since_s=since_s))


def _after(error: GatewayError, at: Situation) -> SendAgain | GiveUp:
    conflict = isinstance(error, GraphConflict) and at.attempt < MAX_CONFLICTS
    if conflict or isinstance(error, GraphThrottled | GraphUnavailable):
        return _within(at, _again(error, at))
    return GiveUp(error=error)


def _again(error: GatewayError, at: Situation, *, since_s: float = 0.0) -> SendAgain:
    error_response = error.response
    named_s = None if error_response is None else error_response.retry_after_s
    # A zero is no invitation to come again and again without a pause.
    wait_s = named_s or _backoff_s(at)
    return SendAgain(
        wait_s=max(wait_s - since_s, 0.0),
        error=error,
        asked=isinstance(error, GraphThrottled),
        on_new_connection=error_response is not None
        and error_response.http_status == HTTPStatus.SERVICE_UNAVAILABLE,
    )


def _within(at: Situation, again: SendAgain) -> SendAgain | GiveUp:
    """Give up at once where the wait leaves no time to send."""
    return again if again.wait_s < at.left_s else GiveUp(error=again.error)


def _backoff_s(at: Situation) -> float:
    """Return a time between half of the back-off and the whole, so that callers spread."""
    whole_s: float = min(BACKOFF_FIRST_S * 2 ** min(at.attempt - 1, 16), BACKOFF_MAX_S)
    return whole_s * (1 + at.chance) / 2


# What an attempt has come to.


def judge(result: Response | NoResponse, graph_request: GraphRequest, *, now: float) -> Attachment:
    """Return the attachment that was created, or raise what became of the request instead.

    `now` is in seconds since the epoch, for delays that Graph gives as a date.
    """
    if isinstance(result, NoResponse):
        raise _unclear(f"no response from Graph: {result.failure.value}", result.offered)
    if result.http_status // 100 == 2:
        return _created(result, graph_request)
    raise _refusal(result, graph_request, read_error(result, now=now))


def _created(response: Response, graph_request: GraphRequest) -> Attachment:
    body = response.body or b""
    attachment = codec.attachment_from_json(body, kind=graph_request.kind)
    if attachment is None:
        error_response = ErrorResponse(http_status=response.http_status)
        raise OutcomeUnknown(
            f"{error_response}, with a body that describes no attachment",
            response=error_response,
            created=True,
        )
    return attachment


def _refusal(
    response: Response, graph_request: GraphRequest, error_response: ErrorResponse
) -> GatewayError:
    """Return what a response other than 2XX means; its code tells more than its status."""
    rule = _rule(error_response)
    if rule is not None:
        return rule(error_response, graph_request)
    if 300 <= error_response.http_status < 400:
        return GatewayFault(response=error_response)
    if (
        400 <= error_response.http_status < 500
        and error_response.http_status != HTTPStatus.REQUEST_TIMEOUT
    ):
        return GraphRejected(error_response)
    return _unclear(str(error_response), response.offered, error_response)


def _unclear(what: str, offered: bool, error_response: ErrorResponse | None = None) -> GatewayError:  # noqa: FBT001
    if offered:
        return OutcomeUnknown(what, response=error_response)
    return GraphUnavailable(what, retry_delay_s=_delay_s(error_response), response=error_response)


def _delay_s(error_response: ErrorResponse | None) -> float:
    if error_response is None or error_response.retry_after_s is None:
        return DEFAULT_RETRY_DELAY_S
    return error_response.retry_after_s


# What an answer means: by its code, by its words where Graph has no code for it, by its status.

_Rule = Callable[[ErrorResponse, GraphRequest], GatewayError]


def _too_large(error_response: ErrorResponse, graph_request: GraphRequest) -> GatewayError:
    if graph_request.file_bytes is None:
        return AttachmentTooLarge(
            size_bytes=graph_request.size_bytes,
            response=error_response,
            of="the request with the item",
        )
    return AttachmentTooLarge(size_bytes=graph_request.file_bytes, response=error_response)


def _not_found(error_response: ErrorResponse, graph_request: GraphRequest) -> GatewayError:
    return GraphNotFound(
        error_response, resource=graph_request.head.path.removesuffix("/attachments")
    )


def _throttled(error_response: ErrorResponse, _: GraphRequest) -> GatewayError:
    return GraphThrottled(error_response, retry_delay_s=_delay_s(error_response))


def _plain(error: Callable[[ErrorResponse], GatewayError]) -> _Rule:
    return lambda error_response, _: error(error_response)


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


def _rule(error_response: ErrorResponse) -> _Rule | None:
    for code in error_response.codes:
        if code in _BY_CODE:
            return _BY_CODE[code]
    if error_response.http_status == 400:
        for words, rule in _BY_WORDS_OF_400.items():
            if words in error_response.message.casefold():
                return rule
    return _BY_STATUS.get(error_response.http_status)
