"""What the emulator keeps to, in numbers. All of it can be changed while it runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EmulatorConfig:
    """Graph's limits and habits; the defaults are Graph's own, as far as they are known."""

    max_request_bytes: int = 4 * 1024 * 1024
    """Request line, headers and body together, as they came; more is answered 413."""

    concurrent_requests_per_group: int = 4
    """Outlook's limit per app and mailbox, and a group has one mailbox; more is answered 429."""

    retry_after_s: float = 1.0
    """What that 429 says in Retry-After."""

    latency_s: float = 0.0
    """How long a write works before it takes effect; it holds its mailbox and post meanwhile."""

    lag_s: float = 0.0
    """How long what was stored stays invisible to reads."""

    page_size: int | None = None
    """The most attachments in one page of a list; None is no limit."""

    created_status: int = 201
    """The page's prose says 201 and its examples 200."""

    echo_content_bytes: bool = True
    """Whether the answer to a create repeats the file."""

    rewrite_items: bool = True
    """Whether items read back as Graph rewrites them, or as they were sent."""

    clock_offset_s: float = 0.0
    """How far this Graph's clock is ahead of ours, in `Date` and in what it stores."""


DEFAULT_CONFIG = EmulatorConfig()
