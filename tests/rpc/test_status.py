"""Tests of rpc/status.py: the contract's table of errors and gRPC statuses, repeated here."""

from dataclasses import replace

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo

from attachment_gateway import errors
from attachment_gateway.errors import ErrorResponse, GatewayError
from attachment_gateway.rpc import status

IDS = {"graph_request_id": "g-1", "client_request_id": "c-1"}
RESPONSE = ErrorResponse(http_status=499, codes=("Code", "Inner"), message="words")
OF_GRAPH = {"http_status": "499", "graph_code": "Code"}
THREE_S = RetryInfo(retry_delay=Duration(seconds=3))
FIVE_S = RetryInfo(retry_delay=Duration(seconds=5))
POST = ResourceInfo(
    resource_type="microsoft.graph.post",
    resource_name="/groups/g",
    description="check the ids; a post that was just created may take a moment to be found",
)
FIELD = BadRequest(
    field_violations=[BadRequest.FieldViolation(field="post.group_id", description="empty")]
)

ROWS = [
    (
        errors.InvalidRequest(errors.FieldViolation("post.group_id", "empty")),
        *("INVALID_ARGUMENT", "INVALID_REQUEST", {}, [FIELD], None),
    ),
    (errors.StreamProtocol("x"), "INVALID_ARGUMENT", "STREAM_PROTOCOL", {}, [], None),
    (
        errors.AttachmentTooLarge(size_bytes=5, max_size_bytes=3),
        *("INVALID_ARGUMENT", "ATTACHMENT_TOO_LARGE"),
        *({"size_bytes": "5", "max_size_bytes": "3"}, [], None),
    ),
    (
        errors.AttachmentTooLarge(size_bytes=5, response=RESPONSE),
        *("INVALID_ARGUMENT", "ATTACHMENT_TOO_LARGE", {"size_bytes": "5", **OF_GRAPH}, [], None),
    ),
    (
        errors.SizeMismatch(declared_bytes=5, size_bytes=3),
        *("INVALID_ARGUMENT", "SIZE_MISMATCH", {"size_bytes": "3"}, [], None),
    ),
    (
        errors.ChecksumMismatch(declared=b"a", computed=b"b"),
        *("INVALID_ARGUMENT", "CHECKSUM_MISMATCH", {}, [], None),
    ),
    (errors.RequestIdReused(), "INVALID_ARGUMENT", "REQUEST_ID_REUSED", {}, [], None),
    (
        errors.RequestInProgress(retry_delay_s=3),
        *("ABORTED", "REQUEST_IN_PROGRESS", {}, [THREE_S], "3000"),
    ),
    (
        errors.MailboxLimit("x", retry_delay_s=3),
        *("RESOURCE_EXHAUSTED", "MAILBOX_LIMIT", {}, [THREE_S], "3000"),
    ),
    (
        errors.GatewayOverloaded(memory_bytes=1, waiting=1, retry_delay_s=3),
        *("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED", {}, [THREE_S], "3000"),
    ),
    (
        errors.ReservationLost(late_s=1, waiting=1, retry_delay_s=3),
        *("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED", {}, [THREE_S], "3000"),
    ),
    (
        errors.TooManyCalls(what="calls in flight", most=1, retry_delay_s=3),
        *("RESOURCE_EXHAUSTED", "GATEWAY_OVERLOADED", {}, [THREE_S], "3000"),
    ),
    (
        errors.LedgerUnavailable("x"),
        *("UNAVAILABLE", "LEDGER_UNAVAILABLE", {}, [FIVE_S], "5000"),
    ),
    (errors.StreamIdle(idle_s=30, least_rate=1), "ABORTED", "STREAM_IDLE", {}, [], None),
    (errors.TokenMissing("x"), "UNAUTHENTICATED", "TOKEN_MISSING", {}, [], None),
    (errors.NotSent(), "DEADLINE_EXCEEDED", "NOT_SENT", {}, [], None),
    (errors.GraphRejected(RESPONSE), "INVALID_ARGUMENT", "GRAPH_REJECTED", OF_GRAPH, [], None),
    (
        errors.GraphUnauthenticated(ErrorResponse(http_status=401, claims="eyJ9")),
        *("UNAUTHENTICATED", "GRAPH_UNAUTHENTICATED"),
        *({"http_status": "401", "graph_code": "", "claims": "eyJ9"}, [], None),
    ),
    (
        errors.GraphPermissionDenied(RESPONSE),
        *("PERMISSION_DENIED", "GRAPH_PERMISSION_DENIED", OF_GRAPH, [], None),
    ),
    (
        errors.GraphNotFound(RESPONSE, resource="/groups/g"),
        *("NOT_FOUND", "GRAPH_NOT_FOUND", OF_GRAPH, [POST], None),
    ),
    (errors.GraphUnsupported(RESPONSE), "UNIMPLEMENTED", "GRAPH_UNSUPPORTED", OF_GRAPH, [], None),
    (errors.GraphConflict(RESPONSE), "ABORTED", "GRAPH_CONFLICT", OF_GRAPH, [], None),
    (errors.GraphLocked(RESPONSE), "FAILED_PRECONDITION", "GRAPH_LOCKED", OF_GRAPH, [], None),
    (
        errors.GraphThrottled(RESPONSE, retry_delay_s=3),
        *("RESOURCE_EXHAUSTED", "GRAPH_THROTTLED", OF_GRAPH, [THREE_S], "3000"),
    ),
    (
        errors.GraphQuotaExceeded(RESPONSE),
        *("RESOURCE_EXHAUSTED", "GRAPH_QUOTA_EXCEEDED", OF_GRAPH, [], "-1"),
    ),
    (
        errors.GraphUnavailable("x", retry_delay_s=3),
        *("UNAVAILABLE", "GRAPH_UNAVAILABLE", {}, [THREE_S], "3000"),
    ),
    (
        errors.GatewayDraining(retry_delay_s=3),
        *("UNAVAILABLE", "GATEWAY_DRAINING", {}, [THREE_S], "3000"),
    ),
    (
        errors.OutcomeUnknown("x", response=RESPONSE),
        *("UNKNOWN", "OUTCOME_UNKNOWN", OF_GRAPH, [], "-1"),
    ),
    (errors.GatewayFault(response=RESPONSE), "INTERNAL", "GATEWAY_ERROR", OF_GRAPH, [], None),
]


