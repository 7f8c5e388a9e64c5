"""Cases in which Graph's responses are wrong, or show what is stored in other ways."""

from random import Random
from typing import Any

from graph_emulator.faults import Fault, FaultAnswer, Store
from tests.faults.cases import Twin
from tests.faults.draws import DELAYS_S, KINDS, anything, combination, file
from tests.faults.timing import CLOCK_SKEW_S, GRAPH_TIMEOUT_S, LATEST_S
from tests.faults.wire_faults import WireFault

# By these statuses Graph says that it created nothing, which the gateway believes.
DEFINITE = (
    *(300, 301, 302, 303, 304, 307, 308),
    *(400, 401, 402, 403, 404, 405, 406, 409, 410, 411, 412, 413, 415, 416, 422, 423, 429),
    *(501, 507),
)
# By these statuses it doesn't say whether it created anything.
UNCLEAR = (408, 500, 502, 503, 504, 509, 520, 599)

# By these statuses it says that a later request may succeed.
_FOR_NOW = {409, 412, 429, 404}

STORES: tuple[tuple[Store, float], ...] = (
    ("never", 0.0),
    ("before", 0.0),
    *(("after", delay_s) for delay_s in DELAYS_S),
)


def status(number: int, random: Random) -> dict[str, Any]:
    """A status to the POST; an unclear one with the attachment stored now, later, or never."""
    if number % 3 == 0:
        return _definite(number // 3, random)
    code, (store, after_s) = combination(number - number // 3 - 1, UNCLEAR, STORES)
    made = anything(random)
    fault = Fault(
        store=store,
        store_after_s=after_s,
        answer=_answer(code, random),
        delay_s=random.choice((0.0, 0.1)) if after_s < LATEST_S - 0.1 else 0.0,
        headers=_retry_after(random),
        times=random.choice((1, 1, 1, 2)) if store == "never" else 1,
    )
    return {**made, "faults": (fault,)}


def _definite(number: int, random: Random) -> dict[str, Any]:
    code, times = combination(number, DEFINITE, (1, 2, 0))
    fault = Fault(
        answer=_answer(code, random),
        early=random.random() < 0.2,
        times=times,
        headers=_retry_after(random) if code == 429 else {},
    )
    return anything(random, faults=(fault,), deadline_s=5.0 if code in _FOR_NOW else 20.0)


def _answer(code: int, random: Random) -> FaultAnswer:
    shape = random.randrange(4)
    if shape == 0 or code == 304:  # a 304 has no body (RFC 9110, 15.4.5)
        return FaultAnswer(status=code)
    if shape == 1:
        page = b"<html><body>Bad Gateway</body></html>"
        return FaultAnswer(status=code, body=page, content_type="text/html", graph_headers=False)
    return FaultAnswer(status=code, code=random.choice(("UnknownError", "Other")), message="Sorry.")


def _retry_after(random: Random) -> dict[str, str]:
    value = random.choice((None, None, "0", "0.3", "1", "0,1"))
    return {} if value is None else {"Retry-After": value}


def broken(number: int, random: Random) -> dict[str, Any]:
    """A success that can't be read, and responses that end in the middle."""
    kind, store = combination(
        number,
        (
            *("truncated", "garbage", "empty", "{}", "text", "no content", "mid", "mid RST", "cut"),
            *("tiny elements", "deep", "oversized"),
        ),
        (("before", 0.0), ("after", 0.0), ("after", LATEST_S), ("before", 0.0)),
    )
    how: dict[str, Any] = {"store": store[0], "store_after_s": store[1]}
    breaks: dict[str, dict[str, Any]] = {
        "truncated": {"broken": "truncated"},
        "garbage": {"broken": "garbage"},
        **{each: {"broken": each} for each in ("tiny elements", "deep", "oversized")},
        "empty": {"answer": FaultAnswer(status=201)},
        "{}": {"answer": FaultAnswer(status=200, body=b"{}")},
        "text": {"answer": FaultAnswer(status=202, body=b"Accepted", content_type="text/plain")},
        "no content": {"answer": FaultAnswer(status=204, content_type=None)},
        "mid": {"cut": "mid_answer"},
        "mid RST": {"cut": "mid_answer", "reset": True},
        "cut": {"cut": "before_answer", "reset": random.random() < 0.5},
    }
    how |= breaks[kind]
    if number % 7 == 6 and "answer" in how:  # acknowledges what it never stores
        return {
            **anything(random),
            "faults": (Fault(**{**how, "store": "never"}),),
            "truth": "never",
        }
    return {**anything(random), "faults": (Fault(**how),)}


def unclear_first(store: tuple[Store, float], random: Random) -> Fault | WireFault:
    """Return a fault that makes the first attempt's outcome unclear."""
    if store[0] == "before" and random.random() < 0.3:
        return WireFault(side="answer", at="nothing", act="reset")
    return Fault(
        store=store[0],
        store_after_s=store[1],
        answer=FaultAnswer(status=random.choice((500, 502, 503, 504)), code="UnknownError"),
    )


def nth_look(which: int, **how: Any) -> tuple[WireFault, ...]:
    """Return faults that hit one look-up only, counted from 1."""
    before = (WireFault(method="GET", times=which - 1),) if which > 1 else ()
    return (*before, WireFault(method="GET", **how))


def look_up(number: int, random: Random) -> dict[str, Any]:
    """The outcome is unclear, and the first look-ups fail."""
    how, store, times = combination(
        number,
        (429, 401, 403, 404, 412, 500, 503, 504, "cut", "reset", "mid", "hang", "garbage"),
        STORES[:2] + STORES[-1:],
        (1, 2),
    )
    answers: dict[object, dict[str, Any]] = {
        "cut": {"cut": "before_answer"},
        "reset": {"cut": "before_answer", "reset": True},
        "mid": {"cut": "mid_answer"},
        "garbage": {"broken": "garbage"},
    }
    read: Fault | WireFault
    if how == "hang":
        read = WireFault(method="GET", side="answer", at="nothing", act="hang", times=times)
    elif how in answers:
        read = Fault(method="GET", times=times, **answers[how])
    else:
        headers = _retry_after(random) if how in (429, 503) else {}
        read = Fault(method="GET", times=times, answer=_answer(how, random), headers=headers)
    truth = "later" if how in (401, 403, 404, 412) else "known"
    return {**file(random), "faults": (unclear_first(store, random), read), "truth": truth}


def lag(number: int, random: Random) -> dict[str, Any]:
    """A stored attachment shows in look-ups only after a while."""
    (store,) = combination(
        number, (("never", 0.0), ("before", 0.0), ("after", 0.2), ("after", 0.4))
    )
    return {**file(random), "environment": "lag", "faults": (unclear_first(store, random),)}


def pages(number: int, random: Random) -> dict[str, Any]:
    """The post has many attachments of others, and lists come in pages."""
    size, store = combination(number, (1, 2, 3), STORES)
    return {
        **file(random),
        "environment": f"pages of {size}",
        "faults": (unclear_first(store, random),),
        "neighbours": random.randrange(1, 8),
        "twins": (Twin(600.0, same_name=True),) if random.random() < 0.3 else (),
    }


def items(number: int, random: Random) -> dict[str, Any]:
    """Items after an unclear outcome, as Graph rewrites them or as they were sent."""
    kind, rich, environment, store = combination(
        number, KINDS[1:], (False, True), ("plain", "verbatim"), STORES
    )
    made = anything(random, kind=kind, rpc="create", rich=rich, environment=environment)
    comparable = not rich or environment == "verbatim" or store[0] == "never"
    return {
        **made,
        "faults": (unclear_first(store, random),),
        "truth": "known" if comparable else "by baseline",
    }


def twins(number: int, random: Random) -> dict[str, Any]:
    """The same content was put there earlier by another client."""
    environment, same_name, store = combination(
        number, ("plain", "ahead", "behind"), (True, False), STORES
    )
    ago_s = random.choice((2.5, 5.0, 600.0, 86_400.0))
    twins = tuple(Twin(ago_s + extra, same_name) for extra in range(random.choice((1, 1, 2))))
    faults = (unclear_first(store, random),) if number % 8 else ()
    is_excluded = environment == "plain" and ago_s > CLOCK_SKEW_S
    return {
        **file(random),
        "environment": environment,
        "twins": twins,
        "faults": faults,
        "truth": "known" if is_excluded or not faults else "never",
    }


def sticky(number: int, random: Random) -> dict[str, Any]:
    """After an unclear outcome the look-ups or the next POST get a definite refusal."""
    no, to, store, deadline_s = combination(
        number, (429, 401, 404, 412), ("look-ups", "POST", "both"), STORES, (5.0, 12.0)
    )
    answer = _answer(no, random)
    faults: list[Fault | WireFault] = [unclear_first(store, random)]
    if to != "POST":
        faults.append(Fault(method="GET", answer=answer, times=0))
    if to != "look-ups":
        faults.append(Fault(answer=answer, times=0))
    return {**file(random), "faults": tuple(faults), "truth": "later", "deadline_s": deadline_s}


def deadline(number: int, random: Random) -> dict[str, Any]:
    """The caller's deadline passes at some point of the delivery."""
    deadline_s, how, store = combination(
        number, (0.05, 0.3, 0.8, 1.3, 2.0, 3.0), ("slow", "hang", "unclear", 1, 2, 3), STORES
    )
    first = unclear_first(store, random)
    faults: tuple[Fault | WireFault, ...] = (first,)
    if how == "hang":
        faults = (WireFault(side="answer", at="nothing", act="hang"),)
    elif how == "slow":
        faults = (WireFault(at="body_middle", pause_s=0.8 * GRAPH_TIMEOUT_S),)
    elif how != "unclear":
        faults = (first, *nth_look(how, pause_s=1.5 * deadline_s))
    return {**file(random), "faults": faults, "deadline_s": deadline_s, "truth": "later"}
