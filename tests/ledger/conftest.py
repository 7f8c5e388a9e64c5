"""The three ledgers as fixtures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from attachment_gateway.ledger import Ledger
from tests.support.redis_server import redis_url as redis_url  # noqa: PLC0414 - a fixture
from tests.support.three_ledgers import Ledgers, empty_ledgers


@pytest.fixture(params=["memory", "sqlite"])
async def ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledgers]:
    """One kind of ledger per parameter, empty at the start."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    async with empty_ledgers(request.param, tmp_path / "state" / "ledger.sqlite3", url) as made:
        yield made


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledger:
    """The ledger of one process."""
    return await ledgers.open()


@pytest.fixture
async def other(ledger: Ledger, ledgers: Ledgers) -> Ledger:
    """The same ledger, opened by another process."""
    return await ledgers.open()
