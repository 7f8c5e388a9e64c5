"""One emulated Graph: its world, its limits, and what was asked of it."""

import asyncio
from datetime import UTC, datetime, timedelta

from graph_emulator.config import EmulatorConfig
from graph_emulator.faults import FaultQueue
from graph_emulator.operations import Effect
from graph_emulator.request_log import RequestLog
from graph_emulator.throttle import Throttle
from graph_emulator.world import Post, StoredAttachment, World


class Emulator:
    """All state of one emulator, for the routes of Graph and of control."""

    def __init__(self, config: EmulatorConfig) -> None:
        self.config = config
        self.world = World(Post())
        self.throttle = Throttle()
        self.faults = FaultQueue()
        self.log = RequestLog()

    def now(self) -> datetime:
        """Graph's clock."""
        return datetime.now(UTC) + timedelta(seconds=self.config.clock_offset_s)

    def configure(self, config: EmulatorConfig) -> None:
        """From now on."""
        self.config = config

    def add_post(self, post: Post) -> None:
        """From now on it is there."""
        self.world.add_post(post)

    def place(self, attachment: StoredAttachment) -> None:
        """Put an attachment there by other ways than Graph's."""
        self.world.store(attachment)

    def record(self, post_id: str | None = None) -> list[StoredAttachment]:
        """List every attachment that was stored since `clear`, or those of that post."""
        return self.world.record(post_id)

    def take_effect_later(self, effect: Effect, delay_s: float) -> None:
        """Do what Graph does after it has answered."""
        asyncio.get_running_loop().call_later(delay_s, lambda: effect(self.now()))

    def clear(self) -> None:
        """Forget attachments, requests, peaks and faults; posts and configuration stay."""
        self.faults.clear()
        self.world = self.world.emptied()
        self.log.forget()
        self.throttle.forget_peaks()
