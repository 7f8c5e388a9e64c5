"""Graph's limits, over a socket: the size of a request, and how many at once."""

import asyncio
import socket
from base64 import urlsafe_b64encode
from collections.abc import Callable
from statistics import median

import httpx
import orjson
import pytest

from graph_emulator.control import EmulatorClient
from graph_emulator.server import RunningEmulator
from graph_emulator.world import GROUP_ID, POST_ID, Post

Raw = Callable[[bytes], bytes]


def status_and_error(answer: bytes) -> tuple[bytes, dict[str, str]]:
    """Status line and error of a raw answer."""
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], orjson.loads(body)["error"]


@pytest.mark.parametrize(
    ("short_by", "status_line"),
    [(0, b"HTTP/1.1 201 Created"), (1, b"HTTP/1.1 413 Request Entity Too Large")],
)
def test_size_to_the_byte(
    control: EmulatorClient, raw: Raw, raw_request: bytes, short_by: int, status_line: bytes
) -> None:
    """Request line, headers and body count together; the limit itself still fits."""
    control.configure(max_request_bytes=len(raw_request) - short_by)

    assert raw(raw_request).partition(b"\r\n")[0] == status_line
    assert control.requests()[0].request_bytes == len(raw_request)


def test_each_request_counts_for_itself(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A second request on the same connection is counted anew."""
    large = {**file_body, "contentBytes": "A" * 3_000_000}

    answers = [graph.post(attachments, json=large) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [201, 201]
    first, second = control.requests()
    assert first.connection == second.connection
    assert first.request_bytes == second.request_bytes > first.body_bytes


def test_default_limit(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """Base64 of 3 MiB is the limit by itself, so a little less fits with what is around it."""
    fits, too_large = "A" * (4 * 1024 * 1024 - 1024), "A" * (4 * 1024 * 1024)

    assert graph.post(attachments, json={**file_body, "contentBytes": fits}).status_code == 201
    answer = graph.post(attachments, json={**file_body, "contentBytes": too_large})
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "BadRequest"
    assert answer.json()["error"]["message"] == "The maximum request length supported is 4MB."
    assert len(control.stored()) == 1


def test_chunked_request(graph: httpx.Client, control: EmulatorClient, attachments: str) -> None:
    """A request that doesn't say its length is refused as soon as it is too long."""
    control.configure(max_request_bytes=100_000)

    answer = graph.post(attachments, content=iter([b"x" * 65536] * 100))

    assert answer.status_code == 413
    assert control.requests()[0].body_bytes < 65536 * 100


def test_early_answer_to_a_client_that_still_sends(
    connection: socket.socket, receive_answer: Callable[[], bytes], raw_request: bytes
) -> None:
    """A declared length too large is answered before the body, which may come all the same."""
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
    """A refusal comes after the body was read, so the next request takes the same connection."""
    nowhere = Post(post_id="nowhere").path()
    for _ in range(2):
        graph.post(nowhere, json={**file_body, "contentBytes": "A" * 1_000_000})

    assert len({request.connection for request in control.requests()}) == 1


async def post_at_once(
    emulator: RunningEmulator, requests: list[tuple[Post, str]], body: dict[str, object]
) -> list[httpx.Response]:
    """Create in all these posts with these tokens at the same time."""
    async with httpx.AsyncClient(base_url=emulator.url, trust_env=False) as client:
        return await asyncio.gather(
            *(
                client.post(post.path(), json=body, headers={"Authorization": f"Bearer {token}"})
                for post, token in requests
            )
        )


async def test_five_in_one_mailbox(
    emulator: RunningEmulator, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """Four of five at once are taken, the fifth is told when to come again."""
    control.configure(latency_s=0.5)
    posts = [control.add_post() for _ in range(5)]

    answers = await post_at_once(emulator, [(post, "t") for post in posts], file_body)

    assert sorted(answer.status_code for answer in answers) == [201, 201, 201, 201, 429]
    (throttled,) = (answer for answer in answers if answer.status_code == 429)
    assert throttled.json()["error"]["code"] == "ApplicationThrottled"
    assert throttled.headers["retry-after"] == "1"
    assert control.peaks().groups == {GROUP_ID: 5}
    assert set(control.peaks().posts.values()) == {1}


async def test_apps_are_told_apart(
    emulator: RunningEmulator, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """Two tokens of one app share its places, and another app has places of its own."""
    control.configure(latency_s=0.5, concurrent_requests_per_group=1)
    posts = [control.add_post() for _ in range(3)]
    payload = urlsafe_b64encode(b'{"appid":"app"}').decode().rstrip("=")
    tokens = [f"a.{payload}.1", f"a.{payload}.2", "other"]

    answers = await post_at_once(emulator, list(zip(posts, tokens, strict=True)), file_body)

    assert sorted(answer.status_code for answer in answers) == [201, 201, 429]
    assert answers[2].status_code == 201


async def test_two_in_one_post(
    emulator: RunningEmulator, control: EmulatorClient, file_body: dict[str, object]
) -> None:
    """The second write to a post at the same time conflicts."""
    control.configure(latency_s=0.5)

    answers = await post_at_once(emulator, [(Post(), "t")] * 2, file_body)

    assert sorted(answer.status_code for answer in answers) == [201, 412]
    (conflict,) = (answer for answer in answers if answer.status_code == 412)
    assert conflict.json()["error"]["code"] == "ErrorIrresolvableConflict"
    assert control.peaks().posts == {POST_ID: 2}
    assert len(control.stored()) == 1


def test_a_place_is_held_from_the_head(
    graph: httpx.Client,
    control: EmulatorClient,
    connection: socket.socket,
    raw_request: bytes,
    attachments: str,
    file_body: dict[str, object],
) -> None:
    """A body that is still coming holds its place, and a client that goes away leaves it."""
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


def test_latency_is_for_writes(
    graph: httpx.Client, control: EmulatorClient, attachments: str, file_body: dict[str, object]
) -> None:
    """A write takes its time, a read doesn't."""
    control.configure(latency_s=0.3)

    wrote = graph.post(attachments, json=file_body).elapsed
    read = graph.get(attachments).elapsed

    assert wrote.total_seconds() >= 0.3 > read.total_seconds()


def test_answers_do_not_wait(
    graph: httpx.Client, control: EmulatorClient, attachments: str
) -> None:
    """A body follows its head at once, and not after a delayed acknowledgement's 40 ms."""
    elapsed = [graph.get(attachments).elapsed.total_seconds() for _ in range(20)]

    assert median(elapsed) < 0.035
