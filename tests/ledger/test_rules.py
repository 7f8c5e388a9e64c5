"""ledger: any sequence of calls gives the same results in all three ledgers."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from attachment_gateway.ledger import (
    EndedAbsent,
    EndedCreated,
    EndedUnchanged,
    EndedUnknown,
    Lease,
    Sending,
)
from tests.support.three_ledgers import empty_ledgers

# Leases with the same request id, with none, with another content, another post, another id.
LEASES = [
    *(Lease(holder=f"r1-{n}", post="p", request_id="r1", fingerprint=b"f") for n in range(3)),
    *(Lease(holder=f"none-{n}", post="p") for n in range(2)),
    Lease(holder="reused", post="p", request_id="r1", fingerprint=b"g"),
    Lease(holder="elsewhere", post="q", request_id="r1", fingerprint=b"f"),
    *(Lease(holder=f"r2-{n}", post="p", request_id="r2", fingerprint=b"f") for n in range(2)),
]

# Below and at the lease of 10 s, the settling of 15 s, both and more; around the 1000 s retention.
SPANS_S = [0.5, 4.0, 10.0, 15.0, 30.0, 999.5, 1015.0, 1030.0]
SETTLED_IN_S = st.sampled_from([-1.0, 0.0, 15.0, 75.0, 2000.0])

Step = tuple[str, tuple[Any, ...], dict[str, Any]]

ends = st.one_of(
    st.builds(EndedCreated, st.sampled_from(["x", "y"])),
    st.just(EndedAbsent()),
    st.just(EndedUnchanged()),
    st.just(EndedUnchanged()),
    st.builds(EndedUnknown, settles_in_s=SETTLED_IN_S, created=st.booleans()),
)
leases = st.sampled_from(LEASES)


def step(name: str, *args: Any, **kwargs: Any) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.tuples(*args), st.fixed_dictionaries(kwargs))


sendings = st.builds(
    Sending,
    settles_in_s=SETTLED_IN_S,
    wall_s=st.sampled_from([0.0, 1_795_000_000.0]),
    baseline=st.sampled_from([None, b"", b"ids"]),
    turn=st.sampled_from([None, 0, 1, 2]),
)
acquire = step("acquire", leases, sending=st.one_of(st.none(), sendings))
steps = st.one_of(
    acquire,
    acquire,
    step("find", leases),
    step("look", leases),
    step("renew", leases, settles_in_s=st.one_of(st.none(), SETTLED_IN_S)),
    step("record_sending", leases, sendings),
    step("record_absent", leases),
    step("release", leases, ends),
    step("claimed", st.sampled_from(["p", "q"])),
    step("after", st.sampled_from(SPANS_S)),
)


async def results_of(kind: str, path: Path, url: str, to_run: list[Step]) -> list[object]:
    """Run the steps, alternating between two processes' ledgers, and return their results."""
    results: list[object] = []
    async with empty_ledgers(kind, path, url) as ledgers:
        opened = [await ledgers.open(), await ledgers.open()]
        for number, (name, args, kwargs) in enumerate(to_run):
            ledger = ledgers if name == "after" else opened[number % 2]
            results.append(await getattr(ledger, name)(*args, **kwargs))
    return results


R1, R1_AGAIN = LEASES[:2]
TAKEN_OVER: list[Step] = [
    ("acquire", (R1,), {}),
    ("record_sending", (R1, Sending(settles_in_s=75.0, wall_s=0.0)), {}),
    ("after", (10.0,), {}),
    ("acquire", (R1_AGAIN,), {}),
    ("release", (R1, EndedCreated("x")), {}),
    ("renew", (R1_AGAIN,), {}),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqlite"])
def test_every_ledger_agrees_with_the_one_in_memory(
    kind: str, request: pytest.FixtureRequest
) -> None:
    """Random steps with nine leases give the same results as in the ledger in memory."""
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""

    @hypothesis_settings(max_examples=200)
    @given(st.lists(steps, min_size=5, max_size=60))
    @example(TAKEN_OVER)
    def agrees(to_run: list[Step]) -> None:
        with TemporaryDirectory() as directory:
            path = Path(directory, "ledger.sqlite3")
            wanted = asyncio.run(results_of("memory", path, "", to_run))
            assert asyncio.run(results_of(kind, path, url, to_run)) == wanted

    agrees()
