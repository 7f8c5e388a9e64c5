"""The events of a case in the order of time, for the report of a violation."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from graph_emulator.posts import StoredAttachment
from tests.faults.traffic import Passage
from tests.faults.verdict import Intent


def lines(
    intents: Sequence[Intent], passages: Sequence[Passage], stored: Sequence[tuple[float, str]]
) -> Iterator[str]:
    """Yield a line for each event: calls, requests to Graph, and `stored`."""
    events = list(stored)
    for number, intent in enumerate(intents):
        for end in intent.ends:
            events.append((end.began_at + since_epoch_s(), f"call for {number} began"))
            events.append((end.ended_at + since_epoch_s(), f"call for {number} ended: {end}"))
    for passage in passages:
        path = unquote(passage.target).rpartition("/attachments")[2][-30:]
        events.append((passage.began_at, f"{passage.method} {path} came"))
        if passage.sent_at is not None:
            events.append((passage.sent_at, f"{passage.method} {path} was all sent"))
    events.sort()
    for at, what in events:
        yield f"{at - events[0][0]:8.3f}  {what}"


def since_epoch_s() -> float:
    """Return what to add to a time on the loop's clock, for seconds since the epoch."""
    return time.time() - asyncio.get_running_loop().time()


def effects(
    stored: Sequence[StoredAttachment], placed: Sequence[str], *, offset_s: float
) -> list[tuple[float, str]]:
    """Return when the campaign's attachments were stored, on this machine's clock."""
    return [
        (one.stored_at.timestamp() - offset_s, f"stored …{one.id[-16:]}")
        for one in stored
        if one.id not in placed
    ]
