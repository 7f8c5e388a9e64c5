"""A quick share of the attacks, and what the harness itself must do."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.abuse.__main__ import main
from tests.abuse.attack import Attack, Outcome
from tests.abuse.attacks import ATTACKS
from tests.abuse.frames import message
from tests.abuse.honest import Seen
from tests.abuse.raw_client import raw_client
from tests.abuse.rows import Row, bench
from tests.abuse.traffic import CHUNK_BYTES, MIB, OTHER, UPLOAD, header, post, upload
from tests.support.calls import Start
from tests.support.raw_graph import RawGraph
from tests.support.stalls import Stall

# How long each of the quick attacks takes.
SECONDS = 1.0

QUICK = (
    "create-unfinished-1",
    "health-unfinished",
    "reflection-unfinished",
    "slow-uploads",
    "pages-of-tiny-elements",
    "item-of-empty-messages",
    "gzip-8-mib",
    "declared-64-mib",
    "unsigned-tokens",
    "unread-answers",
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Row]:
    """The row of each quick attack, by its name."""
    folder = tmp_path_factory.mktemp("abuse")

    async def measured() -> list[Row]:
        async with bench(folder) as on:
            return [await on.row(ATTACKS[name], seconds=SECONDS) for name in QUICK]

    return {row.name: row for row in asyncio.run(measured())}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", QUICK)
def test_an_attack_is_withstood(name: str, rows: Mapping[str, Row]) -> None:
    """Beside the attack honest calls succeed, in bounded memory and without a long stall."""
    row = rows[name]
    assert not row.failed
    assert row.honest.calls >= 20
    assert not list(row.broken()), row.outcome.notes


FINE = Row(attack=None, honest=Seen(calls=20), above_idle_bytes=160 * MIB)


@pytest.mark.parametrize(
    ("row", "broken"),
    [
        (FINE, []),
        (
            Row(attack=None, honest=Seen(calls=20, failed={"CANCELLED": 2})),
            ["honest calls failed: 2 CANCELLED"],
        ),
        (
            Row(attack=None, above_idle_bytes=161 * MIB),
            ["161 MiB above idle, wanted at most 160"],
        ),
        (
            Row(attack=None, stall=Stall(at_s=1, late_s=9, own_s=0.25)),
            ["the event loop stood for 250 ms, wanted below 250"],
        ),
        (Row(attack=None, stall=Stall(at_s=1, late_s=9, own_s=0.2)), []),
        (Row(attack=None, outcome=Outcome(broken=["29 of 30"])), ["29 of 30"]),
        (Row(attack=None, failed="the gateway ended"), ["the gateway ended"]),
    ],
)
def test_a_row_tells_what_is_not_as_wanted(row: Row, broken: list[str]) -> None:
    """A row names failed honest calls, what is above its limit, and what the attack saw."""
    assert list(row.broken()) == broken


# Keeps 100 MiB more each time, up to 1 GiB, and holds the interpreter's lock for 0.4 s.
GREEDY = """
import threading, time

def work():
    kept, number = [], int("9" * 4000)
    while len(kept) < 10:
        time.sleep(0.5)
        kept.append(b"x" * 100 * 2**20)
        number**400

threading.Thread(target=work, daemon=True).start()
"""


async def test_a_row_sees_memory_and_stalls(tmp_path: Path) -> None:
    """A gateway that takes memory and stops its own loop is not as wanted."""
    (tmp_path / "sitecustomize.py").write_text(GREEDY)
    async with bench(tmp_path, tree=tmp_path) as on:
        row = await on.row(None, seconds=3.0)
    assert not row.failed
    assert row.honest.succeeded == row.honest.calls
    assert [what.split(" ", 1)[1][:9] for what in row.broken()] == ["MiB above", "event loo"]


async def test_a_row_sees_failed_calls(tmp_path: Path) -> None:
    """A gateway that takes no upload of the honest callers' size is not as wanted."""
    (tmp_path / "sitecustomize.py").write_text(
        "import sys; sys.argv.append('--max-request-bytes=1000000')"
    )
    async with bench(tmp_path, tree=tmp_path) as on:
        row = await on.row(None, seconds=1.0)
    [what] = row.broken()
    assert re.search(r"honest calls failed: .*INVALID_ARGUMENT", what)


async def test_a_raw_upload_is_an_upload(graph: RawGraph, start: Start) -> None:
    """The raw client's frames are gRPC: a whole upload by it creates an attachment."""
    gateway = await start(listen="127.0.0.1:0")
    async with raw_client(gateway.address) as client:
        stream = await client.open(UPLOAD, OTHER)
        for part in upload(post(), 4 * CHUNK_BYTES):
            await client.send(stream, message(part.SerializeToString()))
        await client.send(stream, b"", end=True)
        async with asyncio.timeout(10):
            await client.streams[stream].ended.wait()
    assert client.streams[stream].status == "0"
    assert len(graph.received) == 1


async def test_an_unfinished_message_is_not_answered_at_once(graph: RawGraph, start: Start) -> None:
    """A message without its last byte keeps its call open, so the attack holds what it sent."""
    gateway = await start(listen="127.0.0.1:0")
    async with raw_client(gateway.address) as client:
        stream = await client.open(UPLOAD, OTHER)
        whole = message(header(post()).SerializeToString())
        await client.send(stream, whole[:-1])
        await asyncio.sleep(0.2)
        assert client.streams[stream].status == "open"
        assert client.streams[stream].sent_bytes == len(whole) - 1


def test_every_attack_has_a_name_of_its_own() -> None:
    """No attack replaces another one in the table, and the quick ones are in it."""
    assert len(ATTACKS) == len({attack.about for attack in ATTACKS.values()})
    assert all(isinstance(ATTACKS[name], Attack) for name in QUICK)


def test_the_list_has_every_attack(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--list` prints each attack with what it does, and runs none."""
    monkeypatch.setattr("sys.argv", ["abuse", "--list"])
    assert main() == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()] == list(ATTACKS)
