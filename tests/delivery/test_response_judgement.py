"""Tests of delivery/response_judgement.py: what a response, or none, means for a delivery."""

import json
import time
from typing import Any

import pytest

from attachment_gateway import errors
from attachment_gateway.delivery.response_judgement import (
    Done,
    GiveUp,
    LookUp,
    SendAgain,
    Situation,
    decide,
    decide_absent,
    judge,
)
from attachment_gateway.errors import GatewayError
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.graph.response import (
    NoResponse,
    Response,
    http_date,
    read_error,
    retry_after_s,
)
from attachment_gateway.http1.failure import Failure
from tests.support.graph_requests import HEAD

NOW = 1_770_000_000.0  # 2026-02-02T02:40:00Z
FILE = GraphRequest(head=HEAD, body=(b"{", b"}"), kind="file_attachment", file_bytes=3)
ITEM = GraphRequest(head=HEAD, body=(b"{", b"}"), kind="item_attachment")


def response(status: int, body: object = b"", *, left: bool = True, **headers: str) -> Response:
    data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(http_status=status, headers=named, body=data, offered=left)


def fault(result: Response | NoResponse, graph_request: GraphRequest = FILE) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        judge(result, graph_request, now=NOW)
    return caught.value


def error(code: str, message: str = "", **inner: object) -> dict[str, object]:
    return {"error": {"code": code, "message": message, **inner}}


@pytest.mark.parametrize("status", [200, 201, 202, 206])
def test_any_2xx_with_an_attachment_is_success(status: int) -> None:
    """Any 2XX with an attachment is a success, because Graph's documents name several statuses."""
    body = {"@odata.type": "#microsoft.graph.fileAttachment", "id": "A=", "name": "n"}
    created = judge(response(status, body), FILE, now=NOW)
    assert (created.id, created.name, created.WhichOneof("kind")) == ("A=", "n", "file_attachment")


@pytest.mark.parametrize(
    ("graph_request", "kind"), [(FILE, "file_attachment"), (ITEM, "item_attachment")]
)
def test_a_response_without_a_type_has_the_sent_kind(
    graph_request: GraphRequest, kind: str
) -> None:
    """An attachment in a response without a type has the kind that was sent."""
    assert judge(response(200, {"id": "A="}), graph_request, now=NOW).WhichOneof("kind") == kind


def test_a_success_with_retry_after_is_a_success() -> None:
    """A Retry-After in a 201 doesn't change that the attachment was created."""
    assert judge(response(201, {"id": "A="}, retry_after="1"), FILE, now=NOW).id == "A="


