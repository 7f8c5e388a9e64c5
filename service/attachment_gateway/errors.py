"""The errors that can end a call, as a tree.

GatewayError
├── CallerError      caused by the caller's request, stream, token or deadline
├── GraphError       Graph refused the request
└── OurError         caused by the gateway or its connections, or the outcome is unknown

Each error has its data and its sentence: what was got, what was wanted, what to do. The gRPC code
of each reason is in a table in `rpc.status`, and nowhere else.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

# The most that is quoted of Graph's and callers' texts, in bytes of UTF-8. By default a gRPC client
# accepts 8 KiB of trailers. They hold a sentence twice: percent-encoded, and in base64.
MAX_MESSAGE_BYTES = 384
MAX_CODE_BYTES = 128
MAX_FIELD_BYTES = 256
MAX_DESCRIPTION_BYTES = 256
MAX_RESOURCE_BYTES = 1024

# The most wrong fields that an error names.
MAX_VIOLATIONS = 20

# The retry delay if the ledger is unavailable: a failover takes some seconds.
LEDGER_RETRY_DELAY_S = 5.0


def quoted(text: str, max_bytes: int = MAX_MESSAGE_BYTES) -> str:
    """Return a text in one line of at most `max_bytes` of UTF-8, cut with an ellipsis."""
    line = " ".join(text.split())
    encoded = line.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return encoded.decode()
    return encoded[: max_bytes - len("…".encode())].decode("utf-8", "ignore") + "…"


class SettingError(ValueError):
    """A setting is invalid; the sentence names it."""


class Reason(StrEnum):
    """The reasons of the contract, as ErrorInfo carries them."""

    INVALID_REQUEST = "INVALID_REQUEST"
    STREAM_PROTOCOL = "STREAM_PROTOCOL"
    ATTACHMENT_TOO_LARGE = "ATTACHMENT_TOO_LARGE"
    SIZE_MISMATCH = "SIZE_MISMATCH"
    CHECKSUM_MISMATCH = "CHECKSUM_MISMATCH"
    REQUEST_ID_REUSED = "REQUEST_ID_REUSED"
    REQUEST_IN_PROGRESS = "REQUEST_IN_PROGRESS"
    STREAM_IDLE = "STREAM_IDLE"
    TOKEN_MISSING = "TOKEN_MISSING"  # noqa: S105 no secret
    NOT_SENT = "NOT_SENT"
    GRAPH_REJECTED = "GRAPH_REJECTED"
    GRAPH_UNAUTHENTICATED = "GRAPH_UNAUTHENTICATED"
    GRAPH_PERMISSION_DENIED = "GRAPH_PERMISSION_DENIED"
    GRAPH_NOT_FOUND = "GRAPH_NOT_FOUND"
    GRAPH_UNSUPPORTED = "GRAPH_UNSUPPORTED"
    GRAPH_CONFLICT = "GRAPH_CONFLICT"
    GRAPH_LOCKED = "GRAPH_LOCKED"
    GRAPH_THROTTLED = "GRAPH_THROTTLED"
    MAILBOX_LIMIT = "MAILBOX_LIMIT"
    GRAPH_QUOTA_EXCEEDED = "GRAPH_QUOTA_EXCEEDED"
    GRAPH_UNAVAILABLE = "GRAPH_UNAVAILABLE"
    GATEWAY_DRAINING = "GATEWAY_DRAINING"
    LEDGER_UNAVAILABLE = "LEDGER_UNAVAILABLE"
    GATEWAY_OVERLOADED = "GATEWAY_OVERLOADED"
    OUTCOME_UNKNOWN = "OUTCOME_UNKNOWN"
    GATEWAY_ERROR = "GATEWAY_ERROR"


def _so_far(sent_before: bool) -> str:  # noqa: FBT001 the sentence of a value
    """Return what is certain: that this call created nothing, or that it has sent nothing."""
    if sent_before:
        return "nothing was created by this call"
    return "nothing was sent to Graph by this call"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """Graph's response, other than a success; its texts are quoted() already.

    `codes`: Graph's, outermost first, empty if it gave none. `retry_after_s`: None if it named no
    delay. `claims`: the challenge of a 401, in base64 as received, or "".
    """

    http_status: int
    codes: tuple[str, ...] = ()
    message: str = ""
    retry_after_s: float | None = None
    claims: str = ""

    @property
    def code(self) -> str:
        """The outermost code, "" if Graph gave none."""
        return self.codes[0] if self.codes else ""

    def __str__(self) -> str:
        """Return the response as part of an error's sentence."""
        words = f"Graph answered {self.http_status}"
        if self.code:
            words += f" {self.code}"
        return f"{words}: {self.message}" if self.message else words


