"""ledger: whatever is done to them, the three say the same."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from attachment_gateway.ledger import EndedAbsent, EndedCreated, EndedUnchanged, EndedUnknown, Lease
from tests.support.three_ledgers import empty_ledgers

# Calls with the same request id, with none, with another content, another post, another id.
PLACES = [
    *(Lease(holder=f"r1-{n}", post="p", request_id="r1", fingerprint=b"f") for n in range(3)),
    *(Lease(holder=f"none-{n}", post="p") for n in range(2)),
    Lease(holder="reused", post="p", request_id="r1", fingerprint=b"g"),
    Lease(holder="elsewhere", post="q", request_id="r1", fingerprint=b"f"),
    *(Lease(holder=f"r2-{n}", post="p", request_id="r2", fingerprint=b"f") for n in range(2)),
]

# Less than a lease, one, the settling, more than both together, the retention of 1000 s and more.
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
places = st.sampled_from(PLACES)


def step(name: str, *args: Any, **kwargs: Any) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), st.tuples(*args), st.fixed_dictionaries(kwargs))


acquire = step("acquire", places, settles_in_s=st.one_of(st.none(), SETTLED_IN_S))
steps = st.one_of(
    acquire,
    acquire,
    step("find", places),
    step("renew", places),
    step("record_sending", places, settles_in_s=SETTLED_IN_S, is_new_attempt=st.booleans()),
    step("release", places, ends),
    step("claimed", st.sampled_from(["p", "q"])),
    step("after", st.sampled_from(SPANS_S)),
)


async def answers(kind: str, path: Path, url: str, todo: list[Step]) -> list[object]:
    """Do it all, by turns in two processes' ledgers; what they say."""
    said: list[object] = []
    async with empty_ledgers(kind, path, url) as ledgers:
        each_way = [await ledgers.open(), await ledgers.open()]
        for number, (name, args, kwargs) in enumerate(todo):
            ledger = ledgers if name == "after" else each_way[number % 2]
            said.append(await getattr(ledger, name)(*args, **kwargs))
    return said


R1, R1_AGAIN = PLACES[:2]
TAKEN_OVER: list[Step] = [
    ("acquire", (R1,), {}),
    ("record_sending", (R1,), {"settles_in_s": 75.0, "is_new_attempt": True}),
    ("after", (10.0,), {}),
    ("acquire", (R1_AGAIN,), {}),
    ("release", (R1, EndedCreated("x")), {}),
    ("renew", (R1_AGAIN,), {}),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["sqlite", "redis"])
def test_it_says_what_the_one_in_memory_says(kind: str, request: pytest.FixtureRequest) -> None:
    """A random life of nine leases, on the same clock."""
    url = request.getfixturevalue("redis_url") if kind == "redis" else ""

    @hypothesis_settings(max_examples=200)
    @given(st.lists(steps, min_size=5, max_size=60))
    @example(TAKEN_OVER)
    def agrees(todo: list[Step]) -> None:
        with TemporaryDirectory() as directory:
            path = Path(directory, "ledger.sqlite3")
            wanted = asyncio.run(answers("memory", path, "", todo))
            assert asyncio.run(answers(kind, path, url, todo)) == wanted

    agrees()
