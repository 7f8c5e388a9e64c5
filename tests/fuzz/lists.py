"""The target `lists`: pages of attachments, and which of those was created by an attempt."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import formatdate
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pybase64

from attachment_gateway.delivery.baseline import Baseline, id_of
from attachment_gateway.delivery.post_reader import PostReader, ReadError
from attachment_gateway.delivery.reconciliation import MAX_PAGES, Absent, Found, Reconciliation
from attachment_gateway.delivery.stamps import SendClocks
from attachment_gateway.delivery.state import UnclearAttempt
from attachment_gateway.errors import CallerError
from attachment_gateway.graph import codec
from attachment_gateway.graph.client import GraphClientLimits
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import FILE, GraphRequest
from attachment_gateway.graph.response import NoResponse, Response
from attachment_gateway.http1.failure import Failure
from attachment_gateway.ledger.boot_clock import boot_time
from attachment_gateway.mailbox import MailboxLimits
from attachment_gateway.mailbox.identities import Identities
from attachment_gateway.mailbox.local import LocalMailboxes
from attachment_gateway.mailbox.senders import SenderMailbox
from attachment_gateway.translation.create import graph_request_of
from tests.fuzz import json_bodies, messages
from tests.fuzz.draws import chance
from tests.fuzz.requests import ROOT, sender
from tests.fuzz.target import Outcome, Target

if TYPE_CHECKING:
    from attachment_gateway.graph.client import GraphClient
    from attachment_gateway.ledger import Ledger

SETTLE_S = 10.0

# How long before and after now Graph says that something was stored.
_STAMPED_S = (-1e6, -400.0, -100.0, -1.0, 0.0, 0.5, 5.0, 1000.0)

_IDS = tuple(f"AAMk{number}" for number in range(30))

_LOOP = asyncio.new_event_loop()


@dataclass(frozen=True, slots=True)
class Shown:
    """What Graph answers to the reads of a post, and the attempt that it is searched for.

    `known`: the ids of the baseline, None without one. `contents`: what a listed attachment holds,
    by its id's hash.
    """

    pages: tuple[Response | NoResponse, ...]
    contents: tuple[bytes, ...]
    graph_request: GraphRequest
    known: tuple[str, ...] | None
    knows_the_send: bool
    claimed: frozenset[str]


@dataclass
class _Graph:
    """Answers reads in the order of a script, keeps their paths, and has claimed attachments."""

    shown: Shown
    root: GraphRoot = field(default_factory=lambda: GraphRoot.parse(ROOT))
    paths: list[str] = field(default_factory=list)
    listed: int = 0

    off_loop: "_OnLoop" = field(default_factory=lambda: _OnLoop())  # noqa: PLW0108 it is defined below
    limits: GraphClientLimits = field(
        default_factory=lambda: GraphClientLimits(
            timeout_s=1.0, max_connections=1, max_response_bytes=4_200_000
        )
    )

    async def get(self, path: str, _: object, *, max_body_bytes: int) -> Response | NoResponse:
        self.paths.append(path)
        if path.endswith("/$value") or "$expand" in path:
            body = self.shown.contents[len(path) % len(self.shown.contents)]
            return _cut(
                Response(http_status=200, headers={}, body=body, offered=True), max_body_bytes
            )
        self.listed += 1
        if self.listed > len(self.shown.pages):
            return NoResponse(failure=Failure.CONNECTION_LOST, offered=True)
        return _cut(self.shown.pages[self.listed - 1], max_body_bytes)

    async def claimed(self, _: str) -> frozenset[str]:
        return self.shown.claimed


class _OnLoop:
    """Stands in for OffLoop, and calls everything at once."""

    async def run(self, _: int, function: Any, *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


def _cut(response: Response | NoResponse, max_body_bytes: int) -> Response | NoResponse:
    """Return a response as the client reads it, without a body that is too large."""
    if (
        isinstance(response, NoResponse)
        or response.body is None
        or len(response.body) <= max_body_bytes
    ):
        return response
    return replace(response, body=None, is_too_large=True)


def draw(random: Random) -> Shown:
    """Draw the answers to a list's reads, and an attempt."""
    graph_request = None
    while graph_request is None:
        graph_request = _graph_request(random)
    name = described_by(graph_request)["name"]
    return Shown(
        pages=tuple(_page(random, name) for _ in range(random.choice((1, 2, 4, 8)))),
        contents=tuple(_content(random, graph_request) for _ in range(3)),
        graph_request=graph_request,
        known=random.choice((None, tuple(random.sample(_IDS, 5)))),
        knows_the_send=chance(random, 0.7),
        claimed=frozenset(random.sample(_IDS, 2)),
    )


def _graph_request(random: Random) -> GraphRequest | None:
    request = messages.create_request(random)
    try:
        return graph_request_of(request, sender(100_000_000))
    except CallerError:
        return None


