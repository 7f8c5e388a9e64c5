"""What goes wrong with the bytes of one exchange, and at which of them. No networking code at all.

Offsets count the bytes of one side of an exchange, head and body together: its request, or its
answer.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Side = Literal["request", "answer"]
Act = Literal["go_on", "reset", "close", "hang"]

# The points of a protocol: so much of the head, so much of the body, and so many bytes more.
POINTS: Mapping[str, tuple[float, float, int]] = {
    "nothing": (0, 0, 0),
    "line": (0, 0, 10),
    "headers": (0.5, 0, 0),
    "head": (1, 0, 0),
    "body_first": (1, 0, 1),
    "body_middle": (1, 0.5, 0),
    "before_end": (1, 1, -2),  # of a file's request the last two bytes are a piece of their own
    "body_last": (1, 1, -1),
    "all": (1, 1, 0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How bytes go by: each piece after a wait, so many a second, in writes of so many."""

    latency_s: float = 0.0
    bytes_per_s: float = 0.0
    """0 is no limit."""
    slice_bytes: int = 0
    """0 leaves the pieces as they come."""

    def __str__(self) -> str:
        return f"{self.latency_s:g}s,{self.bytes_per_s:g}B/s,{self.slice_bytes}B"


AS_IT_IS = Shape()


@dataclass(frozen=True, slots=True, kw_only=True)
class WireFault:
    """Up to a point of one side bytes go by; there it waits, and then this happens to the client.

    `go_on` is nothing more, `reset` an RST, `close` a FIN, `hang` is that no byte goes by any more.
    Of a request that isn't whole at the point, Graph's side sees the end there as well; one that is
    takes effect, with its last byte `late_s` after the point.
    """

    method: str = "POST"
    times: int = 1
    """How many requests it befalls; 0 is every one."""
    side: Side = "request"
    at: str | int = "all"
    """A point by its name, or an offset; a negative one counts from the end."""
    pause_s: float = 0.0
    act: Act = "go_on"
    late_s: float = 0.0
    shape: Shape = AS_IT_IS
    """Of both sides."""
    strikes: bool = False
    """Whether who waits for it is told at the point, before anything else happens there."""
    gather: bool = False
    """Whether nothing of the request goes on to Graph before all of it has come."""

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
        if self.strikes:
            parts.append("struck")
        if self.gather:
            parts.append("gathered")
        if self.times != 1:
            parts.append(f"x{self.times}")
        return " ".join(parts)


NONE = WireFault()


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What of a head matters here."""

    raw: bytes
    method: str
    target: str
    body_bytes: int
    closes: bool
    """Whether the connection ends behind this message."""

    @classmethod
    def parse(cls, raw: bytes) -> "Head":
        """Read a request's or an answer's head; of an answer, `method` is its version."""
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
        """The whole message's size."""
        return len(self.raw) + self.body_bytes