@pytest.mark.parametrize("body", [None, b"", b"<html>", b"{", b"[]", b"null", b"{}", error("x")])
def test_a_2xx_without_an_attachment_is_unknown(body: object) -> None:
    """A 2XX without an attachment raises OutcomeUnknown with the response."""
    fate = fault(response(201, body))
    assert type(fate) is errors.OutcomeUnknown
    assert fate.response is not None
    assert fate.response.http_status == 201


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (300, errors.GatewayFault),
        (302, errors.GatewayFault),
        (307, errors.GatewayFault),
        (400, errors.GraphRejected),
        (401, errors.GraphUnauthenticated),
        (402, errors.GraphRejected),
        (403, errors.GraphPermissionDenied),
        (404, errors.GraphNotFound),
        (405, errors.GraphUnsupported),
        (406, errors.GraphRejected),
        (408, errors.OutcomeUnknown),
        (409, errors.GraphConflict),
        (410, errors.GraphNotFound),
        (411, errors.GraphRejected),
        (412, errors.GraphConflict),
        (413, errors.AttachmentTooLarge),
        (415, errors.GraphRejected),
        (416, errors.GraphRejected),
        (422, errors.GraphRejected),
        (423, errors.GraphLocked),
        (429, errors.GraphThrottled),
        (500, errors.OutcomeUnknown),
        (501, errors.GraphUnsupported),
        (502, errors.OutcomeUnknown),
        (503, errors.OutcomeUnknown),
        (504, errors.OutcomeUnknown),
        (507, errors.GraphQuotaExceeded),
        (509, errors.OutcomeUnknown),
        (599, errors.OutcomeUnknown),
    ],
)
@pytest.mark.parametrize("body", [b"", b"<html>", None, error("SomeCode", "words")])
def test_each_status_has_its_error(status: int, expected: type[GatewayError], body: object) -> None:
    """A status has the same error with every body whose code isn't known."""
    fate = fault(response(status, body))
    assert type(fate) is expected
    assert fate.response is not None
    assert fate.response.http_status == status
    assert fate.response.code == ("SomeCode" if isinstance(body, dict) else "")


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 509])
def test_an_early_unclear_status_created_nothing(status: int) -> None:
    """An unclear status that came before the whole request was offered raises GraphUnavailable."""
    assert type(fault(response(status, left=False))) is errors.GraphUnavailable


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (500, error("ErrorQuotaExceeded"), errors.GraphQuotaExceeded),
        (400, error("ErrorQuotaExceeded"), errors.GraphQuotaExceeded),
        (500, error("ErrorMessageSizeExceeded"), errors.GraphRejected),
        (413, error("ErrorMessageSizeExceeded"), errors.GraphRejected),
        (500, error("ErrorCorruptData", "Data is corrupt."), errors.GraphRejected),
        (500, error("ErrorInvalidProperty"), errors.GraphRejected),
        (503, error("RequestBodyRead"), errors.GraphRejected),
        (500, error("Outer", innerError={"code": "ErrorCorruptData"}), errors.GraphRejected),
        (
            500,
            error("Outer", innererror={"innerError": {"code": "ErrorQuotaExceeded"}}),
            errors.GraphQuotaExceeded,
        ),
        (400, error("BadRequest", "Maximum request length exceeded."), errors.AttachmentTooLarge),
        (
            400,
            error("ErrorInvalidRequest", "The OData request is not supported."),
            errors.GraphUnsupported,
        ),
        (400, error("ErrorInvalidRequest", "Something else."), errors.GraphRejected),
        (500, error("x", "Maximum request length exceeded."), errors.OutcomeUnknown),
    ],
)
def test_graphs_code_decides_before_its_status(
    status: int, body: object, expected: type[GatewayError]
) -> None:
    """Graph's code, also a nested one, decides before the status."""
    assert type(fault(response(status, body))) is expected


@pytest.mark.parametrize(("graph_request", "size"), [(FILE, 3), (ITEM, ITEM.size_bytes)])
def test_a_413_names_the_size_and_no_limit(graph_request: GraphRequest, size: int) -> None:
    """A 413 raises an error with the size of the file or request, and without a limit."""
    fate = fault(response(413, error("x", "Request entity too large")), graph_request)
    assert (fate.size_bytes, fate.max_size_bytes) == (size, None)
    assert "Request entity too large" in str(fate)


@pytest.mark.parametrize(
    ("left", "expected"), [(True, errors.OutcomeUnknown), (False, errors.GraphUnavailable)]
)
def test_a_lost_connection_is_unknown_only_if_offered(
    left: bool, expected: type[GatewayError]
) -> None:
    """A lost connection is unclear if the request was offered, and otherwise created nothing."""
    assert type(fault(NoResponse(failure=Failure.CONNECTION_LOST, offered=left))) is expected


def test_not_found_names_the_post() -> None:
    """The error for a 404 names the post by its path."""
    fate = fault(response(404, error("ErrorItemNotFound", "The id isn't there.")))
    assert isinstance(fate, errors.GraphNotFound)
    assert fate.resource == "/groups/g/threads/t/posts/p"
    assert str(fate) == (
        "Graph answered 404 ErrorItemNotFound: The id isn't there.; check the ids; a post that was "
        "just created may take a moment to be found"
    )


@pytest.mark.parametrize(
    ("status", "left", "header", "delay_s"),
    [
        (429, True, "7", 7.0),
        (429, True, None, 3.0),
        (429, True, "soon", 3.0),
        (429, True, "0", 0.0),
        (503, False, "9", 9.0),
        (503, False, None, 3.0),
        (503, True, "9", None),
        (412, True, None, None),
        (507, True, "5", None),
    ],
)
def test_a_retry_delay_is_named_where_a_repeat_is_safe(
    status: int, left: bool, header: str | None, delay_s: float | None
) -> None:
    """A safe error has Graph's delay or the default, and any other error has none."""
    headers = {} if header is None else {"retry_after": header}
    assert fault(response(status, left=left, **headers)).retry_delay_s == delay_s


