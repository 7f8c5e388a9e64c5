"""status: error -> gRPC status. The table of the contract, written out once more."""

from dataclasses import replace

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, ResourceInfo, RetryInfo

from attachment_gateway import errors
from attachment_gateway.rpc import status
from attachment_gateway.errors import GatewayError, ErrorResponse

IDS = {"graph_request_id": "g-1", "client_request_id": "c-1"}
ANSWER = ErrorResponse(http_status=499, codes=("Code", "Inner"), message="words")
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
        errors.InvalidRequest("post.group_id", "empty"),
        *("INVALID_ARGUMENT", "INVALID_REQUEST", {}, [FIELD], None),
    ),
    (errors.StreamProtocol("x"), "INVALID_ARGUMENT", "STREAM_PROTOCOL", {}, [], None),
    (
        errors.AttachmentTooLarge(size_bytes=5, max_size_bytes=3),
        *("INVALID_ARGUMENT", "ATTACHMENT_TOO_LARGE"),
        *({"size_bytes": "5", "max_size_bytes": "3"}, [], None),
    ),
    (
        errors.AttachmentTooLarge(size_bytes=5, answer=ANSWER),
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
        errors.LedgerUnavailable("x"),
        *("UNAVAILABLE", "LEDGER_UNAVAILABLE", {}, [FIVE_S], "5000"),
    ),
    (errors.StreamIdle(idle_s=30), "ABORTED", "STREAM_IDLE", {}, [], None),
    (errors.TokenMissing("x"), "UNAUTHENTICATED", "TOKEN_MISSING", {}, [], None),
    (errors.NotSent(), "DEADLINE_EXCEEDED", "NOT_SENT", {}, [], None),
    (errors.GraphRejected(ANSWER), "INVALID_ARGUMENT", "GRAPH_REJECTED", OF_GRAPH, [], None),
    (
        errors.GraphUnauthenticated(ErrorResponse(http_status=401, claims="eyJ9")),
        *("UNAUTHENTICATED", "GRAPH_UNAUTHENTICATED"),
        *({"http_status": "401", "graph_code": "", "claims": "eyJ9"}, [], None),
    ),
    (
        errors.GraphPermissionDenied(ANSWER),
        *("PERMISSION_DENIED", "GRAPH_PERMISSION_DENIED", OF_GRAPH, [], None),
    ),
    (
        errors.GraphNotFound(ANSWER, resource="/groups/g"),
        *("NOT_FOUND", "GRAPH_NOT_FOUND", OF_GRAPH, [POST], None),
    ),
    (errors.GraphUnsupported(ANSWER), "UNIMPLEMENTED", "GRAPH_UNSUPPORTED", OF_GRAPH, [], None),
    (errors.GraphConflict(ANSWER), "ABORTED", "GRAPH_CONFLICT", OF_GRAPH, [], None),
    (errors.GraphLocked(ANSWER), "FAILED_PRECONDITION", "GRAPH_LOCKED", OF_GRAPH, [], None),
    (
        errors.GraphThrottled(ANSWER, retry_delay_s=3),
        *("RESOURCE_EXHAUSTED", "GRAPH_THROTTLED", OF_GRAPH, [THREE_S], "3000"),
    ),
    (
        errors.GraphQuotaExceeded(ANSWER),
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
        errors.OutcomeUnknown("x", answer=ANSWER),
        *("UNKNOWN", "OUTCOME_UNKNOWN", OF_GRAPH, [], "-1"),
    ),
    (errors.GatewayFault(answer=ANSWER), "INTERNAL", "GATEWAY_ERROR", OF_GRAPH, [], None),
]


@pytest.mark.parametrize(
    ("error", "code", "reason", "metadata", "details", "pushback"),
    ROWS,
    ids=[type(row[0]).__name__ for row in ROWS],
)
def test_every_error(
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


def test_no_error_is_forgotten() -> None:
    """Every error that there is has a row, here and in the table."""
    assert leaves(GatewayError) == {type(row[0]) for row in ROWS} == set(status._TABLE)


LONG = "語" * 9999
LONGEST = ErrorResponse(
    http_status=401,
    codes=(errors.quoted(LONG, errors.MAX_CODE_BYTES),),
    message=errors.quoted(LONG),
)


@pytest.mark.parametrize(
    "error",
    [
        errors.GraphUnauthenticated(replace(LONGEST, claims="x" * 2048)),
        errors.GraphNotFound(LONGEST, resource=LONG),
        errors.InvalidRequest(LONG, "y" * 300),
    ],
)
def test_the_trailers_of_the_longest_error_fit(error: GatewayError) -> None:
    """A client takes 8 KiB of trailers by default: the sentence twice, ids and details."""
    made = status.to_status(error, {"graph_request_id": "x" * 128, "client_request_id": "x" * 36})
    percent_encoded = 3 * len(str(error).encode())
    base64_encoded = made.ByteSize() * 4 // 3
    assert percent_encoded + base64_encoded < 8192 - 512
