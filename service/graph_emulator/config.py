"""The emulator's configuration, which can be changed while it runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorConfig:
    """Graph's limits and behaviour; the defaults are Graph's own, as far as they are known."""

    max_request_bytes: int = 4 * 1024 * 1024
    """Limit on request line, headers and body together; a larger request gets a 413."""

    concurrent_requests_per_group: int = 4
    """Outlook's limit per app and mailbox, of which a group has one; further requests get a 429."""

    retry_after_s: float = 1.0
    """The Retry-After of that 429."""

    latency_s: float = 0.0
    """How long a write takes before it has its effect; meanwhile it occupies mailbox and post."""

    lag_s: float = 0.0
    """How long a stored attachment stays invisible to reads."""

    page_size: int | None = None
    """The most attachments in one page of a list; None is no limit."""

    created_status: int = 201
    """Status of a create; the text of Graph's documentation says 201, its examples say 200."""

    echo_content_bytes: bool = True
    """Whether the response to a create repeats the file."""

    rewrite_items: bool = True
    """Whether items are read back as Graph rewrites them; otherwise as they were sent."""

    clock_offset_s: float = 0.0
    """How far the emulated clock, for `Date` and stored times, is ahead of the machine's."""


DEFAULT_CONFIG = EmulatorConfig()