@pytest.mark.parametrize(
    ("value", "delay_s"),
    [
        ("2.128", 2.128),
        ("1", 1.0),
        ("0", 0.0),
        ("30,120", 120.0),
        ("30, 120", 120.0),
        (" 5 ", 5.0),
        ("600", 600.0),
        ("99999999", 3600.0),
        ("Mon, 02 Feb 2026 02:40:30 GMT", 30.0),
        ("Mon, 02 Feb 2026 02:39:30 GMT", 0.0),
        ("Mon, 02 Feb 2099 02:40:30 GMT", 3600.0),
        ("", None),
        ("-1", None),
        ("1e3", None),
        ("nan", None),
        ("inf", None),
        ("1,", None),
        ("soon", None),
        ("Mon, 99 Feb 2026 02:40:30 GMT", None),
    ],
)
def test_each_form_of_retry_after_is_read(value: str, delay_s: float | None) -> None:
    """Each form of Retry-After that Graph writes is read, and a malformed one is None."""
    assert retry_after_s({"retry-after": value}, now=NOW) == delay_s


@pytest.mark.parametrize("value", ["1," * 200 + "1", "9" * 257, "Tue, 10 Mar 2026 " + " " * 300])
def test_an_overlong_retry_after_is_none(value: str) -> None:
    """A Retry-After of more than 256 characters asks for no delay."""
    assert retry_after_s({"retry-after": value}, now=NOW) is None


@pytest.mark.parametrize(("padding", "code"), [(65_000, "TooBig"), (65_536, "")])
def test_an_error_is_read_up_to_64_kib(padding: int, code: str) -> None:
    """An error's body of more than MAX_ERROR_BYTES tells nothing but its status."""
    found = read_error(response(400, {**error("TooBig"), "padding": "x" * padding}), now=NOW)
    assert (found.http_status, found.code) == (400, code)


def test_an_overlong_date_is_none() -> None:
    """A date of more than 64 characters is invalid."""
    date = "Tue, 10 Mar 2026 12:00:00 GMT"
    assert http_date(date.ljust(64)) == 1_773_144_000.0
    assert http_date(date.ljust(65)) is None


TINY = b'{"id":"A=","name":"n","more":[' + b"{}," * 30_000 + b"{}]}"
DEEP = b'{"id":"A=","more":' + b"[" * 101 + b"]" * 101 + b"}"


@pytest.mark.parametrize("body", [TINY, DEEP])
def test_a_success_with_too_many_elements_was_created(body: bytes) -> None:
    """A 2XX of Graph's that isn't parsed was created and is looked up; a proxy's may be."""
    graphs = fault(response(201, body, request_id="r"))
    assert isinstance(graphs, errors.OutcomeUnknown)
    assert graphs.created
    others = fault(response(201, body))
    assert isinstance(others, errors.OutcomeUnknown)
    assert not others.created


def test_no_retry_after_is_no_delay() -> None:
    """Without the header there is no delay."""
    assert retry_after_s({}, now=NOW) is None


def test_a_retry_after_date_is_on_the_responses_clock() -> None:
    """A date in Retry-After counts from the response's Date and not from the gateway's clock."""
    headers = {
        "retry-after": "Mon, 02 Feb 2026 09:00:10 GMT",
        "date": "Mon, 02 Feb 2026 09:00:00 GMT",
    }
    assert retry_after_s(headers, now=NOW) == 10.0


def test_a_claims_challenge_is_kept_unless_too_long() -> None:
    """A claims challenge of at most 2,048 characters is kept as it is, and a longer one dropped."""
    challenge = 'Bearer realm="", error="insufficient_claims", claims="eyJhIjoxfQ=="'
    assert read_error(response(401, www_authenticate=challenge), now=NOW).claims == "eyJhIjoxfQ=="
    overlong = f'Bearer claims="{"x" * 2049}"'
    assert read_error(response(401, www_authenticate=overlong), now=NOW).claims == ""
    assert read_error(response(401), now=NOW).claims == ""


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"error": null}', b'{"error": "x"}', b'{"error": {"code": 5}}', b"\xff"]
)
def test_a_malformed_error_body_leaves_the_status(body: bytes) -> None:
    """A response whose body is no Graph error is described by its status alone."""
    assert str(read_error(response(500, body), now=NOW)) == "Graph answered 500"


