"""What a list of attachments has beside the attachments: an order, pages, and a cache's age."""

from collections.abc import Sequence
from random import SystemRandom

from graph_emulator.config import EmulatorConfig
from graph_emulator.posts import StoredAttachment
from graph_emulator.query import Query


def in_order(
    attachments: Sequence[StoredAttachment], config: EmulatorConfig
) -> Sequence[StoredAttachment]:
    """Return the attachments in the order of this read."""
    if not config.page_shuffle:
        return attachments
    return SystemRandom().sample(attachments, len(attachments))


def page_end(query: Query, page_size: int | None) -> int | None:
    """Return where the page ends; None is the end of the list."""
    sizes: Sequence[int] = [size for size in (query.top, page_size) if size is not None]
    return query.skip + min(sizes) if sizes else None


def age_header(age_s: int) -> dict[str, str]:
    """Return the `Age` header of a cached response, none for an age of 0."""
    return {"Age": str(age_s)} if age_s else {}
