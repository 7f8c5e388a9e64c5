"""The benchmarks run, and their tables and figures have what they should; no time is asserted."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.support.processes import REPOSITORY

# Some seconds, on an idle machine.
WITHIN_S = 100

COMMAND = (sys.executable, "-m", "benchmarks", "--quick", "--sizes", "1KB")

HAS_MATPLOTLIB = find_spec("matplotlib") is not None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files of a run go."""
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """What a quick run prints."""
    plot = ("--plot", str(folder / "bench.svg")) if HAS_MATPLOTLIB else ("--no-plot",)
    run = subprocess.run(
        [*COMMAND, "--json", str(folder / "bench.json"), *plot],
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        cwd=REPOSITORY,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


@pytest.fixture(scope="module")
def figures(printed: str, folder: Path) -> dict[str, Any]:
    """What it writes."""
    assert printed
    read: dict[str, Any] = json.loads((folder / "bench.json").read_text())
    return read


def test_the_tables(printed: str) -> None:
    """Each scenario has one, and the ratios."""
    titles = [line for line in printed.splitlines() if line.startswith("### ")]
    assert [title.split()[1].rstrip(",") for title in titles] == [
        *("Who", "CPU", "CPU", "CPU", "Uploads", "Latency", "The", "From", "Memory", "Ratios")
    ]
    assert "| gateway's CPU / floor's" in printed


def test_every_contestant_has_its_cells(figures: dict[str, Any]) -> None:
    """All of them were measured as often, and all uploads came to Graph."""
    busy = [cell for cell in figures["cells"] if cell["at_once"] == 8]
    assert [cell["contestant"] for cell in busy] == [
        *("gateway", "gateway-id", "gateway-memory", "floor", "plain", "sdk")
    ]
    rounds = figures["plan"]["amounts"]["rounds"]
    for cell in figures["cells"]:
        assert len(cell["rounds"]) == rounds
        assert 0 < cell["p50_s"] <= cell["p99_s"]
        for one in cell["rounds"]:
            assert one["uploads"] > 0
            assert one["caller_cpu_s"] > 0
            assert (one["server_cpu_s"] is None) == (cell["contestant"] == "sdk")


def test_memory_is_of_uploads_in_flight_together(figures: dict[str, Any]) -> None:
    """None failed, and Graph had them all at once."""
    assert [each["contestant"] for each in figures["memory"]] == [
        *("gateway", "floor", "plain", "sdk", "gateway")
    ]
    for each in figures["memory"]:
        assert each["failed"] == 0
        assert each["waited_at_once"] == each["uploads"] or each["limited"]
        assert each["peak_bytes"] >= each["idle_bytes"] > 0


def test_the_rest(figures: dict[str, Any]) -> None:
    """Starts, endurance, and targets, each met or not."""
    assert [each["contestant"] for each in figures["starts"]] == [
        "gateway",
        "floor",
        "plain",
        "sdk",
    ]
    assert [each["contestant"] for each in figures["endurance"]] == ["gateway"]
    wanted = [each for each in figures["ratios"] if each["want"] is not None]
    assert wanted
    assert {each["met"] for each in wanted} <= {True, False}


@pytest.mark.skipif(not HAS_MATPLOTLIB, reason="matplotlib comes with `make bench`")
def test_the_plot(figures: dict[str, Any], folder: Path) -> None:
    """It is an SVG."""
    assert figures
    assert "<svg " in (folder / "bench.svg").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_leaves_no_process_behind(number: signal.Signals, tmp_path: Path) -> None:
    """However it is ended."""
    run = subprocess.Popen(
        [*COMMAND, "--scenario", "rounds", "--rounds", "1000", "--json", str(tmp_path / "json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
    )
    try:
        children = until_there_are(5, run.pid)
        run.send_signal(number)
        run.wait(timeout=WITHIN_S)
    finally:
        run.kill()
        run.wait()
    end = time.monotonic() + WITHIN_S
    while any(map(runs, children)) and time.monotonic() < end:
        time.sleep(0.01)
    assert not any(map(runs, children))


def until_there_are(count: int, parent: int) -> list[int]:
    end = time.monotonic() + WITHIN_S
    children: list[int] = []
    while len(children) < count and time.monotonic() < end:
        time.sleep(0.01)
        told = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        children = [int(each) for each in told.split()]
    return children


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