def test_a_long_message_is_cut() -> None:
    """Graph's message is quoted in one line of at most 384 bytes."""
    error_response = read_error(response(400, error("c", "é\n" * 5000)), now=NOW)
    assert len(error_response.message.encode()) <= 384
    assert error_response.message.startswith("é é é")
    assert error_response.message.endswith("…")


def test_an_attachment_has_the_kind_that_graph_names() -> None:
    """An attachment in a response has the kind that Graph names, also if another one was sent."""
    body = {"@odata.type": "#microsoft.graph.referenceAttachment", "id": "A="}
    created = judge(response(201, body), FILE, now=NOW)
    assert created.WhichOneof("kind") == "reference_attachment"


# The next step of a delivery.


def at(attempt: int = 1, left_s: float = 100.0, chance: float = 0.5) -> Situation:
    return Situation(attempt=attempt, left_s=left_s, chance=chance, now=NOW)


def again(result: Response | NoResponse, **situation: Any) -> SendAgain:
    step = decide(result, FILE, at(**situation))
    assert isinstance(step, SendAgain), step
    return step


def test_a_success_ends_the_delivery() -> None:
    """After a success the next step is Done with the attachment."""
    step = decide(response(201, {"id": "A="}), FILE, at())
    assert isinstance(step, Done)
    assert step.attachment.id == "A="


@pytest.mark.parametrize("status", [408, 500, 502, 503, 504, 509])
def test_an_unclear_attempt_is_looked_up_only_if_offered(status: int) -> None:
    """An unclear attempt is looked up if it was offered, and otherwise sent again."""
    assert isinstance(decide(response(status), FILE, at(left_s=0)), LookUp)
    assert isinstance(
        decide(NoResponse(failure=Failure.CONNECTION_LOST, offered=True), FILE, at()), LookUp
    )
    assert isinstance(decide(response(status, left=False), FILE, at()), SendAgain)
    assert isinstance(
        decide(NoResponse(failure=Failure.CONNECT_FAILED, offered=False), FILE, at()), SendAgain
    )


def test_an_unreadable_2xx_is_looked_up_as_created() -> None:
    """An unreadable 2XX is looked up, with an error that says that it was created."""
    step = decide(response(201, b"{", request_id="R"), FILE, at())
    assert isinstance(step, LookUp)
    assert step.error.created


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Welcome</html>",
        b"null",
        {"status": "ok"},
        {"name": "login", "size": 3},
        {"error": {"code": "UnknownError", "message": "x"}},
        {"id": "A=", "error": {"code": "UnknownError"}},
        {"id": "A=", "error": "x"},
    ],
)
def test_a_2xx_of_a_proxy_or_with_an_error_says_nothing(body: object) -> None:
    """A 2XX that holds an error, or that isn't Graph's, may or may not have created anything."""
    step = decide(response(200, body), FILE, at())
    assert isinstance(step, LookUp)
    assert not step.error.created
    assert decide_absent(step.error, at(), since_s=0.0).error.reason == "GRAPH_UNAVAILABLE"


def test_a_2xx_of_graph_with_an_error_is_unclear() -> None:
    """Graph's request-id doesn't make a success of an error; its code is told."""
    failed = {"error": {"code": "UnknownError", "message": "x"}}
    step = decide(response(200, failed, request_id="R"), FILE, at())
    assert isinstance(step, LookUp)
    assert not step.error.created
    assert step.error.response is not None
    assert step.error.response.code == "UnknownError"


@pytest.mark.parametrize("status", [421, 425])
def test_a_misdirected_or_early_request_is_sent_again(status: int) -> None:
    """A request that was refused for its connection or for coming too early can be repeated."""
    assert isinstance(decide(response(status), FILE, at()), SendAgain)
    assert fault(response(status)).reason == "GRAPH_UNAVAILABLE"


def test_a_proxy_that_refuses_is_the_operators_matter() -> None:
    """A 407 is not Graph's, and says nothing about the request."""
    assert fault(response(407)).reason == "GATEWAY_ERROR"


def test_a_400_without_a_code_is_told_as_such() -> None:
    """A bare 400 gives no reason, and isn't called the caller's mistake."""
    told = str(fault(response(400, b"")))
    assert "gave no reason" in told
    assert "correct the request" not in told
    assert "correct the request" in str(fault(response(400, error("ErrorInvalidIdMalformed"))))


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 405, 410, 413, 422, 423, 501, 507])
def test_a_refusal_ends_the_delivery(status: int) -> None:
    """A refused request isn't sent again, because that wouldn't help."""
    assert isinstance(decide(response(status), FILE, at()), GiveUp)


