"""Faults in the bytes of one exchange, and the offsets at which they happen.

Offsets count the bytes of one side of an exchange, the request or the response, head and body
together.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Side = Literal["request", "answer"]
Act = Literal["go_on", "reset", "close", "hang"]

# Each point is a share of the head, a share of the body, and a number of bytes to add.
POINTS: Mapping[str, tuple[float, float, int]] = {
    "nothing": (0, 0, 0),
    "line": (0, 0, 10),
    "headers": (0.5, 0, 0),
    "head": (1, 0, 0),
    "body_first": (1, 0, 1),
    "body_middle": (1, 0.5, 0),
    "before_end": (1, 1, -2),  # the last two bytes of a file's request are sent as a separate piece
    "body_last": (1, 1, -1),
    "all": (1, 1, 0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How bytes are passed on: after a latency, at a rate, and in writes of a size."""

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    """0 means no limit."""
    slice_bytes: int = 0
    """0 means the pieces as they were received."""

    def __str__(self) -> str:
        return f"{self.latency_s:g}s,{self.bytes_per_s:g}B/s,{self.slice_bytes}B"


AS_IT_IS = Shape()


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFault:
    """Bytes of one side are passed on up to a point; after a pause, the act happens to the client.

    `go_on` does nothing more, `reset` sends an RST, `close` sends a FIN, and `hang` passes no more
    bytes on. A request that isn't whole at the point ends there for Graph too; one that is whole
    takes effect, with its last byte sent `late_s` after the point.
    """

    method: str = "POST"
    times: int = 1
    """How many requests it applies to; 0 means every one."""
    side: Side = "request"
    at: str | int = "all"
    """A point's name, or an offset; a negative offset counts from the end."""
    pause_s: float = 0.0
    act: Act = "go_on"
    late_s: float = 0.0
    shape: Shape = AS_IT_IS
    """Applies to both sides."""
    calls_hook: bool = False
    """Whether the traffic's hook is called at the point, before the pause and the act."""
    gather: bool = False
    """Whether the request is sent to Graph only once it is whole."""

    def offset(self, head_bytes: int, total_bytes: int) -> int:
        """Return the point as an offset."""
        if isinstance(self.at, str):
            head, body, more = POINTS[self.at]
            at = int(head * head_bytes + body * (total_bytes - head_bytes)) + more
        else:
            at = self.at if self.at >= 0 else total_bytes + self.at
        return min(max(at, 0), total_bytes)

    def __str__(self) -> str:
        parts = [f"{self.method} {self.side}@{self.at} {self.act}"]
        if self.pause_s:
            parts.append(f"after {self.pause_s:g}s")
        if self.late_s:
            parts.append(f"late {self.late_s:g}s")
        if self.shape != AS_IT_IS:
            parts.append(f"at {self.shape}")
        if self.calls_hook:
            parts.append("with the hook")
        if self.gather:
            parts.append("gathered")
        if self.times != 1:
            parts.append(f"x{self.times}")
        return " ".join(parts)


NONE = WireFault()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The parts of a message's head that matter here."""

    raw: bytes
    method: str
    target: str
    body_bytes: int
    closes: bool
    """Whether the connection ends after this message."""

    @classmethod
    def parse(cls, raw: bytes) -> "Head":
        """Parse a request's or a response's head; `method` of a response is its version."""
        first, *lines = raw.decode("latin-1").split("\r\n")
        method, target, *_ = [*first.split(" "), "", ""]
        pairs = (line.partition(":") for line in lines)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        return cls(
            raw=raw,
            method=method,
            target=target,
            body_bytes=int(headers.get("content-length", "0")),
            closes=headers.get("connection", "").lower() == "close",
        )

    @property
    def total_bytes(self) -> int:
        """The size of the whole message."""
        return len(self.raw) + self.body_bytes
