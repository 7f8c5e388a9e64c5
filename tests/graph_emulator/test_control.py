"""The control route and its client."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest

from graph_emulator.config import DEFAULT_CONFIG
from graph_emulator.control import EmulatorClient
from graph_emulator.faults import Fault, FaultAnswer
from graph_emulator.server import RunningEmulator
from graph_emulator.throttle import Peaks
from graph_emulator.world import AttachmentDraft, Post


def test_configure_leaves_the_rest(control: EmulatorClient) -> None:
    """One setting is changed, the others stay as they were."""
    control.configure(latency_s=0.5)
    control.configure(page_size=3)

    config = control.config()

    assert (config.latency_s, config.page_size) == (0.5, 3)
    assert config.max_request_bytes == DEFAULT_CONFIG.max_request_bytes == 4_194_304


def test_added_post(
    graph: httpx.Client, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """A post that was added can be written to; one without ids has new ones."""
    new, named = control.add_post(), control.add_post(Post(group_id="g", post_id="p"))

    assert new.post_id != Post().post_id
    for post in (new, named):
        assert graph.post(post.path(), json=file_body).status_code == 201
    assert [attachment.post for attachment in control.stored()] == [new, named]


def test_placed_attachment(graph: httpx.Client, control: EmulatorClient, attachments: str) -> None:
    """Somebody else's attachment, from an hour ago, reads as any other."""
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    draft = AttachmentDraft(kind="file", name="theirs", content=b"\x00\xff")

    placed = control.place(draft, at=an_hour_ago)

    (listed,) = graph.get(attachments).json()["value"]
    assert (listed["id"], listed["contentBytes"]) == (placed.id, "AP8=")
    assert listed["lastModifiedDateTime"] == an_hour_ago.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert control.stored() == [placed]


def test_stored(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """The record holds content, hash, place and time."""
    before = datetime.now(UTC)
    created = graph.post(attachments, json=file_body).json()

    (stored,) = control.stored()

    assert (stored.id, stored.kind, stored.name) == (created["id"], "file", "hello.txt")
    assert stored.content == b"hello"
    assert stored.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert stored.post == Post()
    assert before <= stored.stored_at <= datetime.now(UTC)


def test_requests(graph: httpx.Client, control: EmulatorClient, attachments: str) -> None:
    """A request is recorded as it came, without its token."""
    graph.post(f"{attachments}?a=%20b", content=b"[]", headers={"X-Some": "thing"})

    (request,) = control.requests()

    assert (request.method, request.path) == ("POST", f"/v1.0{attachments}?a=%20b")
    assert (request.status, request.body_bytes, request.body_start) == (400, 2, b"[]")
    assert request.headers["authorization"] == "Bearer"
    assert request.headers["x-some"] == "thing"
    assert request.answered_at is not None
    assert request.answered_at >= request.received_at


def test_only_the_start_of_a_body_is_kept(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A large body is counted whole and kept in part."""
    graph.post(attachments, content=b"x" * 100_000)

    (request,) = control.requests()

    assert (request.body_bytes, len(request.body_start)) == (100_000, 65_536)


def test_connections_are_numbered(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A connection that is used again has the same number, a new one another."""
    graph.get(attachments)
    graph.get(attachments)
    graph.get(attachments, headers={"Connection": "close"})
    graph.get(attachments)

    first, second, third, fourth = (request.connection for request in control.requests())

    assert first == second == third != fourth


def test_clear(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """Clearing forgets what was, and leaves posts and settings."""
    post = control.add_post()
    control.configure(page_size=7)
    graph.post(attachments, json=file_body)

    control.clear()

    assert (control.stored(), control.requests(), control.faults()) == ([], [], [])
    assert control.peaks() == Peaks()
    assert control.config().page_size == 7
    assert graph.post(post.path(), json=file_body).status_code == 201


def test_of_one_post(
    graph: httpx.Client, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """The record and the faults of one post can be seen and cleared for themselves."""
    one, other = control.add_post(), control.add_post()
    for post in (one, other):
        graph.post(post.path(), json=file_body)
    faults = [
        Fault(post_id=post_id, answer=FaultAnswer(status=504))
        for post_id in (one.post_id, other.post_id, None)
    ]
    control.inject(*faults)

    control.clear_faults(one)

    assert [attachment.post for attachment in control.stored(one)] == [one]
    assert control.faults() == faults[1:]


@pytest.mark.parametrize(
    "body", [b'{"colour": "red"}', b'{"cut": "hair"}', b'{"early": true}', b"no json", b"[1]"]
)
def test_a_senseless_fault_is_refused(emulator: RunningEmulator, body: bytes) -> None:
    """Who writes to the control route by hand is told what is wrong."""
    answer = httpx.post(f"{emulator.control_url}/faults", content=body, trust_env=False)

    assert answer.status_code == 400
    assert answer.text


def test_the_client_tells_of_a_refusal(emulator: RunningEmulator) -> None:
    """An error of the control route is an exception, not a silence."""
    with (
        EmulatorClient(f"{emulator.control_url}/nowhere") as lost,
        pytest.raises(ValueError, match="Not Found"),
    ):
        lost.stored()