def _content(random: Random, graph_request: GraphRequest) -> bytes:
    """Return an attachment's content: what was sent, or another."""
    if chance(random, 0.6):
        value: Any = {"item": json_bodies.item(random)}
        return json_bodies.body(random, value)
    body = b"".join(graph_request.body)
    if graph_request.kind == FILE:
        return pybase64.b64decode(json.loads(body)["contentBytes"])
    return body


def described_by(graph_request: GraphRequest) -> dict[str, Any]:
    """Return the JSON of a request."""
    described: dict[str, Any] = json.loads(b"".join(graph_request.body))
    return described


def _page(random: Random, name: str) -> Response | NoResponse:
    if chance(random, 0.03):
        return NoResponse(failure=Failure.RESPONSE_TIMEOUT, offered=True)
    status = 200 if chance(random, 0.97) else random.choice((304, 401, 404, 429, 500))
    now = time.time()
    headers = {"date": formatdate(now, usegmt=True)} if chance(random, 0.8) else {}
    if chance(random, 0.05):
        headers["age"] = "0"
    page = json_bodies.page(random, ROOT)
    for each in page["value"]:
        if chance(random, 0.3):
            each["name"] = name
        if chance(random, 0.7):
            stored = datetime.fromtimestamp(now + random.choice(_STAMPED_S), UTC)
            each["lastModifiedDateTime"] = f"{stored:%Y-%m-%dT%H:%M:%SZ}"
    is_odd = chance(random, 0.5)
    body = json_bodies.body(random, page) if is_odd else json.dumps(page).encode()
    return Response(http_status=status, headers=headers, body=body, offered=True)


def check(shown: Shown) -> Outcome:
    """Look an attempt up, and compare what is found with the contract's rules."""
    graph = _Graph(shown)
    reader = PostReader(
        graph=cast("GraphClient", graph),
        mailbox=SenderMailbox(
            LocalMailboxes(MailboxLimits(concurrent=0, upload_bytes=0)),
            Identities(b"key"),
            token="token",
            group_id="g",
        ),
        head=shown.graph_request.head,
        within_s=1.0,
    )
    reconciliation = Reconciliation(
        reader=reader,
        ledger=cast("Ledger", graph),
        graph_request=shown.graph_request,
        settle_s=SETTLE_S,
        clock_skew_s=300.0,
    )
    outcome = Outcome("not shown")
    try:
        finding = _LOOP.run_until_complete(reconciliation.look_up([_attempt(shown)]))
    except ReadError:
        pass
    else:
        outcome.word = finding.word
        if isinstance(finding, Found):
            _check_found(shown, finding.attachment.id, outcome)
        elif isinstance(finding, Absent):
            _check_absent(shown, graph.listed, outcome)
    outcome.expect(f"{graph.listed} pages", holds=graph.listed <= 2 * MAX_PAGES)
    is_below = all(path.startswith("/") for path in graph.paths)
    outcome.expect(f"another path: {graph.paths}", holds=is_below)
    return outcome


def _attempt(shown: Shown) -> UnclearAttempt:
    known = None if shown.known is None else Baseline.of([{"id": each} for each in shown.known])
    return UnclearAttempt(
        settled_at=_LOOP.time() + SETTLE_S,
        clocks=SendClocks(wall_s=time.time(), boot_s=boot_time()) if shown.knows_the_send else None,
        baseline=known,
    )


def _check_found(shown: Shown, attachment_id: str, outcome: Outcome) -> None:
    outcome.expect("found without an id", holds=bool(attachment_id))
    outcome.expect("found what another call has", holds=attachment_id not in shown.claimed)
    outcome.expect("found what was there before", holds=attachment_id not in (shown.known or ()))


def _check_absent(shown: Shown, listed: int, outcome: Outcome) -> None:
    """Check that a list without ours was whole, and had nothing of our name that came since."""
    name = described_by(shown.graph_request)["name"]
    old = {*shown.claimed, *(shown.known or ())}
    for answer in shown.pages[:listed]:
        assert isinstance(answer, Response)
        value = codec.parsed(answer.body or b"").get("value")
        is_list = isinstance(value, list) and all(isinstance(each, dict) for each in value)
        outcome.expect("absent, with what can't be read", holds=is_list)
        outcome.expect("absent, from a cache", holds="age" not in answer.headers)
        for each in _objects(value):
            may_be_ours = (
                bool(id_of(each))
                and each["id"] not in old
                and each.get("name") == name
                and not each.get("lastModifiedDateTime")
            )
            outcome.expect("absent, with one that may be ours", holds=not may_be_ours)


def _objects(value: object) -> Iterator[dict[str, Any]]:
    elements: Sequence[Any] = value if isinstance(value, list) else ()
    return (each for each in elements if isinstance(each, dict) and "id" in each)


LISTS = Target(
    name="lists",
    about="pages of a post's attachments, and which of them is ours",
    share=3,
    draw=draw,
    check=check,
)
