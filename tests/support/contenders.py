"""Processes that use a ledger: tests/ledger/contender.py says what they do."""

import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from tests.support.processes import REPOSITORY, Process, program

CONTENDER = str(REPOSITORY / "tests/ledger/contender.py")


def contender(
    url: str, directory: Path, *what: str, lease_s: float = 10, **options: Any
) -> AbstractContextManager[Process]:
    """Run a process until the context ends."""
    return program(sys.executable, CONTENDER, url, str(lease_s), str(directory), *what, **options)
