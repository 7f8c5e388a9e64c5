"""What a response from Graph, or a missing response, means, and what to do next.

Until the last piece of the body is offered, Graph has no complete JSON to act on, so a failure
means that nothing was created. After that, unless Graph's response says what happened, it is
unclear whether the attachment was created, and only a look-up can tell.
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

# The retry delay that a caller is told if Graph names none: the first back-off of Graph's SDKs.
DEFAULT_RETRY_DELAY_S = 3.0

# The gateway's own back-off between attempts, doubled at each. The first is short, because Graph is
# often available again at once.
BACKOFF_FIRST_S = 0.5
BACKOFF_MAX_S = 30.0

# Another program that writes to the post continuously could cause conflicts without end.
MAX_CONFLICTS = 6


# The next step.


@dataclass(slots=True, kw_only=True)
class Situation:
    """The inputs of a decision.

    `attempt` counts from 1; `left_s` is the time until the call's deadline; `chance` is a random
    number in [0, 1), drawn for each decision; `now` is in seconds since the epoch.
    """

    attempt: int
    left_s: float
    chance: float
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The attachment was created."""

    word: ClassVar = "created"
    attachment: Attachment


@dataclass(frozen=True, slots=True, kw_only=True)
class GiveUp:
    """The delivery ends with `error`; nothing was created."""

    word: ClassVar = "give_up"
    error: GatewayError


@dataclass(frozen=True, slots=True, kw_only=True)
class SendAgain:
    """Nothing was created: wait `wait_s` and send again; if that can't be, end with `error`.

    `asked`: whether Graph throttled the request, so that the wait is a pause of the whole mailbox.
    """

    word: ClassVar = "send_again"
    wait_s: float
    error: GatewayError
    asked: bool = False
    on_new_connection: bool = False
    """Whether to use a new connection, as Microsoft asks for after a 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """The outcome is unclear: look it up, and end with `error` if it can't be settled."""

    word: ClassVar = "look_up"
    error: OutcomeUnknown


Step = Done | GiveUp | SendAgain | LookUp


def decide(result: Response | NoResponse, graph_request: GraphRequest, at: Situation) -> Step:
    """Return what to do after an attempt with this result."""
    try:
        return Done(attachment=judge(result, graph_request, now=at.now))
    except OutcomeUnknown as error:
        return LookUp(error=error)
    except GatewayError as error:
        return _after(error, at)


def decide_absent(unknown: OutcomeUnknown, at: Situation, *, since_s: float) -> SendAgain | GiveUp:
    """Return what to do when it is settled that an unclear attempt created nothing.

    `since_s`: the time since the attempt ended, which counts as part of the wait.
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
    # A Retry-After of 0 is treated as none, so that we don't send again without a wait.
    wait_s = named_s or _backoff_s(at)
    return SendAgain(
        wait_s=max(wait_s - since_s, 0.0),
        error=error,
        asked=isinstance(error, GraphThrottled),
        on_new_connection=error_response is not None
        and error_response.http_status == HTTPStatus.SERVICE_UNAVAILABLE,
    )


def _within(at: Situation, again: SendAgain) -> SendAgain | GiveUp:
    """Give up at once if the wait leaves no time to send."""
    return again if again.wait_s < at.left_s else GiveUp(error=again.error)


def _backoff_s(at: Situation) -> float:
    """Return a random time between half of the back-off and all of it, to spread the attempts."""
    whole_s: float = min(BACKOFF_FIRST_S * 2 ** min(at.attempt - 1, 16), BACKOFF_MAX_S)
    return whole_s * (1 + at.chance) / 2


# The outcome of an attempt.


def judge(result: Response | NoResponse, graph_request: GraphRequest, *, now: float) -> Attachment:
    """Return the attachment that was created. Raises GatewayError if there is none.

    `now` is in seconds since the epoch; Graph may give a retry delay as a date.
    """
    if isinstance(result, NoResponse):
        raise _unclear(f"no response from Graph: {result.failure.value}", result.offered)
    if result.http_status // 100 == 2:
        return _created(result, graph_request, now=now)
    raise _refusal(result, graph_request, read_error(result, now=now))


def _created(response: Response, graph_request: GraphRequest, *, now: float) -> Attachment:
    """Return the attachment that a 2XX describes. Raises OutcomeUnknown if it describes none.

    A 2XX without Graph's request-id can come from a proxy on the way, and a 2XX can hold an error:
    neither says that anything was created.
    """
    described = codec.parsed(response.body or b"")
    is_graphs = "request-id" in response.headers
    if described.get("error") is not None:
        failed = read_error(response, now=now)
        raise OutcomeUnknown(f"{failed}, with an error in its body", response=failed)
    attachment = codec.attachment_of(described, kind=graph_request.kind)
    if attachment is None or not (attachment.id or is_graphs):
        succeeded = ErrorResponse(http_status=response.http_status)
        what = f"{succeeded}, with a body that describes no attachment"
        if not is_graphs:
            what += " and no request-id of Graph's: it may come from a proxy"
        raise OutcomeUnknown(what, response=succeeded, created=is_graphs)
    return attachment


def _refusal(
    response: Response, graph_request: GraphRequest, error_response: ErrorResponse
) -> GatewayError:
    """Return the error for a response other than 2XX, by Graph's code before the status."""
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


