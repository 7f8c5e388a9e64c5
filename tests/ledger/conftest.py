"""The three ledgers as fixtures."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from attachment_gateway.ledger import Ledger
from tests.support.redis_server import redis_url as redis_url  # noqa: PLC0414 - a fixture
from tests.support.three_ledgers import Ledgers, empty_ledgers


@pytest.fixture(params=["memory", "sqlite", "redis"])
async def ledgers(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledgers]:
    """One kind of ledger after the other; nothing is in it."""
    url = request.getfixturevalue("redis_url") if request.param == "redis" else ""
    async with empty_ledgers(request.param, tmp_path / "state" / "ledger.sqlite3", url) as made:
        yield made


@pytest.fixture
async def ledger(ledgers: Ledgers) -> Ledger:
    """A process's ledger."""
    return await ledgers.open()


@pytest.fixture
async def other(ledger: Ledger, ledgers: Ledgers) -> Ledger:
    """Another process's."""
    return await ledgers.open()
