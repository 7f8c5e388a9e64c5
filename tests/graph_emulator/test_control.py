"""control: the control route and its client."""

from datetime import UTC, datetime, timedelta
from typing import get_type_hints

import httpx
import pytest

from graph_emulator.config import DEFAULT_CONFIG, EmulatorConfig
from graph_emulator.control import ConfigChanges, EmulatorClient
from graph_emulator.faults import Fault, FaultAnswer
from graph_emulator.posts import AttachmentDraft, Post
from graph_emulator.server import RunningEmulator
from graph_emulator.throttle import Peaks


def test_configure_changes_only_the_named_settings(control: EmulatorClient) -> None:
    """`configure` changes the settings that are named and leaves the others."""
    control.configure(latency_s=0.5)
    control.configure(page_size=3)

    config = control.config()

    assert (config.latency_s, config.page_size) == (0.5, 3)
    assert config.max_request_bytes == DEFAULT_CONFIG.max_request_bytes == 4_194_304


def test_the_changes_are_those_of_the_configuration() -> None:
    """`configure` takes each field of the configuration, with its type."""
    assert get_type_hints(ConfigChanges) == get_type_hints(EmulatorConfig)


def test_an_added_post_can_be_written_to(
    graph: httpx.Client, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """An added post can be written to; one that is added without ids has new ids."""
    new, named = control.add_post(), control.add_post(Post(group_id="g", post_id="p"))

    assert new.post_id != Post().post_id
    for post in (new, named):
        assert graph.post(post.path(), json=file_body).status_code == 201
    assert [attachment.post for attachment in control.stored()] == [new, named]


def test_a_placed_attachment_can_be_read(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A placed attachment, dated an hour ago, can be read like any other."""
    an_hour_ago = datetime.now(UTC) - timedelta(hours=1)
    draft = AttachmentDraft(kind="file", name="theirs", content=b"\x00\xff")

    placed = control.place(draft, at=an_hour_ago)

    (listed,) = graph.get(attachments).json()["value"]
    assert (listed["id"], listed["contentBytes"]) == (placed.id, "AP8=")
    assert listed["lastModifiedDateTime"] == an_hour_ago.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert control.stored() == [placed]


def test_the_record_of_a_stored_attachment(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """The record of a stored attachment has its content, hash, post and time."""
    before = datetime.now(UTC)
    created = graph.post(attachments, json=file_body).json()

    (stored,) = control.stored()

    assert (stored.id, stored.kind, stored.name) == (created["id"], "file", "hello.txt")
    assert stored.content == b"hello"
    assert stored.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
    assert stored.post == Post()
    assert before <= stored.stored_at <= datetime.now(UTC)


def test_a_request_is_recorded_without_its_token(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A request is recorded as it was received, without its token."""
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
    """Of a large body all bytes are counted and the first 65,536 are kept."""
    graph.post(attachments, content=b"x" * 100_000)

    (request,) = control.requests()

    assert (request.body_bytes, len(request.body_start)) == (100_000, 65_536)


def test_connections_are_numbered(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """Requests on one connection have the same number, those on another have another."""
    graph.get(attachments)
    graph.get(attachments)
    graph.get(attachments, headers={"Connection": "close"})
    graph.get(attachments)

    first, second, third, fourth = (request.connection for request in control.requests())

    assert first == second == third != fourth


def test_clear_keeps_posts_and_settings(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """`clear` removes attachments, requests, faults and peaks, and keeps posts and settings."""
    post = control.add_post()
    control.configure(page_size=7)
    graph.post(attachments, json=file_body)

    control.clear()

    assert (control.stored(), control.requests(), control.faults()) == ([], [], [])
    assert control.peaks() == Peaks()
    assert control.config().page_size == 7
    assert graph.post(post.path(), json=file_body).status_code == 201


def test_one_posts_record_and_faults(
    graph: httpx.Client, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """The record and the faults of one post can be read and cleared without the others."""
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
def test_an_invalid_fault_is_refused(emulator: RunningEmulator, body: bytes) -> None:
    """The control route refuses an invalid fault with 400 and a reason."""
    answer = httpx.post(f"{emulator.control_url}/faults", content=body, trust_env=False)

    assert answer.status_code == 400
    assert answer.text


def test_the_client_raises_an_error_of_the_control_route(emulator: RunningEmulator) -> None:
    """The client raises ValueError for an error of the control route."""
    with (
        EmulatorClient(f"{emulator.control_url}/nowhere") as lost,
        pytest.raises(ValueError, match="Not Found"),
    ):
        lost.stored()