# What a response means: by its code, by its message where Graph has no code for it, by its status.

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


def _bad_request(error_response: ErrorResponse, _: GraphRequest) -> GatewayError:
    return GraphRejected(error_response, has_reason=bool(error_response.codes))


def _proxy_refused(error_response: ErrorResponse, _: GraphRequest) -> GatewayError:
    """Return the error for the proxy between the gateway and Graph: nothing reached Graph."""
    return GatewayFault(response=error_response)


def _refused_for_now(error_response: ErrorResponse, _: GraphRequest) -> GatewayError:
    return GraphUnavailable(
        str(error_response), retry_delay_s=_delay_s(error_response), response=error_response
    )


def _plain(error: Callable[[ErrorResponse], GatewayError]) -> _Rule:
    return lambda error_response, _: error(error_response)


_BY_CODE: Mapping[str, _Rule] = {
    "ErrorQuotaExceeded": _plain(GraphQuotaExceeded),
    # The mailbox's own limit, not that of one request, so it isn't ATTACHMENT_TOO_LARGE.
    "ErrorMessageSizeExceeded": _plain(GraphRejected),
    # The content is invalid and stays so, even if Graph answers 500.
    "ErrorCorruptData": _plain(GraphRejected),
    "ErrorInvalidProperty": _plain(GraphRejected),
    "ErrorPropertyValidationFailure": _plain(GraphRejected),
    "ErrorRequiredPropertyMissing": _plain(GraphRejected),
    "RequestBodyRead": _plain(GraphRejected),
    "UnableToDeserializePostBody": _plain(GraphRejected),
    "UnprocessableType": _plain(GraphRejected),
}

# The only place that reads Graph's messages: the codes of these two responses have many meanings.
_BY_WORDS_OF_400: Mapping[str, _Rule] = {
    "maximum request length exceeded": _too_large,
    "the odata request is not supported": _plain(GraphUnsupported),
}

_BY_STATUS: Mapping[int, _Rule] = {
    400: _bad_request,
    401: _plain(GraphUnauthenticated),
    403: _plain(GraphPermissionDenied),
    404: _not_found,
    405: _plain(GraphUnsupported),
    407: _proxy_refused,
    # 408 is missing on purpose: it doesn't say whether Graph acted on the request.
    409: _plain(GraphConflict),
    410: _not_found,
    412: _plain(GraphConflict),
    413: _too_large,
    421: _refused_for_now,  # misdirected: another connection may help
    423: _plain(GraphLocked),
    425: _refused_for_now,  # too early
    429: _throttled,
    501: _plain(GraphUnsupported),
    507: _plain(GraphQuotaExceeded),
    # Any other 5xx is missing on purpose, too: it is unclear if the request was offered.
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
