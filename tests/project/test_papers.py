"""The papers: their tables match the code, their links resolve, and their commands run."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from attachment_gateway.delivery.state import TRANSITIONS, Progress, State
from attachment_gateway.delivery.told_when_late import told_when_late
from attachment_gateway.errors import GatewayDraining, GraphUnavailable
from attachment_gateway.rpc import status
from attachment_gateway.settings import ENVIRONMENT_PREFIX, Settings
from tests.support.grpcurl import BUILT_WITHIN_S
from tests.support.processes import DEMO, REPOSITORY, started

PAPERS = sorted([*REPOSITORY.glob("*.md"), *REPOSITORY.glob("docs/*.md")])
TEXTS = {path.relative_to(REPOSITORY).as_posix(): path.read_text() for path in PAPERS}
README = TEXTS["README.md"]


def blocks(language: str, text: str) -> list[str]:
    """Return the code blocks of a language in a paper."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for its_language, block in fenced if its_language == language]


def rows(header: str, text: str) -> list[list[str]]:
    """Return the rows of the table with this header, their cells stripped."""
    table = text.split(header)[1].split("\n\n", maxsplit=1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def test_the_table_of_settings_matches_the_code() -> None:
    """The table of settings has a row for each field of Settings, in their order."""
    expected = [
        [
            ENVIRONMENT_PREFIX + setting.name.upper(),
            "--" + setting.name.replace("_", "-"),
            str(setting.default),
            setting.metadata["about"],
        ]
        for setting in fields(Settings)
    ]
    assert rows("| variable | flag | default | |", TEXTS["docs/operators.md"]) == expected


def test_the_table_of_errors_matches_the_code() -> None:
    """The table of errors has each reason with its code, in the order of the code's own table."""
    header = "| reason | code | what happened, and what to do |"
    table = [(row[0], row[1]) for row in rows(header, TEXTS["docs/callers.md"])]
    assert table == [(reason, code.name) for reason, code in status.CODES.items()]


def test_the_table_of_layers_matches_the_package() -> None:
    """The table of layers names every package and every module at the top, and no other."""
    header = "| in `service/attachment_gateway/` | |"
    named = {
        name
        for row in rows(header, TEXTS["docs/ARCHITECTURE.md"])
        for name in row[0].split("`")[1::2]
    }
    package = REPOSITORY / "service/attachment_gateway"
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    packages = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    assert named == modules | packages


def told_in(state: State) -> str:
    """Return what a caller is told in a state when its deadline passes, in the table's words."""
    if state is State.CREATED:
        return "the attachment"
    progress = Progress(joins=False)
    progress.state = state
    if state in {State.WAITING, State.RESENDING}:
        progress.last_error = GraphUnavailable("x", retry_delay_s=1)
    told = told_when_late(progress, GatewayDraining(retry_delay_s=1))
    words = {
        GatewayDraining: "NOT_SENT, or GATEWAY_DRAINING at a stop",
        GraphUnavailable: "the last attempt's error",
    }
    return words.get(type(told), told.reason.value)


def test_the_table_of_states_matches_the_code() -> None:
    """The table of states has each state, its transitions, and what may be told in it."""
    expected = []
    for state, transitions in TRANSITIONS.items():
        progress = Progress(joins=False)
        progress.state = state
        events = [f"{event.value} → {following.name}" for event, following in transitions.items()]
        expected.append(
            [
                state.name,
                ", ".join(events) or "—",
                "yes" if progress.may_have_effect else "no",
                told_in(state),
            ]
        )
    header = "| state | event → state | may have effect | told when time is over |"
    assert rows(header, TEXTS["docs/ARCHITECTURE.md"]) == expected


@pytest.mark.parametrize("paper", TEXTS)
def test_every_mentioned_make_target_exists(paper: str) -> None:
    """A paper mentions only targets that the Makefile has."""
    makefile = (REPOSITORY / "Makefile").read_text()
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", TEXTS[paper], re.MULTILINE)) <= targets


def printed_by(command: list[str], **environment: str) -> str:
    """Run a command in the repository, which must succeed; return what it prints."""
    finished = subprocess.run(
        command,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        cwd=REPOSITORY,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_every_mentioned_make_target_can_be_made() -> None:
    """Each mentioned target and its prerequisites have recipes, and `make help` lists it."""
    mentioned = {
        target
        for text in TEXTS.values()
        for target in re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)
    }
    listed = printed_by(["make", "help"])
    for target in mentioned:
        printed_by(["make", "--dry-run", target])
        assert f"make {target} " in listed


def anchors(text: str) -> set[str]:
    """Return the anchors of a paper's headings, as repository hosts make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("paper", TEXTS)
def test_every_link_resolves(paper: str) -> None:
    """A link within the repository names a file, and an anchor that the file has."""
    folder = (REPOSITORY / paper).parent
    for link in re.findall(r"\]\(([^)]+)\)", TEXTS[paper]):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = folder / name if name else REPOSITORY / paper
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link


def test_every_metric_of_the_table_exists() -> None:
    """The table of metrics has exactly the counters in the code."""
    named = {row[0].strip("`") for row in rows("| metric | what it counts |", OPERATORS)}
    text = (REPOSITORY / "service/attachment_gateway/metrics.py").read_text()
    counted = re.findall(r'Counter\(\s*"(\w+)"', text)
    assert named == {f"attachment_gateway_{name}_total" for name in counted}


OPERATORS = TEXTS["docs/operators.md"]


def without_numbers(text: str) -> str:
    """Return a text with each number replaced by 0, as sizes and ports change."""
    return re.sub(r"[\d,]*\d", "0", text)


def test_the_demo_prints_what_the_readme_shows() -> None:
    """The README's block is what `make demo` prints, except for sizes and ports."""
    demo = subprocess.run(DEMO, capture_output=True, text=True, timeout=60, check=True)
    shown = next(block for block in blocks("", README) if block.startswith("a local Graph"))
    assert without_numbers(demo.stdout) == without_numbers(shown)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """The address of a gateway such as `make run` starts."""
    with started("emulator") as (_, graph):
        graph_url = f"http://{graph.split()[-1]}/v1.0"
        with started("serve", "--listen=127.0.0.1:0", f"--graph-url={graph_url}") as (_, gateway):
            yield gateway.split()[-1]


def adapted(block: str, address: str) -> str:
    """Return a block with this machine's address and commands."""
    commands = str(Path(sys.executable).parent)
    return block.replace("127.0.0.1:50051", address).replace(".venv/bin", commands)


# These run in CI, in the demo's tests and in the server's tests.
RUN_ELSEWHERE = ("make ", "attachment-gateway serve ")
SHELL = [
    pytest.param(block, id=f"{paper}-{number}")
    for paper, text in TEXTS.items()
    for number, block in enumerate(blocks("sh", text))
    if not any(name in block for name in RUN_ELSEWHERE)
]


@pytest.mark.parametrize("block", SHELL)
@pytest.mark.timeout(BUILT_WITHIN_S + 100)
def test_every_command_runs_as_it_is_pasted(block: str, address: str, path: str) -> None:
    """Each command of a paper succeeds and prints one of the expected results."""
    printed = printed_by(["bash", "-euc", adapted(block, address)], PATH=path)
    expected = ("AttachmentService", '"id": "AAMkAG', " passed")
    assert any(words in printed for words in expected), printed


def test_the_python_example_runs_as_it_is_pasted(address: str) -> None:
    """The Python example prints the id of its attachment."""
    [example] = blocks("python", TEXTS["docs/callers.md"])
    assert printed_by([sys.executable, "-c", adapted(example, address)]).startswith("AAMkAG")