class GatewayError(Exception):
    """A call ended without an attachment.

    `response`: Graph's, if there was one. `retry_delay_s`: when to send again, None if that isn't
    known to help. `size_bytes`, `max_size_bytes`: of the file's raw bytes, or for an item of the
    whole REST request; None if the error isn't about a size.
    """

    reason: ClassVar[Reason]
    response: ErrorResponse | None = None
    retry_delay_s: float | None = None
    size_bytes: int | None = None
    max_size_bytes: int | None = None


# Errors caused by the caller.


class CallerError(GatewayError):
    """The error was caused by the caller's request, stream, token or deadline."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """A wrong field: its path, and what is wrong with it."""

    field: str
    description: str


class InvalidRequest(CallerError):
    """Fields are missing or malformed; the sentence has the first, and the number of the others."""

    reason = Reason.INVALID_REQUEST

    def __init__(self, *violations: FieldViolation, more: int = 0) -> None:
        self.violations = violations
        self.more = more
        first, others = violations[0], len(violations) - 1 + more
        sentence = f"{first.field}: {first.description}"
        super().__init__(f"{sentence} (and {others:,} more)" if others else sentence)


class Violations:
    """Collects the wrong fields of one request, at most MAX_VIOLATIONS; the others are counted."""

    def __init__(self) -> None:
        self._found: list[FieldViolation] = []
        self._more = 0

    def add(self, field: str, description: str) -> None:
        """Add a field; if there are MAX_VIOLATIONS already, only count it."""
        if len(self._found) == MAX_VIOLATIONS:
            self._more += 1
            return
        violation = FieldViolation(
            quoted(field, MAX_FIELD_BYTES), quoted(description, MAX_DESCRIPTION_BYTES)
        )
        self._found.append(violation)

    def check(self) -> None:
        """Raise InvalidRequest if there are any."""
        if self._found:
            raise self.error()

    def error(self) -> InvalidRequest:
        """Return the error with the collected fields; there must be at least one."""
        return InvalidRequest(*self._found, more=self._more)


class StreamProtocol(CallerError):
    """The messages of an upload came in an invalid order."""

    reason = Reason.STREAM_PROTOCOL


class AttachmentTooLarge(CallerError):
    """The attachment can't fit into one REST request."""

    reason = Reason.ATTACHMENT_TOO_LARGE

    def __init__(
        self,
        *,
        size_bytes: int,
        max_size_bytes: int | None = None,
        response: ErrorResponse | None = None,
        of: str = "the file",
    ) -> None:
        if max_size_bytes is not None:
            sentence = (
                f"{of} has at least {size_bytes:,} bytes, but at most {max_size_bytes:,} fit into "
                f"this request to Graph; send a smaller one"
            )
        elif response is not None:
            sentence = f"{response}; {of} has {size_bytes:,} bytes: send a smaller one"
        else:
            sentence = (
                "the name, the ids and the token fill the request to Graph: not even an empty file "
                "would fit; shorten them"
            )
        super().__init__(sentence)
        self.response = response
        self.size_bytes = size_bytes
        self.max_size_bytes = max_size_bytes


class SizeMismatch(CallerError):
    """The number of bytes received isn't the declared one."""

    reason = Reason.SIZE_MISMATCH

    def __init__(self, *, declared_bytes: int, size_bytes: int) -> None:
        super().__init__(
            f"{declared_bytes:,} bytes were declared, {size_bytes:,} received; nothing was sent to "
            f"Graph: send the whole file again"
        )
        self.size_bytes = size_bytes


class ChecksumMismatch(CallerError):
    """The SHA-256 of the bytes received isn't the declared one."""

    reason = Reason.CHECKSUM_MISMATCH

    def __init__(self, *, declared: bytes, computed: bytes) -> None:
        super().__init__(
            f"SHA-256 {declared.hex()} was declared, the received bytes have {computed.hex()}; "
            f"nothing was sent to Graph: send the file again"
        )


