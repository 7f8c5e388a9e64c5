"""The plan of a run: sizes, contestants, scenarios, and amounts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Decimal: 1 KB is 1,000 bytes. 3 MB in base64 with its head is under Graph's 4,194,304 bytes.
KB, MB = 1000, 1000_000
SIZES = {"1KB": KB, "10KB": 10 * KB, "100KB": 100 * KB, "1MB": MB, "3MB": 3 * MB}
LARGE_BYTES = 3 * MB

KIB, MIB = 1024, 1024 * 1024
CHUNK_BYTES = 256 * KIB  # the contract recommends it; every ratio is measured with it
SMALL_CHUNK_BYTES = 64 * KIB

AT_ONCE = 8

ROUNDS, STARTS, MEMORY, BURST = "rounds", "starts", "memory", "burst"
ENDURANCE, BASELINE = "endurance", "baseline"
SCENARIOS = {
    ROUNDS: "CPU, throughput and latency of every contestant, size and chunk",
    STARTS: "from the start of a process to its first answer",
    MEMORY: "peak memory for each upload in flight, against a Graph that is slow to answer",
    BURST: "200 uploads of 3 MB at once, with 64 MiB for uploads, against the same",
    BASELINE: "CPU and latency with each setting of baseline, against a Graph that takes 100 ms",
    ENDURANCE: "memory after 5,000 uploads of 100 KB, and after 500",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """The amounts of a run; the defaults are of a full run.

    `most_uploads` is the number of uploads of the smallest file in a round; larger files get fewer.
    """

    rounds: int = 7
    most_uploads: int = 160
    starts: int = 5
    in_flight: int = 32
    burst: int = 200
    delay_s: float = 2.0
    endured_first: int = 500
    endured: int = 5000


QUICK = Amounts(
    rounds=2,
    most_uploads=8,
    starts=1,
    in_flight=4,
    burst=8,
    delay_s=0.2,
    endured_first=20,
    endured=40,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A run; `against` is another tree's `service` folder."""

    sizes: Sequence[int]
    contestants: Sequence[str]
    scenarios: Sequence[str]
    amounts: Amounts
    against: Path | None = None
    echo: bool = False


def size_name(size_bytes: int) -> str:
    """Return a size as text, such as "10 KB"."""
    unit, name = (MB, "MB") if size_bytes >= MB else (KB, "KB")
    return f"{size_bytes / unit:g} {name}"


def chunks_of(size_bytes: int) -> Sequence[int]:
    """Return the chunk sizes that differ for a file of `size_bytes`."""
    return [CHUNK_BYTES] if size_bytes <= SMALL_CHUNK_BYTES else [SMALL_CHUNK_BYTES, CHUNK_BYTES]
