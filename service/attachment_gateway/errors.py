"""Everything that can end a call, as a tree.

GatewayError
├── CallerError      the request is at fault, or the caller's stream, token or time
├── GraphError       Graph answered, and the answer means no
└── OurError         the gateway's own trouble, or what nobody can know

Each error carries its numbers and writes its own sentence: what came, what was wanted, what to do.
The gRPC code of each reason is a table in `rpc.status`; no other file knows it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

# How much is quoted of a text from elsewhere, in bytes of UTF-8. A gRPC client takes 8 KiB of
# trailers by default, and a sentence is in them twice: percent-encoded, and base64 in the details.
MAX_MESSAGE_BYTES = 384
MAX_CODE_BYTES = 128
MAX_FIELD_BYTES = 256
MAX_DESCRIPTION_BYTES = 256
MAX_RESOURCE_BYTES = 1024

# How many wrong fields an error names.
MAX_VIOLATIONS = 20

# When to come again to a gateway whose ledger is away: a failover takes some seconds.
LEDGER_RETRY_DELAY_S = 5.0


def quoted(text: str, max_bytes: int = MAX_MESSAGE_BYTES) -> str:
    """Put a text from elsewhere into one line of at most so many bytes of UTF-8."""
    line = " ".join(text.split())
    encoded = line.encode("utf-8", "replace")
    if len(encoded) <= max_bytes:
        return encoded.decode()
    return encoded[: max_bytes - len("…".encode())].decode("utf-8", "ignore") + "…"


class SettingError(ValueError):
    """A setting that can't be; the sentence names it."""


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
    """Say what this call has done: nothing is said of a request that was sent and refused."""
    return "nothing was created by this call" if sent_before else "nothing was sent to Graph"


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorResponse:
    """What Graph said when it said no; texts are quoted() already.

    `codes` are Graph's, outermost first, empty where it gave none; `retry_after_s` is None where it
    named no delay; `claims` is the challenge of a 401, base64 as it came, or "".
    """

    http_status: int
    codes: tuple[str, ...] = ()
    message: str = ""
    retry_after_s: float | None = None
    claims: str = ""

    @property
    def code(self) -> str:
        """The code to show, "" where Graph gave none."""
        return self.codes[0] if self.codes else ""

    def __str__(self) -> str:
        """Say it as a caller wants to read it."""
        told = f"Graph answered {self.http_status}"
        if self.code:
            told += f" {self.code}"
        return f"{told}: {self.message}" if self.message else told


class GatewayError(Exception):
    """The end of a call that isn't an attachment.

    `response`: Graph's, where there was one. `retry_delay_s`: when to send again, None where that
    isn't known to help. `size_bytes`, `max_size_bytes`: where sizes are the matter, of the file's
    raw bytes; for an item, of the whole REST request.
    """

    reason: ClassVar[Reason]
    response: ErrorResponse | None = None
    retry_delay_s: float | None = None
    size_bytes: int | None = None
    max_size_bytes: int | None = None


# The caller's fault.


class CallerError(GatewayError):
    """The request is at fault, or the caller's stream, token or time."""


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """What is wrong with a field, which is named by its path."""

    field: str
    description: str


class InvalidRequest(CallerError):
    """Fields are missing or malformed: the first of them, and how many more there are."""

    reason = Reason.INVALID_REQUEST

    def __init__(self, *violations: FieldViolation, more: int = 0) -> None:
        self.violations = violations
        self.more = more
        first, others = violations[0], len(violations) - 1 + more
        sentence = f"{first.field}: {first.description}"
        super().__init__(f"{sentence} (and {others:,} more)" if others else sentence)


class Violations:
    """Collects what is wrong with the fields of one request; MAX_VIOLATIONS are kept."""

    def __init__(self) -> None:
        self._found: list[FieldViolation] = []
        self._more = 0

    def add(self, field: str, description: str) -> None:
        """Add a field, unless it is one too many: then it is only counted."""
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
        """Return the error of those that there are, one at least."""
        return InvalidRequest(*self._found, more=self._more)


