"""One emulated Graph: its posts and attachments, its limits, and its log of requests."""

import asyncio
from datetime import UTC, datetime, timedelta

from graph_emulator.config import EmulatorConfig
from graph_emulator.faults import FaultQueue
from graph_emulator.operations import Effect
from graph_emulator.posts import Post, Posts, StoredAttachment
from graph_emulator.request_log import RequestLog
from graph_emulator.throttle import Throttle


class Emulator:
    """All state of one emulator, shared by Graph's routes and the control route."""

    def __init__(self, config: EmulatorConfig) -> None:
        self.config = config
        self.posts = Posts(Post())
        self.throttle = Throttle()
        self.faults = FaultQueue()
        self.log = RequestLog()

    def now(self) -> datetime:
        """Return the time on the emulated clock."""
        return datetime.now(UTC) + timedelta(seconds=self.config.clock_offset_s)

    def date(self) -> datetime:
        """Return the time that the front end writes into `Date` and into errors."""
        return self.now() + timedelta(seconds=self.config.date_offset_s)

    def configure(self, config: EmulatorConfig) -> None:
        """Replace the configuration."""
        self.config = config

    def add_post(self, post: Post) -> None:
        """Add a post."""
        self.posts.add_post(post)

    def place(self, attachment: StoredAttachment) -> None:
        """Store an attachment without a request to Graph's routes."""
        self.posts.store(attachment)

    def record(self, post_id: str | None = None) -> list[StoredAttachment]:
        """Return all attachments stored since `clear`, or those of one post."""
        return self.posts.record(post_id)

    def take_effect_later(self, effect: Effect, delay_s: float) -> None:
        """Let a request have its effect `delay_s` from now, after its response."""
        asyncio.get_running_loop().call_later(delay_s, lambda: effect(self.now()))

    def clear(self) -> None:
        """Remove attachments, requests, peaks and faults; posts and configuration stay."""
        self.faults.clear()
        self.posts = self.posts.emptied()
        self.log.forget()
        self.throttle.forget_peaks()
