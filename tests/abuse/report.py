"""The table of the rows, for people."""

from collections.abc import Iterator, Sequence

from tests.abuse.rows import ABOVE_IDLE_BYTES, OTHER_MEMORY_BYTES, UPLOAD_MEMORY_BYTES, Row
from tests.abuse.traffic import MIB
from tests.support.stalls import WANTED_BELOW_S

HEADINGS = ("honest", "p99 ms", "alone", "MiB", "limit", "stall ms", "late ms", "CPU", "its CPU")

_NAME = 30


def wanted() -> str:
    """Return what is wanted of each row, and what the columns are."""
    return (
        f"honest: calls that succeeded, of all; wanted: all. p99: the time of 99 % of them, beside "
        f"that without an attack; not judged.\n"
        f"MiB: the gateway's peak memory above idle; wanted: at most the limit "
        f"(--upload-memory-bytes, {UPLOAD_MEMORY_BYTES / MIB:.0f}, and "
        f"{OTHER_MEMORY_BYTES / MIB:.0f}).\n"
        f"stall: the event loop's longest stall; wanted: below {WANTED_BELOW_S * 1000:.0f}. late: "
        f"with what the machine added.\n"
        f"CPU: of the gateway and of the attacker, in processors."
    )


def heading() -> str:
    """Return the line of headings."""
    return _line("attack", HEADINGS)


def line(row: Row, alone: Row) -> str:
    """Return a row's line; `alone` is the row of the honest callers alone."""
    if row.failed:
        return f"{row.name:{_NAME}} {row.failed}"
    honest = row.honest
    return _line(
        row.name,
        (
            f"{honest.succeeded}/{honest.calls}",
            f"{honest.p99_s * 1000:.0f}",
            f"{alone.honest.p99_s * 1000:.0f}",
            f"{row.above_idle_bytes / MIB:.0f}",
            f"{ABOVE_IDLE_BYTES / MIB:.0f}",
            f"{row.stall.own_s * 1000:.0f}",
            f"{row.stall.late_s * 1000:.0f}",
            f"{row.gateway_cpu:.2f}",
            f"{row.attacker_cpu:.2f}",
        ),
    ) + ("  RED" if list(row.broken()) else "")


def details(rows: Sequence[Row]) -> Iterator[str]:
    """Yield what each attack was and saw, and what is not as wanted."""
    for row in rows:
        about = row.attack.about if row.attack else "the honest callers alone"
        yield f"\n{row.name}: {about}"
        if row.outcome.notes:
            yield f"    {row.outcome.notes}"
        yield from (f"    RED: {what}" for what in row.broken())


def _line(name: str, cells: Sequence[str]) -> str:
    return f"{name:{_NAME}}" + "".join(f"{cell:>10}" for cell in cells)
