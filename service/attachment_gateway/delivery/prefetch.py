"""The baseline of an upload, listed while its stream still comes in.

It is listed before the post's lease is held, so it counts only if the ledger shows that no other
lease was in the post's queue since.
"""

import asyncio
from dataclasses import dataclass

from attachment_gateway.delivery import baseline
from attachment_gateway.delivery.baseline import Baseline
from attachment_gateway.delivery.post_reader import PostReader, ReadError
from attachment_gateway.errors import LedgerUnavailable
from attachment_gateway.ledger import NOT_FREE, Lease, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedBaseline:
    """A baseline, and when its list was asked for, on the loop's clock.

    `turn`: see Sending; None if it was listed while the post's lease was held.
    """

    baseline: Baseline
    asked_at: float
    turn: int | None = None

    def is_fresh(self, now: float, settle_s: float) -> bool:
        """Return whether it is young enough for an attempt that is sent now."""
        return now - self.asked_at <= settle_s


async def listed_baseline(
    reader: PostReader, *, within_s: float, turn: int | None = None
) -> ListedBaseline | None:
    """List a post; None if that can't be had, or is too large for a baseline."""
    asked_at = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(within_s):
            listing = await reader.listing(max_pages=baseline.MAX_PAGES)
    except (ReadError, TimeoutError):
        return None
    found = Baseline.of(listing.listed) if listing.is_whole else None
    if found is None:
        return None
    return ListedBaseline(baseline=found, asked_at=asked_at, turn=turn)


async def prefetched(
    reader: PostReader, ledger: Ledger, lease: Lease, *, within_s: float
) -> ListedBaseline | None:
    """List a post before its lease is held; None if the request id is known or the post is busy."""
    try:
        look = await ledger.look(lease)
    except LedgerUnavailable:
        return None
    if look.is_known or look.turn == NOT_FREE:
        return None
    return await listed_baseline(reader, within_s=within_s, turn=look.turn)
