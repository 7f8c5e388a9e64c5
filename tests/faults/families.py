"""The families of cases, and the number of cases of each.

A family makes a case from its number: the axes that matter are gone through combination by
combination, and everything else is drawn from the seed. So a case can be made alone, and a short
campaign has some of each family.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from tests.faults import families_graph, families_odd, families_process, families_wire
from tests.faults.cases import BASELINES, Case

Make = Callable[[int, Random], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Family:
    """A family of cases; `weight` is its number of cases in a campaign of 3,000."""

    weight: int
    make: Make
    about: str
    needs_ledger: bool = False


FAMILIES: Mapping[str, Family] = {
    "wire": Family(500, families_wire.wire, "a POST broken at every point of the protocol"),
    "offset": Family(140, families_wire.offset, "a POST broken at any byte"),
    "late": Family(80, families_wire.late, "a POST whose end reaches Graph after the break"),
    "shape": Family(70, families_wire.shape, "slow, narrow and sliced connections"),
    "connect": Family(60, families_wire.connect, "connections that come to nothing"),
    "status": Family(300, families_graph.status, "every status, stored, not stored, stored later"),
    "broken": Family(100, families_graph.broken, "a 2XX that can't be read, and answers cut"),
    "look-up": Family(200, families_graph.look_up, "look-ups that fail"),
    "lag": Family(60, families_graph.lag, "look-ups that see the past"),
    "pages": Family(60, families_graph.pages, "look-ups by pages"),
    "items": Family(90, families_graph.items, "items, rewritten and verbatim"),
    "twins": Family(80, families_graph.twins, "the same bytes, there before"),
    "odd": Family(330, families_odd.odd, "a Graph that shows what it stored in other ways"),
    "clocks": Family(120, families_odd.clocks, "stamps and Date that lag, lead, or are missing"),
    "lists": Family(150, families_odd.lists, "lists that aren't whole"),
    "proxies": Family(90, families_odd.proxies, "2XX of a proxy, or with an error in it"),
    "others": Family(150, families_odd.others, "twins by another client in and after the window"),
    "steps": Family(30, families_process.steps, "wall clocks that step at one of two replicas"),
    "vanished": Family(
        20, families_process.vanished, "a ledger's file that vanishes", needs_ledger=True
    ),
    "sticky": Family(90, families_graph.sticky, "a clear no behind an unclear outcome"),
    "deadline": Family(60, families_graph.deadline, "deadlines that are too short"),
    "cancel": Family(70, families_process.cancel, "callers that cancel"),
    "together": Family(
        50, families_process.together, "the same bytes twice, on purpose", needs_ledger=True
    ),
    "same": Family(50, families_process.same, "one request id at two replicas", needs_ledger=True),
    "redis": Family(20, families_process.redis, "the two above, on Redis", needs_ledger=True),
    "kill": Family(40, families_process.kill, "kill -9, restart, repeat"),
    "term": Family(20, families_process.term, "SIGTERM, restart, repeat"),
    "burst": Family(1, families_process.burst, "sockets and memory after bursts of cancels"),
    "pause": Family(12, families_process.pause, "a holder that stands still", needs_ledger=True),
}


def case(seed: str, family: str, number: int) -> Case:
    """Make one case."""
    own = f"{seed}/{family}/{number}"
    made = {
        "baseline": Random(f"{own}/baseline").choice(BASELINES),
        **FAMILIES[family].make(number, Random(own)),
    }
    if made.get("truth") == "by baseline":
        has_baseline = made["baseline"] == "always" and made.get("with_id", True)
        made["truth"] = "known" if has_baseline else "never"
    return Case(family=family, number=number, seed=own, **made)


def cases(seed: str, count: int, only: Sequence[str] = ()) -> Iterator[Case]:
    """Make about `count` cases, at least one of each family; yield those that match `only`."""
    total = sum(family.weight for family in FAMILIES.values())
    for name, family in FAMILIES.items():
        for number in range(max(1, -(-family.weight * count // total))):
            made = case(seed, name, number)
            if not only or any(asked(made, pattern) for pattern in only):
                yield made


def asked(made: Case, pattern: str) -> bool:
    """Return whether a pattern matches this case's id or its description."""
    return fnmatchcase(made.id, pattern) or fnmatchcase(str(made), f"*{pattern}*")
