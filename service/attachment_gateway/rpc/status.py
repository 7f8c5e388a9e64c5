"""Error -> gRPC status. No other module maps reasons to gRPC codes."""

from collections.abc import Mapping

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from attachment_gateway.errors import GatewayError, GraphNotFound, InvalidRequest, Reason

DOMAIN = "attachment-gateway"

# The most bytes of the details that name wrong fields. It keeps all trailers together under 7 KiB:
# by default Java ends a connection at 8,192 bytes of trailers, and base64 makes 4 bytes of 3.
MAX_VIOLATIONS_BYTES = 3 * 1024

# The type of the resource that a NOT_FOUND names.
RESOURCE_TYPE = "microsoft.graph.post"

PUSHBACK = "grpc-retry-pushback-ms"

# The pushback that makes clients' retry policies stop.
NEVER = "-1"

CODES: Mapping[Reason, StatusCode] = {
    Reason.INVALID_REQUEST: StatusCode.INVALID_ARGUMENT,
    Reason.STREAM_PROTOCOL: StatusCode.INVALID_ARGUMENT,
    Reason.ATTACHMENT_TOO_LARGE: StatusCode.INVALID_ARGUMENT,
    Reason.SIZE_MISMATCH: StatusCode.INVALID_ARGUMENT,
    Reason.CHECKSUM_MISMATCH: StatusCode.INVALID_ARGUMENT,
    Reason.REQUEST_ID_REUSED: StatusCode.INVALID_ARGUMENT,
    Reason.REQUEST_IN_PROGRESS: StatusCode.ABORTED,
    Reason.STREAM_IDLE: StatusCode.ABORTED,
    Reason.TOKEN_MISSING: StatusCode.UNAUTHENTICATED,
    Reason.NOT_SENT: StatusCode.DEADLINE_EXCEEDED,
    Reason.GRAPH_REJECTED: StatusCode.INVALID_ARGUMENT,
    Reason.GRAPH_UNAUTHENTICATED: StatusCode.UNAUTHENTICATED,
    Reason.GRAPH_PERMISSION_DENIED: StatusCode.PERMISSION_DENIED,
    Reason.GRAPH_NOT_FOUND: StatusCode.NOT_FOUND,
    Reason.GRAPH_UNSUPPORTED: StatusCode.UNIMPLEMENTED,
    Reason.GRAPH_CONFLICT: StatusCode.ABORTED,
    Reason.GRAPH_LOCKED: StatusCode.FAILED_PRECONDITION,
    Reason.GRAPH_THROTTLED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.MAILBOX_LIMIT: StatusCode.RESOURCE_EXHAUSTED,
    Reason.GRAPH_QUOTA_EXCEEDED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.GRAPH_UNAVAILABLE: StatusCode.UNAVAILABLE,
    Reason.GATEWAY_DRAINING: StatusCode.UNAVAILABLE,
    Reason.LEDGER_UNAVAILABLE: StatusCode.UNAVAILABLE,
    Reason.GATEWAY_OVERLOADED: StatusCode.RESOURCE_EXHAUSTED,
    Reason.OUTCOME_UNKNOWN: StatusCode.UNKNOWN,
    Reason.GATEWAY_ERROR: StatusCode.INTERNAL,
}

# Reasons for which a client's retry policy must not send again.
_NEVER_AGAIN = {Reason.GRAPH_QUOTA_EXCEEDED, Reason.OUTCOME_UNKNOWN}


def to_status(error: GatewayError, ids: Mapping[str, str]) -> Status:
    """Return the status of an error, with its details.

    `ids`: the ids by which Microsoft's support finds the request, for ErrorInfo's metadata.
    """
    info = ErrorInfo(reason=error.reason, domain=DOMAIN, metadata={**_metadata(error), **ids})
    status = Status(code=CODES[error.reason].value[0], message=str(error))
    for detail in (info, *_details(error)):
        status.details.add().Pack(detail)
    return status


def id_trailers(ids: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the ids as trailers, with hyphens in their names."""
    return tuple((name.replace("_", "-"), value) for name, value in ids.items())


def pushback(error: GatewayError) -> tuple[tuple[str, str], ...]:
    """Return the trailer that controls gRPC's own retry policies, if the error calls for one."""
    if error.reason in _NEVER_AGAIN:
        return ((PUSHBACK, NEVER),)
    if error.retry_delay_s is not None:
        return ((PUSHBACK, str(round(error.retry_delay_s * 1000))),)
    return ()


def _metadata(error: GatewayError) -> dict[str, str]:
    metadata = {
        name: str(size)
        for name, size in (
            ("size_bytes", error.size_bytes),
            ("max_size_bytes", error.max_size_bytes),
        )
        if size is not None
    }
    if error.response is not None:
        metadata["http_status"] = str(error.response.http_status)
        metadata["graph_code"] = error.response.code
        if error.response.claims:
            metadata["claims"] = error.response.claims
    return metadata


def _details(error: GatewayError) -> list[Message]:
    details: list[Message] = []
    if isinstance(error, InvalidRequest):
        details.append(_bad_request(error))
    if isinstance(error, GraphNotFound):
        details.append(
            ResourceInfo(
                resource_type=RESOURCE_TYPE, resource_name=error.resource, description=error.advice
            )
        )
    if error.retry_delay_s is not None:
        delay = Duration()
        delay.FromNanoseconds(round(error.retry_delay_s * 1e9))
        details.append(RetryInfo(retry_delay=delay))
    return details


def _bad_request(error: InvalidRequest) -> BadRequest:
    """Return the wrong fields, as far as MAX_VIOLATIONS_BYTES allow.

    If fields are left out, a last entry with an empty field name says how many.
    """
    named: list[BadRequest.FieldViolation] = []
    room_bytes = MAX_VIOLATIONS_BYTES
    for violation in error.violations:
        named.append(
            BadRequest.FieldViolation(field=violation.field, description=violation.description)
        )
        room_bytes -= named[-1].ByteSize()
        if room_bytes < 0 and len(named) > 1:
            named.pop()
            break
    if more := error.more + len(error.violations) - len(named):
        named.append(BadRequest.FieldViolation(description=f"and {more:,} more"))
    return BadRequest(field_violations=named)