class StreamProtocol(CallerError):
    """The messages of an upload came in an order that makes no upload."""

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
                f"{of} has {size_bytes:,} bytes or more, and {max_size_bytes:,} is the most that "
                f"fits into one request to Graph here; send a smaller one"
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
    """Another number of bytes came than was declared."""

    reason = Reason.SIZE_MISMATCH

    def __init__(self, *, declared_bytes: int, size_bytes: int) -> None:
        super().__init__(
            f"{declared_bytes:,} bytes were declared, {size_bytes:,} came; nothing was sent to "
            f"Graph: send the whole file again"
        )
        self.size_bytes = size_bytes


class ChecksumMismatch(CallerError):
    """Other bytes came than were declared."""

    reason = Reason.CHECKSUM_MISMATCH

    def __init__(self, *, declared: bytes, computed: bytes) -> None:
        super().__init__(
            f"SHA-256 {declared.hex()} was declared, what came has {computed.hex()}; nothing was "
            f"sent to Graph: send the file again"
        )


class StreamIdle(CallerError):
    """The stream went quiet."""

    reason = Reason.STREAM_IDLE

    def __init__(self, *, idle_s: float) -> None:
        super().__init__(
            f"nothing came for {idle_s:g} s; half-close ends an upload. Nothing was sent to Graph: "
            f"send the file again"
        )


class TokenMissing(CallerError):
    """The call has no bearer token."""

    reason = Reason.TOKEN_MISSING


class RequestIdReused(CallerError):
    """Another request had the same id."""

    reason = Reason.REQUEST_ID_REUSED

    def __init__(self) -> None:
        super().__init__(
            "the request_id was given to a request with another post, description or content; "
            "nothing was sent to Graph: repeat a request as it was, and give each its own id"
        )


class RequestInProgress(CallerError):
    """The same request is being worked on."""

    reason = Reason.REQUEST_IN_PROGRESS

    def __init__(self, *, retry_delay_s: float, sent_before: bool = False) -> None:
        super().__init__(
            f"a request with this request_id is being worked on; {_so_far(sent_before)}: "
            f"repeat it, with the same id, to learn what became of it"
        )
        self.retry_delay_s = retry_delay_s


class NotSent(CallerError):
    """The caller's time ran out before anything was sent."""

    reason = Reason.NOT_SENT

    def __init__(self) -> None:
        super().__init__(
            "the deadline is about to pass and nothing was sent to Graph; set a longer one"
        )


# Graph's.


class GraphError(GatewayError):
    """Graph answered, and the answer means no."""

    advice = ""

    def __init__(self, response: ErrorResponse) -> None:
        super().__init__(f"{response}; {self.advice}")
        self.response = response


class GraphRejected(GraphError):
    """Graph finds fault with the attachment."""

    reason = Reason.GRAPH_REJECTED

    advice = "nothing was created: mend the request"


class GraphUnauthenticated(GraphError):
    """Graph doesn't take the caller's token."""

    reason = Reason.GRAPH_UNAUTHENTICATED

    advice = "get a new token for Graph"


class GraphPermissionDenied(GraphError):
    """The token isn't for this."""

    reason = Reason.GRAPH_PERMISSION_DENIED

    advice = "the token needs Group.ReadWrite.All, and its user access to the group"


class GraphNotFound(GraphError):
    """There is no such post."""

    reason = Reason.GRAPH_NOT_FOUND

    advice = "check the ids; a post that was just created may take a moment to be found"

    def __init__(self, response: ErrorResponse, *, resource: str, gone: bool = False) -> None:
        if gone:
            self.advice = "the attachment was created, and is not there any more"
        super().__init__(response)
        self.resource = quoted(resource, MAX_RESOURCE_BYTES)


class GraphUnsupported(GraphError):
    """Graph doesn't offer the operation to this tenant."""

    reason = Reason.GRAPH_UNSUPPORTED

    advice = "Graph does not offer attachments to posts here; sending it again will not help"


