"""What every family draws from the seed."""

from collections.abc import Iterator, Sequence
from math import gcd, prod
from random import Random
from typing import Any, TypeVar

from tests.faults.timing import LATEST_S

T = TypeVar("T")

KINDS = ("file", "message", "event", "contact")

# Empty, the remainders of base64, several pieces of a body, and more than a socket's buffer.
SIZES = (0, 1, 2, 3, 100, 5_000, 60_000, 300_000, 700_000)
SIZE_WEIGHTS = (1, 1, 1, 1, 4, 4, 3, 2, 1)

# How long after the response Graph stores: from at once up to `LATEST_S`.
DELAYS_S = (0.0, 0.3 * LATEST_S, 0.7 * LATEST_S, LATEST_S)


def combination(number: int, *axes: Sequence[Any]) -> Iterator[Any]:
    """Give one value of each axis, so that successive numbers go through every combination.

    The numbers go through them in long strides, so that a few numbers have values of every kind.
    """
    combinations = prod(map(len, axes))
    stride = int(0.618 * combinations) or 1
    while gcd(stride, combinations) != 1:
        stride += 1
    number = number * stride % combinations
    for axis in axes:
        number, index = divmod(number, len(axis))
        yield axis[index]


def file(random: Random, **more: Any) -> dict[str, Any]:
    """Draw a file, sent by either RPC."""
    return {
        "rpc": random.choice(("upload", "upload", "create")),
        "size_bytes": random.choices(SIZES, SIZE_WEIGHTS)[0],
        **_any(random),
        **more,
    }


def anything(random: Random, **more: Any) -> dict[str, Any]:
    """Draw a file, or an item that Graph doesn't rewrite."""
    kind = random.choices(KINDS, (7, 1, 1, 1))[0]
    if kind == "file":
        return file(random, **more)
    return {"rpc": "create", "kind": kind, **_any(random), **more}


def _any(random: Random) -> dict[str, Any]:
    return {
        "with_id": random.random() < 0.7,
        "long_route": random.random() < 0.3,
        "again": random.random() < 0.4,
        "neighbours": random.choice((0, 0, 1, 3)),
    }
