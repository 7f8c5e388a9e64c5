"""Cases in which Graph, what lies before it, or another client does what users report."""

from random import Random
from typing import Any

from graph_emulator.faults import Fault, FaultAnswer
from tests.faults.cases import BASELINES, Twin
from tests.faults.draws import KINDS, anything, combination, file
from tests.faults.families_graph import STORES, unclear_first
from tests.faults.timing import DEADLINE_S, LATEST_S

_ODD = ("odd", "odd names", "odd bytes", "odd ids", "no content")
_CLOCKS = (
    *("stamps behind", "stamps ahead", "date behind", "date ahead", "no stamps"),
    *("ahead", "behind"),
)


def odd(number: int, random: Random) -> dict[str, Any]:
    """Graph shows types, names, ids, items or files otherwise than they were sent."""
    baseline, environment, kind, store = combination(number, BASELINES, _ODD, KINDS, STORES)
    made = file(random) if kind == "file" else anything(random, kind=kind, rpc="create")
    made["rich"] = random.random() < 0.5
    # A name that is left out, or an id, makes another attachment of one that is ours.
    hides = environment in ("odd names", "odd ids")
    return {
        **made,
        "baseline": baseline,
        "environment": environment,
        "faults": (unclear_first(store, random),),
        "truth": "never" if hides else "by baseline",
    }


def clocks(number: int, random: Random) -> dict[str, Any]:
    """Graph's stamps and its `Date` differ from the gateway's clock and from each other."""
    baseline, environment, store = combination(number, BASELINES, _CLOCKS, STORES)
    old = Twin(random.choice((3.0, 600.0)), same_name=random.random() < 0.5)
    return {
        **file(random),
        "baseline": baseline,
        "environment": environment,
        "faults": (unclear_first(store, random),),
        "twins": (old,) if random.random() < 0.5 else (),
        # By a clock that is an hour off, nothing shows when an attachment came. Without a usable
        # stamp it has to be listed before the window ends.
        "truth": "never"
        if environment in ("ahead", "behind") or store[1] == LATEST_S
        else "by baseline",
    }


def lists(number: int, random: Random) -> dict[str, Any]:
    """Lists come from a cache, in another order each time, late, or in parts."""
    how, store = combination(
        number,
        (
            *({"next_link": "http://[::1"}, {"next_link": "not a url"}, {"next_link": "{url}"}),
            *({"next_link": "https://graph.example/v1.0/me?a=b"}, {"age_s": 9}),
            *({"elements": "null"}, {"elements": "number"}, {"elements": "id null"}),
            {"elements": "flood"},
            *({"partial": True}, "list lag", "shuffled", "cached"),
        ),
        STORES,
    )
    made = file(random, twins=(Twin(600.0, same_name=False),))
    first = unclear_first(store, random)
    if isinstance(how, str):
        return {**made, "environment": how, "faults": (first,), "truth": "never"}
    # A list that leaves something out without a sign each time breaks the promise's conditions.
    times = (1, 2, 3) if "partial" in how else (1, 2, 3, 0)
    read = Fault(method="GET", times=random.choice(times), **how)
    # A list that leaves something out, or shows an id that isn't there, can't be seen to be wrong.
    is_seen = not ({"elements", "partial"} & set(how))
    return {
        **made,
        "faults": (first, read),
        "truth": "later" if is_seen else "never",
        "deadline_s": DEADLINE_S if read.times else 5.0,
    }


def proxies(number: int, random: Random) -> dict[str, Any]:
    """A proxy answers a POST with a success of its own, or Graph puts an error into a 2XX."""
    answer, store = combination(
        number,
        (
            FaultAnswer(status=200, body=b"<html>Sign in</html>", content_type="text/html"),
            FaultAnswer(status=200, body=b'{"name":"portal"}', graph_headers=False),
            FaultAnswer(status=204, content_type=None, graph_headers=False),
            FaultAnswer(status=200, code="UnknownError", message="Sorry."),
            FaultAnswer(status=201, body=b'{"error":{"code":"x"}}', graph_headers=False),
            FaultAnswer(status=407, body=b"Proxy", content_type="text/html", graph_headers=False),
            FaultAnswer(status=421),
            FaultAnswer(status=425),
        ),
        STORES,
    )
    is_refusal = answer.status >= 400
    is_graphs = answer.status == 200 and answer.graph_headers and not answer.code
    fault = Fault(
        answer=answer,
        store="never" if is_refusal else store[0],
        store_after_s=0.0 if is_refusal else store[1],
    )
    # A success of Graph's that can't be read is one, and so it is never ruled out.
    is_acknowledged = is_graphs and store[0] == "never"
    return {
        **anything(random),
        "faults": (fault,),
        "truth": "never" if is_acknowledged else "known",
    }


def others(number: int, random: Random) -> dict[str, Any]:
    """Another client attaches the same bytes in the window of the attempt, or after it."""
    baseline, ago_s, same_name, store = combination(
        number, BASELINES, (-0.05, -0.4, -0.8, -1.6, -4.0), (True, False), STORES
    )
    return {
        **file(random),
        "baseline": baseline,
        "faults": (unclear_first(store, random),),
        "twins": (Twin(ago_s, same_name=same_name),),
        "again": True,
        "truth": "never",
    }