class StreamIdle(CallerError):
    """The caller sent no message for the idle timeout, or less than the least rate asks for."""

    reason = Reason.STREAM_IDLE

    def __init__(self, *, idle_s: float, least_rate: int) -> None:
        super().__init__(
            f"nothing came for {idle_s:g} s, or the caller was {idle_s:g} s behind the least rate "
            f"of {least_rate:,} bytes/s; end an upload with a half-close. Nothing was sent to "
            f"Graph: send it again, faster"
        )


class TokenMissing(CallerError):
    """The call has no bearer token."""

    reason = Reason.TOKEN_MISSING


class RequestIdReused(CallerError):
    """The request_id belongs to a different request."""

    reason = Reason.REQUEST_ID_REUSED

    def __init__(self) -> None:
        super().__init__(
            "the request_id belongs to a request with a different post, description or content; "
            "nothing was sent to Graph: repeat that request unchanged, or use a new request_id"
        )


class RequestInProgress(CallerError):
    """A request with the same request_id is in progress."""

    reason = Reason.REQUEST_IN_PROGRESS

    def __init__(self, *, retry_delay_s: float, sent_before: bool = False) -> None:
        super().__init__(
            f"a request with this request_id is in progress; {_so_far(sent_before)}: "
            f"repeat it with the same request_id to learn its outcome"
        )
        self.retry_delay_s = retry_delay_s


class NotSent(CallerError):
    """The caller's time ran out before a whole request was sent."""

    reason = Reason.NOT_SENT

    def __init__(self) -> None:
        super().__init__(
            "the deadline is about to pass, and nothing was created by this call; set a longer one"
        )


# Refusals by Graph.


class GraphError(GatewayError):
    """Graph refused the request."""

    advice = ""

    def __init__(self, response: ErrorResponse) -> None:
        super().__init__(f"{response}; {self.advice}")
        self.response = response


class GraphRejected(GraphError):
    """Graph refused the attachment; `has_reason` unless its response names no code."""

    reason = Reason.GRAPH_REJECTED

    advice = "nothing was created: correct the request"

    def __init__(self, response: ErrorResponse, *, has_reason: bool = True) -> None:
        if not has_reason:
            self.advice = (
                "it gave no reason, and nothing was created: the request, or something between the "
                "gateway and Graph, may be at fault"
            )
        super().__init__(response)


class GraphUnauthenticated(GraphError):
    """Graph didn't accept the caller's token."""

    reason = Reason.GRAPH_UNAUTHENTICATED

    advice = "get a new token for Graph"


class GraphPermissionDenied(GraphError):
    """The token doesn't permit this operation."""

    reason = Reason.GRAPH_PERMISSION_DENIED

    advice = "the token needs Group.ReadWrite.All, and its user needs access to the group"


class GraphNotFound(GraphError):
    """Graph doesn't find the post or, for a replay, the attachment."""

    reason = Reason.GRAPH_NOT_FOUND

    advice = "check the ids; a post that was just created may take a moment to be found"

    def __init__(self, response: ErrorResponse, *, resource: str, gone: bool = False) -> None:
        if gone:
            self.advice = "the attachment was created, but is not there any more"
        super().__init__(response)
        self.resource = quoted(resource, MAX_RESOURCE_BYTES)


class GraphUnsupported(GraphError):
    """Graph doesn't offer the operation to this tenant."""

    reason = Reason.GRAPH_UNSUPPORTED

    advice = "Graph does not offer attachments to posts here; sending it again will not help"


class GraphConflict(GraphError):
    """Another writer is changing the post."""

    reason = Reason.GRAPH_CONFLICT

    advice = "another writer is changing the post, and nothing was created: send it again"


class GraphLocked(GraphError):
    """The post is locked."""

    reason = Reason.GRAPH_LOCKED

    advice = "the post is locked: unlock it first"


class GraphThrottled(GraphError):
    """Graph asked to wait before more requests to the mailbox."""

    reason = Reason.GRAPH_THROTTLED

    advice = "nothing was created: send it again later"

    def __init__(self, response: ErrorResponse, *, retry_delay_s: float) -> None:
        super().__init__(response)
        self.retry_delay_s = retry_delay_s


