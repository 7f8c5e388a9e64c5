"""The target `answers`: what a response of Graph's, or none, means for a delivery."""

from dataclasses import dataclass
from random import Random

from attachment_gateway.delivery.response_judgement import (
    Done,
    GiveUp,
    LookUp,
    SendAgain,
    Situation,
    Step,
    decide,
    decide_absent,
)
from attachment_gateway.errors import GatewayError, Reason
from attachment_gateway.graph.request import GraphRequest, RequestHead
from attachment_gateway.graph.response import (
    MAX_RETRY_DELAY_S,
    NoResponse,
    Response,
    http_date,
    read_error,
    request_id_of,
)
from attachment_gateway.http1.failure import Failure
from attachment_gateway.rpc.response_size import CREATED_BYTES, fit_response
from tests.fuzz import draws, json_bodies
from tests.fuzz.draws import chance
from tests.fuzz.refusals import refused
from tests.fuzz.requests import sender
from tests.fuzz.target import ACCEPTED, Outcome, Target

HEAD = RequestHead(sender(4_194_304), "/groups/g/threads/t/posts/p/attachments")
REQUESTS = tuple(
    GraphRequest(head=HEAD, body=(b"{", b"}"), kind=kind, file_bytes=size)
    for kind, size in (("file_attachment", 3), ("item_attachment", None))
)

NOW = 1_770_000_000.0

_STATUSES = (
    *(200, 201, 202, 204, 206, 299, 300, 302, 304, 399, 400, 401, 402, 403, 404, 405, 407, 408),
    *(409, 410, 412, 413, 415, 421, 422, 423, 425, 429, 499, 500, 501, 502, 503, 504, 505, 507),
    *(509, 599, 600, 999),
)

# By the contract these end an attempt as refused, whatever their body says.
_REFUSALS = {*range(300, 408), *range(409, 500), 501, 507}

_HEADERS = (
    ("request-id", ("7f1c", "x" * 129, "\xff", "a\nb", "")),
    ("retry-after", ("3", "0", "1.5", "7, 9", "-1", "9" * 400, "nan", "inf", "Sun", "1e9", "٣")),
    ("retry-after", ("Sun, 01 Mar 2026 09:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "\x00")),
    ("date", ("Sun, 01 Mar 2026 09:00:00 GMT", "Mon, 01 Jan 0001 00:00:00 +2359", "x" * 500)),
    ("www-authenticate", ('Bearer claims="e30="', 'claims="' + "x" * 3000 + '"', 'claims="\xff"')),
    ("age", ("1",)),
    ("content-type", ("text/html",)),
)


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of an attempt, the request that was sent, and the moment."""

    result: Response | NoResponse
    graph_request: GraphRequest
    at: Situation


def draw(random: Random) -> Answer:
    """Draw the result of an attempt."""
    at = Situation(
        attempt=random.choice((1, 2, 6, 7, 1000)),
        left_s=random.choice((0.0, 0.1, 10.0, 300.0)),
        chance=random.random(),
        now=random.choice((NOW, 0.0, 4e9)),
    )
    return Answer(_result(random), random.choice(REQUESTS), at)


def _result(random: Random) -> Response | NoResponse:
    if chance(random, 0.05):
        return NoResponse(failure=random.choice(list(Failure)), offered=chance(random, 0.5))
    status = random.choice(_STATUSES)
    headers = {}
    for name, values in _HEADERS:
        if chance(random, 0.3):
            headers[name] = draws.text(random) if chance(random, 0.1) else random.choice(values)
    kinds = (json_bodies.described, json_bodies.described, json_bodies.error, json_bodies.page)
    body = None if chance(random, 0.05) else json_bodies.body(random, random.choice(kinds)(random))
    # A success before the last piece was offered is no response: graph.attempt sees to that.
    offered = status < 300 or chance(random, 0.8)
    return Response(http_status=status, headers=headers, body=body, offered=offered)


def check(answer: Answer) -> Outcome:
    """Decide on an answer, and compare the step with the contract's rules."""
    step = decide(answer.result, answer.graph_request, answer.at)
    outcome = _of_step(step)
    outcome.word = f"{step.word}" if isinstance(step, Done) else f"{step.word} {outcome.word}"
    result = answer.result
    if isinstance(result, Response):
        _check_response(step, result, outcome)
    else:
        outcome.expect("created without a response", holds=not isinstance(step, Done))
    outcome.expect("an odd id", holds=len(request_id_of(result).encode("ascii")) <= 128)
    if result.offered and not isinstance(result, Response):
        outcome.expect("an unclear end isn't looked up", holds=isinstance(step, LookUp))
    if isinstance(step, LookUp):
        outcome.expect("looked up, but not offered", holds=result.offered)
        again = decide_absent(step.error, answer.at, since_s=1.0)
        outcome.violations += _of_step(again).violations
    return outcome


def _of_step(step: Step) -> Outcome:
    if isinstance(step, Done):
        outcome = Outcome(ACCEPTED)
        fitted = fit_response(step.attachment, CREATED_BYTES).SerializeToString()
        outcome.expect("a large response", holds=len(fitted) <= CREATED_BYTES)
        return outcome
    outcome = _refused(step.error)
    if isinstance(step, SendAgain):
        outcome.expect("an odd wait", holds=0 <= step.wait_s <= MAX_RETRY_DELAY_S)
    return outcome


def _refused(error: GatewayError) -> Outcome:
    """Return the outcome of an error; a redirect and a proxy's 407 are the gateway's own."""
    outcome = refused(error)
    delay_s = error.retry_delay_s
    outcome.expect("an odd delay", holds=delay_s is None or 0 <= delay_s <= MAX_RETRY_DELAY_S)
    status = 0 if error.response is None else error.response.http_status
    if error.reason is Reason.GATEWAY_ERROR and (300 <= status < 400 or status == 407):
        outcome.violations.remove("an error of the gateway's own")
    return outcome


def _check_response(step: Step, response: Response, outcome: Outcome) -> None:
    is_success = response.http_status // 100 == 2
    outcome.expect("created without a 2XX", holds=is_success or not isinstance(step, Done))
    if is_success:
        outcome.expect("not created by a 2XX", holds=isinstance(step, Done | LookUp))
    elif response.http_status in _REFUSALS:
        outcome.expect("a refusal isn't one", holds=isinstance(step, GiveUp | SendAgain))
    elif response.offered and not read_error(response, now=NOW).codes:
        outcome.expect("an unclear end isn't looked up", holds=isinstance(step, LookUp))
    if not response.offered:
        outcome.expect("looked up what wasn't offered", holds=not isinstance(step, LookUp))
    for name in ("date", "retry-after"):
        at = http_date(response.headers.get(name, ""))
        outcome.expect("an odd date", holds=at is None or abs(at) < 1e12)


ANSWERS = Target(
    name="answers",
    about="what a response of Graph's means: status, headers and body",
    share=4,
    draw=draw,
    check=check,
)
