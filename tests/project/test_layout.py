"""Each module has the test file that owns it, and imports go in one direction."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY

PACKAGE = REPOSITORY / "service/attachment_gateway"
TESTS = REPOSITORY / "tests"

# Modules whose test file has another name than theirs, and why.
OWNED_ELSEWHERE = {
    "__main__": ("server/test_logs", "it sets what gRPC reads at its import"),
    "metrics": ("server/test_operator_http", "its counters are seen where they are shown"),
    "cli/__init__": ("cli/test_commands", "it is the list of commands"),
    "cli/attach": ("cli/test_callers", "it shares its course with upload"),
    "cli/post_options": ("cli/test_callers", "it is what upload and attach share"),
    "cli/upload": ("cli/test_callers", "it shares its course with attach"),
    "cli/emulator": ("graph_emulator/test_server", "it starts what is tested there"),
    "cli/serve": ("server/test_gateway", "it starts what is tested there"),
    "cli/worker": ("server/test_supervisor", "it is what the supervisor starts"),
    "client/__init__": ("client/test_sync", "it names what is tested there"),
    "client/clock": ("client/test_sync", "its clock is the client's"),
    "client/errors": ("client/test_sync", "its errors are the client's"),
    "client/file_source": ("client/test_sync", "its messages are the client's"),
    "delivery/attempt_baseline": ("delivery/test_prefetch", "a baseline is seen in what is sent"),
    "delivery/delivery": ("delivery/test_attempts", "it is tested against the local Graph"),
    "delivery/post_reader": ("delivery/test_reconciliation", "what it reads is judged there"),
    "delivery/resources": ("delivery/test_attempts", "it is a value without a rule"),
    "delivery/settlement": ("delivery/test_reconciliation", "it is what a look-up leads to"),
    "delivery/told_when_late": ("delivery/test_state", "it is a table of the states"),
    "graph/attempt": ("graph/test_client", "it is made by the client"),
    "graph/response": ("delivery/test_response_judgement", "a response is judged as it is read"),
    "http1/failure": ("http1/test_connection", "each failure is provoked there"),
    "ledger/__init__": ("ledger/test_ledgers", "it is what the three ledgers have in common"),
    "ledger/expiring": ("ledger/test_memory", "it is the memory's"),
    "ledger/opening": ("ledger/test_urls", "it opens what a URL names"),
    "ledger/redis_client": ("ledger/test_redis", "it is the client of that ledger"),
    "ledger/redis_snapshot": ("ledger/test_redis", "it is what that ledger reads and writes"),
    "ledger/sqlite_making": ("ledger/test_sqlite_watch", "it refuses what was lost"),
    "ledger/sqlite_access": ("ledger/test_sqlite", "it is the connection of that ledger"),
    "ledger/sqlite_file": ("ledger/test_sqlite", "it is the file of that ledger"),
    "ledger/sqlite_store": ("ledger/test_sqlite", "it is the tables of that ledger"),
    "mailbox/__init__": ("mailbox/test_mailboxes", "it is what both kinds have in common"),
    "mailbox/queue": ("mailbox/test_local", "it is the queue of one process"),
    "mailbox/scripts": ("mailbox/test_redis", "they run in Redis"),
    "mailbox/store": ("mailbox/test_redis", "it runs the scripts"),
    "rpc/idle_timeout": ("rpc/test_call", "it is how a call reads"),
    "server/lifecycle": ("server/test_gateway", "it is the gateway as a process"),
    "server/options": ("server/test_gateway", "they are the gateway's"),
    "server/reflection": ("contract/test_grpcurl", "grpcurl asks for it"),
    "translation/validation": ("translation/test_create", "its checks are the messages'"),
}

# Packages' __init__ that have only a docstring.
DOCSTRINGS_ALONE = {"__init__"} | {
    f"{package}/__init__"
    for package in ("delivery", "graph", "http1", "rpc", "server", "translation")
}

# Test files of a property of several modules.
OF_SEVERAL = {
    *("graph/test_metadata", "graph/test_msgraph_sdk", "ledger/test_processes"),
    "delivery/test_hostile_graph",
    *("contract/test_protos", "contract/test_grpcurl"),
    *("project/test_benchmarks", "project/test_demo", "project/test_layout"),
    *("project/test_package", "project/test_papers"),
}


def modules() -> Iterator[str]:
    """Yield the modules of the package, without those that have only a docstring."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).with_suffix("").as_posix()
        if name not in DOCSTRINGS_ALONE:
            yield name


def own_test(module: str) -> str:
    folder, _, name = module.rpartition("/")
    return f"{folder}/test_{name}" if folder else f"test_{name}"


