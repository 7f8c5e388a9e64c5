"""The benchmarks run and have the expected tables and figures; no time is asserted."""

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

# A run takes some seconds on an idle machine.
WITHIN_S = 100

COMMAND = (sys.executable, "-m", "benchmarks", "--quick", "--sizes", "1KB")

HAS_MATPLOTLIB = find_spec("matplotlib") is not None


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for a run's files."""
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def printed(folder: Path) -> str:
    """The output of a quick run."""
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
    """The JSON that a quick run writes."""
    assert printed
    read: dict[str, Any] = json.loads((folder / "bench.json").read_text())
    return read


def test_each_scenario_has_a_table(printed: str) -> None:
    """Each scenario has a table, and so have the ratios."""
    titles = [line for line in printed.splitlines() if line.startswith("### ")]
    assert [title.split()[1].rstrip(",") for title in titles] == [
        *("Who", "CPU", "CPU", "CPU", "Uploads", "Latency", "The", "From", "Memory", "What"),
        "Ratios",
    ]
    assert "| gateway's CPU / floor's" in printed


def test_every_contestant_has_every_round(figures: dict[str, Any]) -> None:
    """Every contestant has the same number of rounds, with uploads and CPU time in each."""
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
    """Memory is measured with all uploads in flight, or as many as the limit, and none failed."""
    assert [each["contestant"] for each in figures["memory"]] == [
        *("gateway", "floor", "plain", "sdk", "gateway")
    ]
    for each in figures["memory"]:
        assert each["failed"] == 0
        assert each["waited_at_once"] == each["uploads"] or each["limited"]
        assert each["peak_bytes"] >= each["idle_bytes"] > 0


def test_starts_endurance_and_targets(figures: dict[str, Any]) -> None:
    """Every contestant has its starts, the gateway its endurance, and each target a result."""
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
def test_the_plot_is_an_svg(figures: dict[str, Any], folder: Path) -> None:
    """The plot is an SVG."""
    assert figures
    assert "<svg " in (folder / "bench.svg").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_benchmarks_leave_no_process_behind(number: signal.Signals, tmp_path: Path) -> None:
    """The benchmarks leave no process behind, whichever signal ends them."""
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
        listed = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        children = [int(each) for each in listed.split()]
    return children


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
