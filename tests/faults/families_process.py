"""Cases in which callers cancel, gateways end or stop, or there are several of them."""

from random import Random
from typing import Any

from graph_emulator.faults import Fault, FaultAnswer, Store
from tests.faults.draws import DELAYS_S, anything, combination, file
from tests.faults.families_graph import STORES, nth_look, unclear_first
from tests.faults.wire_faults import WireFault

# Where a gateway gets its signal: among the chunks, just after, in the exchange with Graph, ...
SIGNAL_POINTS: tuple[tuple[str, WireFault | None], ...] = (
    ("chunks", None),
    ("soon", None),
    ("wire", WireFault(calls_hook=True, at="nothing")),
    ("wire", WireFault(calls_hook=True, at="body_middle")),
    ("wire", WireFault(calls_hook=True, at="body_last")),
    ("wire", WireFault(calls_hook=True, at="all")),
    ("wire", WireFault(calls_hook=True, at="all", act="hang", late_s=DELAYS_S[2])),
    ("wire", WireFault(calls_hook=True, side="answer", at="nothing")),
    ("wire", WireFault(calls_hook=True, side="answer", at="body_middle")),
    ("settling", WireFault(calls_hook=True, side="answer", at="all")),
    ("answered", None),
)


def cancel(number: int, random: Random) -> dict[str, Any]:
    """A caller cancels one or more times, perhaps during a look-up, and then repeats."""
    how, store = combination(number, ("clear", "unclear", "slow", "hang", 1, 2, 3, 4), STORES)
    if isinstance(how, int):
        return _cancel_at_a_look(how, store, random)
    faults: tuple[Fault | WireFault, ...] = {
        "clear": (),
        "unclear": (unclear_first(store, random),),
        "slow": (WireFault(at="body_middle", pause_s=0.3),),
        "hang": (WireFault(side="answer", at="nothing", act="hang"),),
    }[how]
    most_s = 0.05 if how == "clear" else 1.5
    moments = tuple(round(random.uniform(0, most_s), 3) for _ in range(random.randrange(1, 5)))
    made = anything(random, faults=faults, moments=moments)
    return {**made, "script": "cancelled", "truth": "later"}


def _cancel_at_a_look(which: int, store: tuple[Store, float], random: Random) -> dict[str, Any]:
    faults = (unclear_first(store, random), *nth_look(which, calls_hook=True, pause_s=0.1))
    made = anything(random, faults=faults, at="wire")
    return {**made, "script": "cancelled", "truth": "later"}


# Faults without effect that the first POST uses up, so that the second gets the next fault.
SPARED = (WireFault(), Fault(store="before"))


def together(number: int, random: Random) -> dict[str, Any]:
    """Two callers attach the same bytes at once, and one of them gets a fault."""
    other, store, spared = combination(number, ("", "other without id"), STORES, (0, 2))
    faults = () if number % 6 == 5 else (*SPARED[:spared], unclear_first(store, random))
    return {
        **file(random),
        "environment": "replicas",
        "script": "together",
        "at": other,
        "faults": faults,
    }


def same(number: int, random: Random) -> dict[str, Any]:
    """Two replicas get the same request id at once, perhaps with a fault."""
    (store,) = combination(number, STORES)
    faults = () if number % 3 == 0 else (unclear_first(store, random),)
    return {
        **anything(random),
        "environment": "replicas",
        "script": "same",
        "with_id": True,
        "faults": faults,
        "truth": "later",
    }


def redis(number: int, random: Random) -> dict[str, Any]:
    """The families `together` and `same`, with a ledger in Redis."""
    made = together(number // 2, random) if number % 2 else same(number // 2, random)
    return {**made, "environment": "replicas on redis"}


def kill(number: int, random: Random) -> dict[str, Any]:
    """SIGKILL at some point of the call, and the repeat at another gateway."""
    return _signalled("kill", number, random)


def term(number: int, random: Random) -> dict[str, Any]:
    """SIGTERM at some point of the call, and the repeat at another gateway."""
    return _signalled("term", number, random)


def _signalled(script: str, number: int, random: Random) -> dict[str, Any]:
    ((at, fault),) = combination(number, SIGNAL_POINTS)
    faults: tuple[WireFault | Fault, ...] = () if fault is None else (fault,)
    if at == "settling":
        store, after_s = random.choice(STORES)
        gone = FaultAnswer(status=504, code="UnknownError")
        faults += (Fault(store=store, store_after_s=after_s, answer=gone),)
    made = anything(random) if at not in ("chunks", "soon") else file(random, rpc="upload")
    return {
        **made,
        "script": script,
        "at": at,
        "faults": faults,
        "with_id": random.random() < 0.9,
        "truth": "later",
    }


def burst(number: int, random: Random) -> dict[str, Any]:
    """Bursts of cancels, on posts of their own."""
    return {"script": "burst", "size_bytes": 300_000, "truth": "later"}


def steps(number: int, random: Random) -> dict[str, Any]:
    """The wall clock of one of two replicas steps while a request is out."""
    step_s, store = combination(number, (120.0, -120.0, 86_400.0, 3.0, -3.0), STORES)
    faults: tuple[WireFault | Fault, ...] = (
        (WireFault(side="answer", at="nothing", calls_hook=True, pause_s=0.7),),
        (unclear_first(store, random), *nth_look(1, calls_hook=True)),
        (
            WireFault(side="answer", at="all", calls_hook=True),
            Fault(store="after", store_after_s=DELAYS_S[2], answer=FaultAnswer(status=503)),
        ),
    )[number % 3]
    return {
        **anything(random),
        "script": "steps",
        "faults": faults,
        "moments": (random.choice((0.0, step_s)), step_s),
        "with_id": True,
        "truth": "never",
    }


def vanished(number: int, random: Random) -> dict[str, Any]:
    """The ledger's file vanishes after a call, or in the middle of one."""
    how, at = combination(number, ("delete", "move", "replace", "truncate"), ("wire", "answered"))
    hold = WireFault(side="answer", at="nothing", calls_hook=True, pause_s=0.3)
    return {
        **anything(random),
        "script": f"{how} ledger",
        "at": at,
        "faults": (hold,) if at == "wire" else (),
        "with_id": True,
        "truth": "never",
    }


# Graph's front end passes only whole requests to the mailbox, so these are gathered.
PAUSES = (
    WireFault(calls_hook=True, at="body_first", gather=True),
    WireFault(calls_hook=True, at="body_middle", gather=True),
    WireFault(calls_hook=True, at="all", gather=True),
    WireFault(calls_hook=True, at="all", act="hang", late_s=DELAYS_S[2]),
    WireFault(calls_hook=True, side="answer", at="nothing"),
    WireFault(calls_hook=True, side="answer", at="body_middle"),
)


def pause(number: int, random: Random) -> dict[str, Any]:
    """SIGSTOP past the lease while another replica gets the repeat; then SIGCONT."""
    fault, size_bytes = combination(number, PAUSES, (3_000_000, 5_000))
    return {
        **file(random),
        "rpc": "upload",
        # The large one exceeds the buffers on the way, so its end is not sent yet.
        "size_bytes": size_bytes,
        "script": "pause",
        "at": "wire",
        "faults": (fault,),
        "with_id": True,
        "truth": "later",
    }
