"""Graph's limits, over a socket: the size of a request, and the number at once."""

import asyncio
import socket
from base64 import urlsafe_b64encode
from collections.abc import Callable
from statistics import median

import httpx
import orjson
import pytest

from graph_emulator.control import EmulatorClient
from graph_emulator.posts import GROUP_ID, POST_ID, Post
from graph_emulator.server import RunningEmulator

Raw = Callable[[bytes], bytes]


def status_and_error(answer: bytes) -> tuple[bytes, dict[str, str]]:
    """Return the status line and the error of a raw response."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], orjson.loads(body)["error"]


@pytest.mark.parametrize(
    ("short_by", "status_line"),
    [(0, b"HTTP/1.1 201 Created"), (1, b"HTTP/1.1 413 Request Entity Too Large")],
)
def test_the_size_limit_counts_the_whole_request(
    control: EmulatorClient, raw: Raw, raw_request: bytes, short_by: int, status_line: bytes
) -> None:
    """Request line, headers and body count together, and a request of the limit's size fits."""
    control.configure(max_request_bytes=len(raw_request) - short_by)

    assert raw(raw_request).partition(b"\r\n")[0] == status_line
    assert control.requests()[0].request_bytes == len(raw_request)


def test_each_request_of_a_connection_is_counted_alone(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A second request on the same connection is counted from 0."""
    large = {**file_body, "contentBytes": "A" * 3_000_000}

    answers = [graph.post(attachments, json=large) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    first, second = control.requests()
    assert first.connection == second.connection
    assert first.request_bytes == second.request_bytes > first.body_bytes


def test_the_default_limit_is_4_mib(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """The default limit is 4 MiB, of which a file of almost 3 MiB in base64 leaves little."""
    fits, too_large = "A" * (4 * 1024 * 1024 - 1024), "A" * (4 * 1024 * 1024)

    assert graph.post(attachments, json={**file_body, "contentBytes": fits}).status_code == 201
    answer = graph.post(attachments, json={**file_body, "contentBytes": too_large})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "BadRequest"
    assert answer.json()["error"]["message"] == "The maximum request length supported is 4MB."
    assert len(control.stored()) == 1


def test_a_chunked_request_is_refused_when_too_long(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A chunked request is refused as soon as it is over the limit, before its end."""
    control.configure(max_request_bytes=100_000)

    answer = graph.post(attachments, content=iter([b"x" * 65536] * 100))

    assert answer.status_code == 413
    assert control.requests()[0].body_bytes < 65536 * 100


def test_a_declared_length_over_the_limit_is_refused_early(
    connection: socket.socket, receive_answer: Callable[[], bytes], raw_request: bytes
) -> None:
    """A declared length over the limit is refused before the body, which is still read."""
    head, _, _ = raw_request.partition(b"\r\n\r\n")
    declared = head.replace(b"Content-Length: ", b"Content-Length: 9999999") + b"\r\n\r\n"
    length = int(declared.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])

    connection.sendall(declared + b"x" * 1000)
    answer = receive_answer()
    for _ in range(100):
        connection.sendall(b"x" * 100_000)
    connection.shutdown(socket.SHUT_WR)

    assert length > 10_001_000
    status_line, error = status_and_error(answer)
    assert status_line == b"HTTP/1.1 413 Request Entity Too Large"
    assert error["message"] == "The maximum request length supported is 4MB."
    assert connection.recv(1) == b""


def test_refusals_keep_the_connection(
    graph: httpx.Client, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """A refusal is sent after the body was read, so the next request uses the same connection."""
    nowhere = Post(post_id="nowhere").path()
    for _ in range(2):
        graph.post(nowhere, json={**file_body, "contentBytes": "A" * 1_000_000})

    assert len({request.connection for request in control.requests()}) == 1


async def post_at_once(
    emulator: RunningEmulator, requests: list[tuple[Post, str]], body: dict[str, object]
) -> list[httpx.Response]:
    """Send a create request to each post, with its token, all at the same time."""
    async with httpx.AsyncClient(base_url=emulator.url, trust_env=False) as client:
        return await asyncio.gather(
            *(
                client.post(post.path(), json=body, headers={"Authorization": f"Bearer {token}"})
                for post, token in requests
            )
        )


async def test_the_fifth_request_to_a_mailbox_is_throttled(
    emulator: RunningEmulator, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """Of five requests at once to one mailbox, one gets a 429 with Retry-After."""
    control.configure(latency_s=0.5)
    posts = [control.add_post() for _ in range(5)]

    answers = await post_at_once(emulator, [(post, "t") for post in posts], file_body)

    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 201, 429]
    (throttled,) = (answer for answer in answers if answer.status_code == 429)
    assert throttled.json()["error"]["code"] == "ApplicationThrottled"
    assert throttled.headers["retry-after"] == "1"
    assert control.peaks().groups == {GROUP_ID: 5}
    assert set(control.peaks().posts.values()) == {1}


async def test_the_mailbox_limit_is_per_app(
    emulator: RunningEmulator, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """Two tokens of one app share its slots, and another app has slots of its own."""
    control.configure(latency_s=0.5, concurrent_requests_per_group=1)
    posts = [control.add_post() for _ in range(3)]
    payload = urlsafe_b64encode(b'{"appid":"app"}').decode().rstrip("=")
    tokens = [f"a.{payload}.1", f"a.{payload}.2", "other"]

    answers = await post_at_once(emulator, list(zip(posts, tokens, strict=True)), file_body)

    assert sorted(answer.status_code for answer in answers) == [201, 201, 429]
    assert answers[2].status_code == 201


async def test_two_writes_to_one_post_conflict(
    emulator: RunningEmulator, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """The second of two writes to one post at the same time gets a 412."""
    control.configure(latency_s=0.5)

    answers = await post_at_once(emulator, [(Post(), "t")] * 2, file_body)

    assert sorted(answer.status_code for answer in answers) == [201, 412]
    (conflict,) = (answer for answer in answers if answer.status_code == 412)
    assert conflict.json()["error"]["code"] == "ErrorIrresolvableConflict"
    assert control.peaks().posts == {POST_ID: 2}
    assert len(control.stored()) == 1


def test_a_slot_is_taken_with_the_head(
    graph: httpx.Client,
    control: EmulatorClient,
    connection: socket.socket,
    raw_request: bytes,
    attachments: str,
    file_body: dict[str, object],
) -> None:
    """A request takes its slot before its body is complete, and a disconnect releases it."""
    control.configure(concurrent_requests_per_group=1)
    connection.sendall(raw_request[:-10])
    while not control.requests():
        pass
    assert graph.post(attachments, json=file_body).status_code == 429

    connection.close()
    while control.requests()[0].answered_at is None:
        pass
    assert graph.post(attachments, json=file_body).status_code == 201
    assert control.requests()[0].status is None
    assert len(control.stored()) == 1


def test_the_latency_applies_to_writes_only(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A write takes `latency_s`, and a read doesn't."""
    control.configure(latency_s=0.3)

    wrote = graph.post(attachments, json=file_body).elapsed
    read = graph.get(attachments).elapsed

    assert wrote.total_seconds() >= 0.3 > read.total_seconds()


def test_responses_are_not_delayed_by_nagle(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A response's body isn't held back by a delayed acknowledgement, which takes 40 ms."""
    elapsed = [graph.get(attachments).elapsed.total_seconds() for _ in range(20)]

    assert median(elapsed) < 0.035