class GraphQuotaExceeded(GraphError):
    """The group's mailbox is full."""

    reason = Reason.GRAPH_QUOTA_EXCEEDED

    advice = "the group's mailbox is full: free space in it first"


# Errors of the gateway, and unknown outcomes.


class OurError(GatewayError):
    """The error is the gateway's or its connections', or the outcome is unknown."""


class GraphUnavailable(OurError):
    """Graph couldn't be reached or gave no usable response; it is settled: nothing was created."""

    reason = Reason.GRAPH_UNAVAILABLE

    def __init__(
        self, what: str, *, retry_delay_s: float, response: ErrorResponse | None = None
    ) -> None:
        super().__init__(f"{what}; nothing was created: send it again")
        self.retry_delay_s = retry_delay_s
        self.response = response


class GatewayOverloaded(OurError):
    """There is no memory for another upload."""

    reason = Reason.GATEWAY_OVERLOADED

    def __init__(self, *, memory_bytes: int, waiting: int, retry_delay_s: float) -> None:
        super().__init__(
            f"the {memory_bytes:,} bytes for uploads are reserved, and {waiting:,} calls wait for "
            f"them; nothing was sent to Graph: send it again later, or with a longer deadline"
        )
        self.retry_delay_s = retry_delay_s


class ReservationLost(OurError):
    """The caller was slow, and lost its memory to calls that waited for it."""

    reason = Reason.GATEWAY_OVERLOADED

    def __init__(self, *, late_s: float, waiting: int, retry_delay_s: float) -> None:
        super().__init__(
            f"the caller was {late_s:.1f} s late with its next message while {waiting:,} calls "
            f"waited for memory; nothing was sent to Graph: send it again, without pauses"
        )
        self.retry_delay_s = retry_delay_s


class TooManyCalls(OurError):
    """The gateway has as many calls, or connections with calls, as it may have."""

    reason = Reason.GATEWAY_OVERLOADED

    def __init__(self, *, what: str, most: int, retry_delay_s: float) -> None:
        super().__init__(
            f"the gateway has {most:,} {what}, the most that it takes at once; nothing was sent to "
            f"Graph: send it again later"
        )
        self.retry_delay_s = retry_delay_s


class GatewayDraining(OurError):
    """The gateway is about to stop."""

    reason = Reason.GATEWAY_DRAINING

    def __init__(self, *, retry_delay_s: float) -> None:
        super().__init__(
            "the gateway is about to stop; nothing was created by this call: send it again"
        )
        self.retry_delay_s = retry_delay_s


class LedgerUnavailable(OurError):
    """The ledger can't be read or written. `why` is for the log."""

    reason = Reason.LEDGER_UNAVAILABLE

    def __init__(self, why: str, *, sent_before: bool = False) -> None:
        super().__init__(
            f"the gateway's ledger is unavailable; {_so_far(sent_before)}: send it again"
        )
        self.why = why
        self.retry_delay_s = LEDGER_RETRY_DELAY_S


class MailboxLimit(OurError):
    """Graph's limits for the mailbox, which the gateway keeps, allow no more requests for now."""

    reason = Reason.MAILBOX_LIMIT

    def __init__(self, why: str, *, retry_delay_s: float) -> None:
        super().__init__(f"{why}; nothing was sent to Graph: send it again later")
        self.retry_delay_s = retry_delay_s


class OutcomeUnknown(OurError):
    """It isn't known what was created; `created` if an attachment was, but can't be described."""

    reason = Reason.OUTCOME_UNKNOWN

    def __init__(
        self, what: str, *, response: ErrorResponse | None = None, created: bool = False
    ) -> None:
        fate = "was created, but is not described" if created else "may exist, now or in a moment"
        super().__init__(
            f"{what}; the attachment {fate}: repeat it with the same request_id, or look at the "
            f"post before sending it again"
        )
        self.what = what
        self.response = response
        self.created = created


class GatewayFault(OurError):
    """An unexpected error. Its cause is only in the log."""

    reason = Reason.GATEWAY_ERROR

    def __init__(self, *, response: ErrorResponse | None = None) -> None:
        super().__init__("the gateway failed; its operator can find the reason in the log")
        self.response = response
