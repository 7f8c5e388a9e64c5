"""Error -> gRPC status. Codes and reasons are made here and nowhere else."""

from collections.abc import Mapping
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode

from attachment_gateway import errors
from attachment_gateway.errors import GatewayError, GraphNotFound, InvalidRequest

DOMAIN = "attachment-gateway"

# The resource that a NOT_FOUND is about.
RESOURCE_TYPE = "microsoft.graph.post"

PUSHBACK = "grpc-retry-pushback-ms"

# A pushback that forbids clients' retry policies to send again.
NEVER = "-1"


@dataclass(frozen=True, slots=True)
class _Row:
    code: StatusCode
    reason: str
    never_again: bool = False


_TABLE: Mapping[type[GatewayError], _Row] = {
    errors.InvalidRequest: _Row(StatusCode.INVALID_ARGUMENT, "INVALID_REQUEST"),
    errors.StreamProtocol: _Row(StatusCode.INVALID_ARGUMENT, "STREAM_PROTOCOL"),
    errors.AttachmentTooLarge: _Row(StatusCode.INVALID_ARGUMENT, "ATTACHMENT_TOO_LARGE"),
    errors.SizeMismatch: _Row(StatusCode.INVALID_ARGUMENT, "SIZE_MISMATCH"),
    errors.ChecksumMismatch: _Row(StatusCode.INVALID_ARGUMENT, "CHECKSUM_MISMATCH"),
    errors.RequestIdReused: _Row(StatusCode.INVALID_ARGUMENT, "REQUEST_ID_REUSED"),
    errors.RequestInProgress: _Row(StatusCode.ABORTED, "REQUEST_IN_PROGRESS"),
    errors.StreamIdle: _Row(StatusCode.ABORTED, "STREAM_IDLE"),
    errors.TokenMissing: _Row(StatusCode.UNAUTHENTICATED, "TOKEN_MISSING"),
    errors.NotSent: _Row(StatusCode.DEADLINE_EXCEEDED, "NOT_SENT"),
    errors.GraphRejected: _Row(StatusCode.INVALID_ARGUMENT, "GRAPH_REJECTED"),
    errors.GraphUnauthenticated: _Row(StatusCode.UNAUTHENTICATED, "GRAPH_UNAUTHENTICATED"),
    errors.GraphPermissionDenied: _Row(StatusCode.PERMISSION_DENIED, "GRAPH_PERMISSION_DENIED"),
    errors.GraphNotFound: _Row(StatusCode.NOT_FOUND, "GRAPH_NOT_FOUND"),
    errors.GraphUnsupported: _Row(StatusCode.UNIMPLEMENTED, "GRAPH_UNSUPPORTED"),
    errors.GraphConflict: _Row(StatusCode.ABORTED, "GRAPH_CONFLICT"),
    errors.GraphLocked: _Row(StatusCode.FAILED_PRECONDITION, "GRAPH_LOCKED"),
    errors.GraphThrottled: _Row(StatusCode.RESOURCE_EXHAUSTED, "GRAPH_THROTTLED"),
    errors.MailboxLimit: _Row(StatusCode.RESOURCE_EXHAUSTED, "MAILBOX_LIMIT"),
    errors.GraphQuotaExceeded: _Row(
        StatusCode.RESOURCE_EXHAUSTED, "GRAPH_QUOTA_EXCEEDED", never_again=True
    ),
    errors.GraphUnavailable: _Row(StatusCode.UNAVAILABLE, "GRAPH_UNAVAILABLE"),
    errors.GatewayDraining: _Row(StatusCode.UNAVAILABLE, "GATEWAY_DRAINING"),
    errors.LedgerUnavailable: _Row(StatusCode.UNAVAILABLE, "LEDGER_UNAVAILABLE"),
    errors.GatewayOverloaded: _Row(StatusCode.RESOURCE_EXHAUSTED, "GATEWAY_OVERLOADED"),
    errors.OutcomeUnknown: _Row(StatusCode.UNKNOWN, "OUTCOME_UNKNOWN", never_again=True),
    errors.GatewayFault: _Row(StatusCode.INTERNAL, "GATEWAY_ERROR"),
}


def code_of(error: GatewayError) -> StatusCode:
    """Return the gRPC code of an error."""
    return _TABLE[type(error)].code


def reason_of(error: GatewayError) -> str:
    """Return the reason of an error, as its ErrorInfo carries it."""
    return _TABLE[type(error)].reason


def to_status(error: GatewayError, ids: Mapping[str, str]) -> Status:
    """Return the status of an error, with its details.

    `ids` are the ids by which Microsoft's support finds the request, as ErrorInfo's metadata.
    """
    info = ErrorInfo(reason=reason_of(error), domain=DOMAIN, metadata={**_metadata(error), **ids})
    status = Status(code=code_of(error).value[0], message=str(error))
    for detail in (info, *_details(error)):
        status.details.add().Pack(detail)
    return status


def pushback(error: GatewayError) -> tuple[tuple[str, str], ...]:
    """Return the trailer that gRPC's own retry policies obey, where there is something to obey."""
    if _TABLE[type(error)].never_again:
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
    if error.answer is not None:
        metadata["http_status"] = str(error.answer.http_status)
        metadata["graph_code"] = error.answer.code
        if error.answer.claims:
            metadata["claims"] = error.answer.claims
    return metadata


def _details(error: GatewayError) -> list[Message]:
    details: list[Message] = []
    if isinstance(error, InvalidRequest):
        violation = BadRequest.FieldViolation(field=error.field, description=error.description)
        details.append(BadRequest(field_violations=[violation]))
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