@pytest.mark.parametrize(
    ("error", "code", "reason", "metadata", "details", "pushback"),
    ROWS,
    ids=[type(row[0]).__name__ for row in ROWS],
)
def test_each_error_has_its_status(
    error: GatewayError,
    code: str,
    reason: str,
    metadata: dict[str, str],
    details: list[Message],
    pushback: str | None,
) -> None:
    """An error's code, reason, metadata, details and pushback are these and no others."""
    made = status.to_status(error, IDS)
    info = ErrorInfo(reason=reason, domain="attachment-gateway", metadata={**metadata, **IDS})
    assert made.code == grpc.StatusCode[code].value[0]
    assert made.message == str(error)
    assert [detail.type_url.rpartition(".")[2] for detail in made.details] == [
        type(expected).__name__ for expected in [info, *details]
    ]
    for packed, expected in zip(made.details, [info, *details], strict=True):
        unpacked = type(expected)()
        assert packed.Unpack(unpacked)
        assert unpacked == expected
    trailer = () if pushback is None else (("grpc-retry-pushback-ms", pushback),)
    assert status.pushback(error) == trailer


def leaves(kind: type[GatewayError]) -> set[type[GatewayError]]:
    below = kind.__subclasses__()
    return {kind} if not below else set().union(*map(leaves, below))


def test_every_error_has_a_row_and_a_code() -> None:
    """Every error class has a row in ROWS, and every reason a gRPC code."""
    assert leaves(GatewayError) == {type(row[0]) for row in ROWS}
    assert {row[0].reason for row in ROWS} == set(errors.Reason) == set(status.CODES)


LONG = "語" * 9999
LONGEST = ErrorResponse(
    http_status=401,
    codes=(errors.quoted(LONG, errors.MAX_CODE_BYTES),),
    message=errors.quoted(LONG),
)


def invalid(count: int, field: str, description: str) -> errors.InvalidRequest:
    violations = errors.Violations()
    for _ in range(count):
        violations.add(field, description)
    return violations.error()


@pytest.mark.parametrize(
    "error",
    [
        errors.GraphUnauthenticated(replace(LONGEST, claims="x" * 2048)),
        errors.GraphNotFound(LONGEST, resource=LONG),
        errors.GraphThrottled(LONGEST, retry_delay_s=3.5),
        errors.OutcomeUnknown(str(LONGEST), response=LONGEST),
        invalid(1, LONG, LONG),
        invalid(1_000_000, LONG, LONG),
        invalid(1_000_000, "x" * 60, "y" * 60),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_trailers_of_the_longest_error_fit(error: GatewayError) -> None:
    """All trailers stay below 7 KiB as HPACK counts them, because Java takes 8,192 bytes."""
    ids = {"graph_request_id": "x" * 128, "client_request_id": "x" * 36}
    made = status.to_status(error, ids)
    trailers = {
        "grpc-status": "16",
        "grpc-message": "x"
        * (
            3 * len(str(error).encode())
        ),  # at most three characters a byte, if all is percent-encoded
        "grpc-status-details-bin": "x" * (made.ByteSize() * 4 // 3 + 1),
        **dict(status.id_trailers(ids)),
        **dict(status.pushback(error)),
    }
    assert sum(len(name) + len(text) + 32 for name, text in trailers.items()) < 7 * 1024


def test_twenty_wrong_fields_are_named_and_the_rest_counted() -> None:
    """The first twenty wrong fields are named, and a last entry counts the others."""
    error = invalid(1234, "attachment.item_attachment.event.attendees[7].type", "7 is no value")
    [_, detail] = status.to_status(error, IDS).details
    named = BadRequest()
    assert detail.Unpack(named)
    assert [each.field for each in named.field_violations] == [
        *["attachment.item_attachment.event.attendees[7].type"] * 20,
        "",
    ]
    assert named.field_violations[-1].description == "and 1,214 more"
    assert str(error).endswith("7 is no value (and 1,233 more)")


def test_fields_without_room_in_the_trailers_are_counted() -> None:
    """Long fields are named as far as they fit, at least one, and the others counted."""
    [_, detail] = status.to_status(invalid(30, LONG, LONG), IDS).details
    named = BadRequest()
    assert detail.Unpack(named)
    count = len(named.field_violations) - 1
    assert 1 <= count < 20
    assert named.field_violations[-1].description == f"and {30 - count} more"
