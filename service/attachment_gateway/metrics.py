"""What is counted, for monitoring. No label holds what a caller sent.

The counter of each set of labels, of which there are few, is kept: to find it costs several times
what counting does.
"""

from functools import cache

from prometheus_client import Counter

_NAMESPACE = "attachment_gateway"

_CALLS = Counter("calls", "Calls that ended.", ["method", "code", "reason"], namespace=_NAMESPACE)

_ATTEMPTS = Counter(
    "attempts",
    "POSTs that ended, by what was next: Done, GiveUp, SendAgain, LookUp.",
    ["step"],
    namespace=_NAMESPACE,
)

_LOOKS = Counter(
    "looks",
    "Looks for what became of an unclear attempt, by what each saw.",
    ["saw"],
    namespace=_NAMESPACE,
)

SURPLUS = Counter(
    "surplus",
    "Attachments too many, because Graph took longer over one than it may.",
    namespace=_NAMESPACE,
)


@cache
def calls(method: str, code: str, reason: str) -> Counter:
    """Return the counter of calls that ended so."""
    return _CALLS.labels(method, code, reason)


@cache
def attempts(step: str) -> Counter:
    """Return the counter of POSTs after which that was next."""
    return _ATTEMPTS.labels(step)


@cache
def looks(saw: str) -> Counter:
    """Return the counter of looks that saw that."""
    return _LOOKS.labels(saw)
