"""Tests of the command line's `upload` and `attach`."""

import asyncio
import base64
import json
from pathlib import Path

import pytest

from tests.support.calls import Start
from tests.support.processes import run
from tests.support.raw_graph import RawGraph, answer, error

TO = ("--group=g", "--thread=t", "--post=p")


@pytest.fixture
async def gateway(start: Start) -> tuple[str, ...]:
    """The options that name a running gateway and the post."""
    return (f"--gateway={(await start()).address}", *TO)


async def test_upload_attaches_a_file_and_prints_the_attachment(
    gateway: tuple[str, ...], graph: RawGraph, tmp_path: Path
) -> None:
    """`upload` attaches a file with its name and guessed type, and prints the attachment."""
    path = tmp_path / "logo.png"
    path.write_bytes(b"\x89PNG")
    finished = await asyncio.to_thread(run, "upload", str(path), *gateway, GRAPH_TOKEN="tok")
    assert finished.returncode == 0, finished.stderr
    assert json.loads(finished.stdout)["id"] == "AAMkAD="
    assert graph.received[0].headers["Authorization"] == "Bearer tok"
    assert graph.received[0].json == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "logo.png",
        "contentType": "image/png",
        "contentBytes": base64.b64encode(b"\x89PNG").decode(),
    }


async def test_upload_sends_what_its_options_say(
    gateway: tuple[str, ...], graph: RawGraph, tmp_path: Path
) -> None:
    """The options of `upload` are sent, and a content id makes the attachment inline."""
    path = tmp_path / "x"
    path.write_bytes(b"")
    options = ("--name=n", "--content-type=a/b", "--content-id=c", "--conversation=v", "--token=t")
    finished = await asyncio.to_thread(run, "upload", str(path), *gateway, *options)
    assert finished.returncode == 0, finished.stderr
    assert "/conversations/v/" in graph.received[0].request_line
    assert graph.received[0].json == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "n",
        "contentType": "a/b",
        "isInline": True,
        "contentId": "c",
        "contentBytes": "",
    }


async def test_attach_reads_an_item_from_standard_input(
    gateway: tuple[str, ...], graph: RawGraph
) -> None:
    """`attach -` attaches an item from its JSON on standard input."""
    item = '{"name": "Planning", "itemAttachment": {"event": {"subject": "Planning"}}}'
    finished = await asyncio.to_thread(run, "attach", "-", *gateway, stdin=item, GRAPH_TOKEN="tok")
    assert finished.returncode == 0, finished.stderr
    assert graph.received[0].json["item"] == {
        "@odata.type": "#microsoft.graph.event",
        "subject": "Planning",
    }


async def test_a_failed_upload_prints_the_error_and_exits_with_1(
    gateway: tuple[str, ...], graph: RawGraph, tmp_path: Path
) -> None:
    """The gateway's error goes to standard error, and the exit code is 1."""
    graph.script = [error(403, "ErrorAccessDenied", "Access is denied.")]
    path = tmp_path / "x"
    path.write_bytes(b"x")
    finished = await asyncio.to_thread(run, "upload", str(path), *gateway, GRAPH_TOKEN="tok")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith(
        "GRAPH_PERMISSION_DENIED: Graph answered 403 ErrorAccessDenied: Access is denied.;"
    )


async def test_a_failed_upload_prints_how_to_repeat_it(
    gateway: tuple[str, ...], graph: RawGraph, tmp_path: Path
) -> None:
    """A failed upload prints the option to repeat it, and further repeats return its attachment."""
    graph.script = [error(403, "ErrorAccessDenied")]
    graph.read_script = [answer(200)]
    path = tmp_path / "x"
    path.write_bytes(b"x")
    upload = ("upload", str(path), *gateway)
    failed = await asyncio.to_thread(run, *upload, GRAPH_TOKEN="tok")
    repeat = failed.stderr.splitlines()[-1].removeprefix("to repeat it: ").split()
    for _ in range(2):
        finished = await asyncio.to_thread(run, *upload, *repeat, GRAPH_TOKEN="tok")
        assert json.loads(finished.stdout)["id"] == "AAMkAD="
    assert (len(graph.received), len(graph.reads)) == (2, 1)


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (("upload", "/missing", "--token=t", *TO), "does not exist"),
        (("upload", __file__, *TO), "Missing option '--token'"),
        (("attach", "-", "--token=t", *TO), "FILE is not an Attachment"),
    ],
)
def test_a_wrong_command_is_a_usage_error(command: tuple[str, ...], words: str) -> None:
    """A missing file, a missing token and malformed JSON are usage errors."""
    finished = run(*command, stdin="{", GRAPH_TOKEN="")
    assert finished.returncode == 2
    assert words in finished.stderr
