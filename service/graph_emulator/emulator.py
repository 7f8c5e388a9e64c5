"""One emulated Graph: its posts and attachments, its limits, and its log of requests."""

import asyncio
from datetime import UTC, datetime, timedelta

from graph_emulator.config import EmulatorConfig
from graph_emulator.faults import FaultQueue
from graph_emulator.operations import Effect
from graph_emulator.request_log import RequestLog
from graph_emulator.throttle import Throttle
from graph_emulator.world import Post, StoredAttachment, World


class Emulator:
    """All state of one emulator, shared by Graph's routes and the control route."""

    def __init__(self, config: EmulatorConfig) -> None:
        self.config = config
        self.world = World(Post())
        self.throttle = Throttle()
        self.faults = FaultQueue()
        self.log = RequestLog()

    def now(self) -> datetime:
        """Return the time on the emulated clock."""
        return datetime.now(UTC) + timedelta(seconds=self.config.clock_offset_s)

    def configure(self, config: EmulatorConfig) -> None:
        """Replace the configuration."""
        self.config = config

    def add_post(self, post: Post) -> None:
        """Add a post."""
        self.world.add_post(post)

    def place(self, attachment: StoredAttachment) -> None:
        """Store an attachment without a request to Graph's routes."""
        self.world.store(attachment)

    def record(self, post_id: str | None = None) -> list[StoredAttachment]:
        """Return all attachments stored since `clear`, or those of one post."""
        return self.world.record(post_id)

    def take_effect_later(self, effect: Effect, delay_s: float) -> None:
        """Let a request have its effect `delay_s` from now, after its response."""
        asyncio.get_running_loop().call_later(delay_s, lambda: effect(self.now()))

    def clear(self) -> None:
        """Remove attachments, requests, peaks and faults; posts and configuration stay."""
        self.faults.clear()
        self.world = self.world.emptied()
        self.log.forget()
        self.throttle.forget_peaks()