class GraphConflict(GraphError):
    """Another writer is at work on the post."""

    reason = Reason.GRAPH_CONFLICT

    advice = "another writer is at work on the post and nothing was created: send it again"


class GraphLocked(GraphError):
    """The post is locked."""

    reason = Reason.GRAPH_LOCKED

    advice = "the post is locked: unlock it first"


class GraphThrottled(GraphError):
    """Graph takes no more for now."""

    reason = Reason.GRAPH_THROTTLED

    advice = "nothing was created: send it again later"

    def __init__(self, response: ErrorResponse, *, retry_delay_s: float) -> None:
        super().__init__(response)
        self.retry_delay_s = retry_delay_s


class GraphQuotaExceeded(GraphError):
    """The mailbox is full."""

    reason = Reason.GRAPH_QUOTA_EXCEEDED

    advice = "the group's mailbox is full: make room first"


# Ours.


class OurError(GatewayError):
    """The gateway's own trouble, or what nobody can know."""


class GraphUnavailable(OurError):
    """Graph could not be reached, or broke off; it is settled that nothing was created."""

    reason = Reason.GRAPH_UNAVAILABLE

    def __init__(
        self, what: str, *, retry_delay_s: float, response: ErrorResponse | None = None
    ) -> None:
        super().__init__(f"{what}; nothing was created: send it again")
        self.retry_delay_s = retry_delay_s
        self.response = response


class GatewayOverloaded(OurError):
    """There is no memory for one more upload."""

    reason = Reason.GATEWAY_OVERLOADED

    def __init__(self, *, memory_bytes: int, waiting: int, retry_delay_s: float) -> None:
        super().__init__(
            f"the {memory_bytes:,} bytes for uploads are taken, and {waiting:,} calls wait for "
            f"them; nothing was sent to Graph: send it again later, or with a longer deadline"
        )
        self.retry_delay_s = retry_delay_s


class GatewayDraining(OurError):
    """The gateway is about to stop."""

    reason = Reason.GATEWAY_DRAINING

    def __init__(self, *, retry_delay_s: float) -> None:
        super().__init__("the gateway is about to stop; nothing was sent to Graph: send it again")
        self.retry_delay_s = retry_delay_s


class LedgerUnavailable(OurError):
    """What was sent before can't be looked up or written down. `why` is for the log."""

    reason = Reason.LEDGER_UNAVAILABLE

    def __init__(self, why: str, *, sent_before: bool = False) -> None:
        super().__init__(f"the gateway's ledger is away; {_so_far(sent_before)}: send it again")
        self.why = why
        self.retry_delay_s = LEDGER_RETRY_DELAY_S


class MailboxLimit(OurError):
    """The group's mailbox takes no more for now, by Graph's limits as the gateway keeps them."""

    reason = Reason.MAILBOX_LIMIT

    def __init__(self, why: str, *, retry_delay_s: float) -> None:
        super().__init__(f"{why}; nothing was sent to Graph: send it again later")
        self.retry_delay_s = retry_delay_s


class OutcomeUnknown(OurError):
    """The attachment may or may not have come to be; `created` if it did, but can't be named."""

    reason = Reason.OUTCOME_UNKNOWN

    def __init__(
        self, what: str, *, response: ErrorResponse | None = None, created: bool = False
    ) -> None:
        fate = "was created, and can't be named" if created else "may exist, now or in a moment"
        super().__init__(
            f"{what}; the attachment {fate}: repeat it with the same request_id, or look at the "
            f"post before sending it again"
        )
        self.what = what
        self.response = response
        self.created = created


class GatewayFault(OurError):
    """Anything unforeseen. What it was is for the log, not for the caller."""

    reason = Reason.GATEWAY_ERROR

    def __init__(self, *, response: ErrorResponse | None = None) -> None:
        super().__init__("the gateway failed; its operator finds the reason in its log")
        self.response = response
