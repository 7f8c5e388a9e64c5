"""The baseline of the next attempt: listed when it is wanted, and again when it is too old."""

import asyncio

from attachment_gateway.delivery.baseline import Baseline
from attachment_gateway.delivery.post_reader import Listing, PostReader
from attachment_gateway.delivery.prefetch import ListedBaseline, listed_baseline


class AttemptBaseline:
    """One delivery's baseline; each attempt has its own, at most `settle_s` old when it is sent."""

    def __init__(self, *, settle_s: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._settle_s = settle_s
        self._is_wanted = False
        self.listed: ListedBaseline | None = None
        """None without one."""

    def begin(self, listed: ListedBaseline | None, *, is_wanted: bool) -> None:
        """Begin with what was recorded for the first attempt; `is_wanted` for those that follow."""
        self.listed = listed
        self._is_wanted = is_wanted

    @property
    def value(self) -> Baseline | None:
        """The baseline, None without one."""
        return None if self.listed is None else self.listed.baseline

    def is_ready(self) -> bool:
        """Return whether none is wanted, or there is one that is young enough to send now."""
        return not self._is_wanted or (
            self.listed is not None and self.listed.is_fresh(self._loop.time(), self._settle_s)
        )

    async def refresh(self, reader: PostReader, *, within_s: float) -> None:
        """List the post. If that can't be had, go on without a baseline."""
        self.listed = await listed_baseline(reader, within_s=min(self._settle_s, within_s))
        self._is_wanted = self.listed is not None

    def take(self, listing: Listing, *, asked_at: float) -> None:
        """Use a list that was asked for at `asked_at`, after all earlier attempts were settled.

        If it is too large there is none: an earlier attempt's baseline is never used again.
        """
        baseline = Baseline.of(listing.listed)
        self.listed = None
        if baseline is not None:
            self.listed = ListedBaseline(baseline=baseline, asked_at=asked_at)
