"""The opening of the ledger that a URL names."""

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger import Ledger
from attachment_gateway.ledger.memory import MemoryLedger
from attachment_gateway.ledger.redis import RedisLedger
from attachment_gateway.ledger.sqlite import SqliteLedger
from attachment_gateway.ledger.urls import MEMORY, SQLITE, default_url, ledger_fault, sqlite_path


async def open_ledger(url: str, *, settle_s: float, retention_s: float) -> Ledger:
    """Open the ledger that a URL names, the default one if it is empty. Raises SettingError.

    An unreachable Redis is no error here: every method raises LedgerUnavailable until it answers.
    """
    if fault := ledger_fault(url):
        raise SettingError(fault)
    url = url or default_url()
    if url == MEMORY:
        return MemoryLedger(settle_s=settle_s, retention_s=retention_s)
    if url.startswith(SQLITE):
        return await SqliteLedger.open(sqlite_path(url), settle_s=settle_s, retention_s=retention_s)
    return await RedisLedger.open(url, settle_s=settle_s, retention_s=retention_s)
