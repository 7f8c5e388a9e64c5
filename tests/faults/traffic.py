"""The requests between a gateway and Graph, by post, and the faults to inject."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from tests.faults.wire_faults import NONE, WireFault

Hook = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Passage:
    """One request that came; `sent_at` is when its last byte was sent to Graph.

    `status` is 0 until the response has been passed on as a whole; `head` and `body` are kept of a
    GET's. `ended_at` is when the exchange ended, in whatever way.
    """

    method: str
    target: str
    began_at: float
    sent_at: float | None = None
    ended_at: float = math.inf
    status: int = 0
    head: bytes = b""
    body: bytes = b""


@dataclass(slots=True)
class Traffic:
    """One post's requests, faults to inject, and the hook to call at a fault."""

    passages: list[Passage] = field(default_factory=list)
    faults: list[WireFault] = field(default_factory=list)
    hook: Hook | None = None
    last_at: float = 0.0
    posted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the first POST was passed on to Graph as a whole."""

    def take(self, method: str) -> WireFault:
        """Return the first fault for this method and use it up once."""
        for index, fault in enumerate(self.faults):
            if fault.method == method:
                left = [] if fault.times == 1 else [replace(fault, times=max(fault.times - 1, 0))]
                self.faults[index : index + 1] = left
                return fault
        return NONE
