"""Cases that break the connection to Graph."""

from random import Random
from typing import Any

from tests.faults.draws import DELAYS_S, anything, combination, file
from tests.faults.timing import GRAPH_TIMEOUT_S
from tests.faults.wire_faults import POINTS, Act, Shape, Side, WireFault

SIDES: tuple[Side, ...] = ("request", "answer")
ACTS: tuple[Act, ...] = ("reset", "close", "hang")


def wire(number: int, random: Random) -> dict[str, Any]:
    """Break a POST, and perhaps a look-up after it, at a named point."""
    at, act, side, times = combination(number, tuple(POINTS), ACTS, SIDES, (1, 1, 2, 0))
    made = file(random) if number % 3 else anything(random)
    faults = [WireFault(side=side, at=at, act=act, times=times, pause_s=_pause_s(random))]
    if random.random() < 0.15:
        faults.append(_broken_read(random))
    return {
        **made,
        "faults": tuple(faults),
        "truth": "known" if times else "later",
        **_short(times),
    }


def _short(times: int) -> dict[str, Any]:
    """Shorten the deadline if the fault never ends."""
    return {} if times else {"deadline_s": 6.0}


def _pause_s(random: Random) -> float:
    """Draw a wait before the break: mostly none, else below or above Graph's timeout."""
    return random.choice((0.0, 0.0, 0.0, 0.2, 1.2 * GRAPH_TIMEOUT_S))


def _broken_read(random: Random) -> WireFault:
    return WireFault(
        method="GET",
        side=random.choice(SIDES),
        at=random.choice(tuple(POINTS)),
        act=random.choice(ACTS),
        times=random.choice((1, 2)),
    )


def offset(number: int, random: Random) -> dict[str, Any]:
    """Break a POST at a byte, most often near the end of a part."""
    side, act = combination(number, SIDES, ACTS)
    at = random.choice(
        (random.randrange(700), random.randrange(3000), -1 - random.randrange(40), -2, -1)
    )
    fault = WireFault(side=side, at=at, act=act, times=random.choice((1, 1, 2)))
    return {**anything(random), "faults": (fault,)}


def late(number: int, random: Random) -> dict[str, Any]:
    """The gateway sees a break; Graph gets the end of the request later and acts on it."""
    act, late_s, again = combination(number, ACTS, DELAYS_S, (False, True))
    fault = WireFault(at="all", act=act, late_s=late_s)
    faults = (fault, WireFault(side="answer", at="nothing", act=act)) if again else (fault,)
    return {**anything(random), "faults": faults}


def shape(number: int, random: Random) -> dict[str, Any]:
    """Nothing breaks, but the connection is slow or pauses."""
    made = anything(random)
    size = max(int(made.get("size_bytes", 300)), 300)
    fault = combination(
        number,
        (
            WireFault(shape=Shape(latency_s=0.05)),
            WireFault(shape=Shape(bytes_per_s=4 * size)),
            WireFault(shape=Shape(slice_bytes=max(size // 200, 1))),
            WireFault(shape=Shape(bytes_per_s=2 * size, slice_bytes=max(size // 40, 1))),
            WireFault(side="answer", at="all", pause_s=0.5, act="close"),
            WireFault(side="answer", at="head", pause_s=0.6),
            WireFault(at="body_middle", pause_s=0.6),
            WireFault(at="body_middle", pause_s=1.5 * GRAPH_TIMEOUT_S),
        ),
    )
    return {**made, "faults": tuple(fault)}


def connect(number: int, random: Random) -> dict[str, Any]:
    """The requests have no faults; the environment's connections fail."""
    return {**anything(random), "environment": "connections"}
