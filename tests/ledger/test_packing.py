"""ledger.packing: attempts as bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.ledger.packing import packed, unpacked
from attachment_gateway.ledger.rules import Attempt

finite = st.floats(allow_nan=False, allow_infinity=False)
attempts = st.builds(
    Attempt,
    began_at=finite,
    settled_at=finite,
    wall_s=st.none() | finite,
    created=st.booleans(),
    absent=st.booleans(),
    baseline=st.none() | st.binary(max_size=8000),
    seen=st.binary(max_size=80),
)


@given(st.lists(attempts, max_size=5).map(tuple))
def test_attempts_are_unpacked_as_they_were_packed(given_attempts: tuple[Attempt, ...]) -> None:
    """Unpacking gives back what was packed, an empty baseline and none told apart."""
    assert unpacked(packed(given_attempts)) == given_attempts


def test_no_attempts_take_no_bytes() -> None:
    """An entry without attempts, as most ended ones are, stores nothing for them."""
    assert packed(()) == b""


@pytest.mark.parametrize(
    ("attempt", "data"),
    [
        (
            Attempt(1.0, 2.0, None, created=True, absent=False, baseline=None),
            "000000000000f03f0000000000000040000000000000f87f01ffffffff00000000",
        ),
        (
            Attempt(1.0, 2.0, 2.0, created=False, absent=True, baseline=b"id", seen=b"x"),
            "000000000000f03f000000000000004000000000000000400202000000010000006964" + "78",
        ),
    ],
)
def test_the_bytes_of_an_attempt(attempt: Attempt, data: str) -> None:
    """The layout is fixed: three doubles, the flags, two sizes, the baseline, what was seen."""
    assert packed((attempt,)).hex() == data
