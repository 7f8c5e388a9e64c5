"""The attempts of an entry as bytes, in which stores keep them."""

import math
import struct
from collections.abc import Iterator

from attachment_gateway.ledger.rules import Attempt

# When it began, when it settles, the wall clock (NaN for None), flags, and the sizes of two more:
# the baseline (-1 for None), and what was seen, which follow.
_HEAD = struct.Struct("<dddBiI")
_CREATED = 1
_ABSENT = 2
_NO_BASELINE = -1


def packed(attempts: tuple[Attempt, ...]) -> bytes:
    """Return the attempts as bytes."""
    return b"".join(map(_packed, attempts))


def _packed(attempt: Attempt) -> bytes:
    head = _HEAD.pack(
        attempt.began_at,
        attempt.settled_at,
        math.nan if attempt.wall_s is None else attempt.wall_s,
        attempt.created * _CREATED | attempt.absent * _ABSENT,
        _NO_BASELINE if attempt.baseline is None else len(attempt.baseline),
        len(attempt.seen),
    )
    return head + (attempt.baseline or b"") + attempt.seen


def unpacked(data: bytes) -> tuple[Attempt, ...]:
    """Return the attempts that `packed` has written."""
    return tuple(_unpacked(data)) if data else ()


def _unpacked(data: bytes) -> Iterator[Attempt]:
    at = 0
    while at < len(data):
        began_at, settled_at, wall_s, flags, size, seen_size = _HEAD.unpack_from(data, at)
        at += _HEAD.size
        baseline = None
        if size != _NO_BASELINE:
            baseline = data[at : at + size]
            at += size
        seen = data[at : at + seen_size]
        at += seen_size
        yield Attempt(
            began_at,
            settled_at,
            None if math.isnan(wall_s) else wall_s,
            created=bool(flags & _CREATED),
            absent=bool(flags & _ABSENT),
            baseline=baseline,
            seen=seen,
        )
