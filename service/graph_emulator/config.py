"""The emulator's configuration, which can be changed while it runs."""

from dataclasses import dataclass
from typing import Literal, get_args

Stamps = Literal["usual", "missing", "null", "no zone", "year one", "future", "fraction", "mixed"]


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

    date_offset_s: float = 0.0
    """How far the `Date` header is ahead of the emulated clock."""

    stamp_offset_s: float = 0.0
    """How far a shown lastModifiedDateTime is ahead of the time at which it was stored."""

    stamps: Stamps = "usual"
    """The form of an attachment's lastModifiedDateTime; "mixed" is any of them by attachment."""

    odd_items: bool = False
    """Whether properties of items are shown changed, reordered, null or not at all."""

    odd_types: bool = False
    """Whether `@odata.type` and the enum values of items are shown in another form."""

    odd_names: bool = False
    """Whether an attachment's name is shown shortened, normalised, cleaned or null."""

    odd_bytes: bool = False
    """Whether a file is shown with bytes appended or with one byte changed."""

    odd_ids: bool = False
    """Whether lists show one attachment in two with the id null."""

    value_missing: bool = False
    """Whether `$value` and a read with `$expand` get a 404 for an attachment that is listed."""

    list_lag_s: float = 0.0
    """How long a stored attachment stays invisible to lists; single reads have `lag_s` alone."""

    page_shuffle: bool = False
    """Whether each read of a list has its own order, so pages can repeat or leave out elements."""

    list_age_s: int = 0
    """The `Age` header of lists, as of a cache; 0 is none."""

    def __post_init__(self) -> None:
        if self.stamps not in get_args(Stamps):
            raise ValueError(f"stamps is one of {get_args(Stamps)}, not {self.stamps!r}")


DEFAULT_CONFIG = EmulatorConfig()