def test_each_module_has_its_test_file() -> None:
    """Each module has the test file of its name, or that of an entry with a reason."""
    for module in modules():
        owner, reason = OWNED_ELSEWHERE.get(module, (own_test(module), "its name"))
        assert (TESTS / f"{owner}.py").is_file(), f"{module}: no tests/{owner}.py"
        assert reason
        if module in OWNED_ELSEWHERE:
            assert not (TESTS / f"{own_test(module)}.py").exists(), (
                f"{module} has its own test file"
            )


def test_each_entry_is_of_an_existing_module() -> None:
    """Each entry names an existing module, and a docstring-only module has only a docstring."""
    assert set(OWNED_ELSEWHERE) <= set(modules())
    for name in DOCSTRINGS_ALONE:
        [only] = ast.parse((PACKAGE / f"{name}.py").read_text()).body
        assert isinstance(only, ast.Expr)


def test_each_test_file_owns_something() -> None:
    """Each test file owns a module or is listed, but emulator, campaign, attacks and fuzz."""
    owners = {own_test(module) for module in modules()}
    owners |= {owner for owner, _ in OWNED_ELSEWHERE.values()}
    for path in TESTS.rglob("test_*.py"):
        name = path.relative_to(TESTS).with_suffix("").as_posix()
        if name.split("/")[0] not in {"graph_emulator", "faults", "abuse", "fuzz"}:
            assert name in owners | OF_SEVERAL


def test_the_top_of_the_package_has_at_most_ten_modules() -> None:
    """The package has at most ten modules outside its subpackages."""
    assert len(list(PACKAGE.glob("*.py"))) <= 10


def test_test_files_do_not_import_from_each_other() -> None:
    """No test file imports from another; shared code is in tests/support."""
    importing = re.compile(r"^\s*(?:from|import) (?:tests\.\S*)?\btest_\w+", re.MULTILINE)
    assert [path for path in TESTS.rglob("*.py") if importing.search(path.read_text())] == []


LAYERS = "A layer knows nothing of the layers above it"
CALLERS = "Callers' code needs nothing of the server's"

# A file, a line that is added to it, and the contract that the line breaks.
FORBIDDEN = [
    ("errors.py", "from attachment_gateway.server import gateway", LAYERS),
    ("http1/pool.py", "from attachment_gateway.graph import paths", LAYERS),
    ("ledger/rules.py", "from attachment_gateway.mailbox import window", LAYERS),
    ("delivery/delivery.py", "import grpc", "gRPC is known to rpc, server, client and cli"),
    ("delivery/response_judgement.py", "import asyncio", "Pure modules have no event loop"),
    ("client/sync.py", "import structlog", CALLERS),
    ("cli/upload.py", "from attachment_gateway.settings import Settings", CALLERS),
    ("graph/attempt.py", "import httpx", "httpx is known to graph.client"),
    ("delivery/attempts.py", "import redis", "Redis and SQLite are known to ledger"),
]


def lint_imports(folder: Path, file: str = "errors.py", line: str = "") -> tuple[int, str]:
    """Run import-linter on a copy with a line added; return its exit status and output."""
    for package in ("service", "generated"):
        shutil.copytree(
            REPOSITORY / package, folder / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    shutil.copy(REPOSITORY / "pyproject.toml", folder)
    changed = folder / "service/attachment_gateway" / file
    text = changed.read_text() if changed.exists() else ""
    changed.write_text(f"{text}\n{line}\n")
    linted = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=folder,
        env={"PYTHONPATH": f"{folder / 'service'}:{folder / 'generated'}", "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    return linted.returncode, " ".join((linted.stdout + linted.stderr).split())


def test_the_package_keeps_the_import_contracts(tmp_path: Path) -> None:
    """The package keeps all import contracts."""
    code, shown = lint_imports(tmp_path)
    assert code == 0
    assert shown.endswith(" kept, 0 broken.")


@pytest.mark.parametrize(("file", "line", "contract"), FORBIDDEN)
def test_a_forbidden_import_breaks_its_contract(
    file: str, line: str, contract: str, tmp_path: Path
) -> None:
    """A forbidden import breaks the contract that forbids it."""
    code, shown = lint_imports(tmp_path, file, line)
    assert code == 1
    assert re.search(rf"{re.escape(contract)}[^.]*BROKEN", shown), shown


def test_a_module_outside_the_layers_is_noticed(tmp_path: Path) -> None:
    """A module that is in no layer fails the check."""
    code, shown = lint_imports(tmp_path, "helpers.py")
    assert code == 1
    assert "helpers" in shown