@pytest.mark.parametrize(
    ("attempt", "chance", "wait_s"),
    [(1, 0.0, 0.25), (1, 1.0, 0.5), (2, 1.0, 1.0), (3, 0.0, 1.0), (7, 1.0, 30.0), (99, 0.0, 15.0)],
)
def test_the_back_off_doubles_up_to_30_s(attempt: int, chance: float, wait_s: float) -> None:
    """The wait doubles with each attempt up to 30 s, of which half is jitter."""
    broken = NoResponse(failure=Failure.CONNECT_FAILED, offered=False)
    assert again(broken, attempt=attempt, chance=chance).wait_s == wait_s


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("2", 2.0),
        ("2.128", 2.128),
        ("30,120", 120.0),
        ("0", 0.375),
        ("soon", 0.375),
        ("-1", 0.375),
        ("Mon, 02 Feb 2026 02:40:07 GMT", 7.0),
        ("Mon, 02 Feb 2026 02:39:00 GMT", 0.375),
        ("99999999", 3600.0),
    ],
)
def test_a_retry_after_is_waited_for(value: str, wait_s: float) -> None:
    """The delivery waits as long as Retry-After says; a zero or unreadable one is the back-off."""
    step = again(response(429, retry_after=value), left_s=5000)
    assert (step.wait_s, step.asked) == (wait_s, True)


def test_a_wait_beyond_the_deadline_ends_the_delivery() -> None:
    """A wait that doesn't fit into the time left ends the delivery with that delay."""
    step = decide(response(429, retry_after="5"), FILE, at(left_s=5))
    assert isinstance(step, GiveUp)
    assert step.error.retry_delay_s == 5


def test_the_sixth_conflict_ends_the_delivery() -> None:
    """The fifth 412 is sent again, and the sixth ends the delivery."""
    assert isinstance(decide(response(412), FILE, at(attempt=5)), SendAgain)
    assert isinstance(decide(response(412), FILE, at(attempt=6)), GiveUp)


@pytest.mark.parametrize(
    ("retry_after", "since_s", "wait_s"), [("", 0.1, 0.275), ("", 9, 0), ("20", 5, 15), ("3", 5, 0)]
)
def test_the_settling_time_counts_as_part_of_the_wait(
    retry_after: str, since_s: float, wait_s: float
) -> None:
    """The time since an attempt that created nothing counts as part of the wait after it."""
    looked_up = decide(response(503, retry_after=retry_after), FILE, at())
    assert isinstance(looked_up, LookUp)
    step = decide_absent(looked_up.error, at(), since_s=since_s)
    assert isinstance(step, SendAgain)
    assert step.wait_s == pytest.approx(wait_s)
    assert step.on_new_connection  # Microsoft asks for it after a 503
    assert not step.asked


def test_a_settled_absence_without_time_left_is_unavailable() -> None:
    """Without time for another attempt the delivery ends with GraphUnavailable."""
    looked_up = decide(response(504), FILE, at())
    assert isinstance(looked_up, LookUp)
    step = decide_absent(looked_up.error, at(left_s=0.1), since_s=0)
    assert isinstance(step, GiveUp)
    assert type(step.error) is errors.GraphUnavailable
    assert step.error.response is not None
    assert step.error.response.http_status == 504


@pytest.mark.parametrize("failure", Failure)
def test_each_failure_has_its_sentence(failure: Failure) -> None:
    """Each failure has a sentence that says what happened and whether anything was created."""
    told = str(fault(NoResponse(failure=failure, offered=False)))
    assert told == f"no response from Graph: {failure.value}; nothing was created: send it again"
    unknown = fault(NoResponse(failure=failure, offered=True))
    assert isinstance(unknown, errors.OutcomeUnknown)
    assert unknown.what == f"no response from Graph: {failure.value}"
    assert failure.value[0].islower()


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_dates_of_http_do_not_depend_on_the_machines_zone(
    zone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A date in a header is in UTC, also without a zone or with the zone -0000."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        for written in ("GMT", "-0000", ""):
            http_date.cache_clear()
            assert http_date(f"Tue, 10 Mar 2026 12:00:00 {written}") == 1_773_144_000.0
    finally:
        monkeypatch.undo()
        time.tzset()
