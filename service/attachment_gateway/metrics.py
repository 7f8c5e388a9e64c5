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
    "POSTs that ended, by what was next: created, give_up, send_again, look_up.",
    ["next"],
    namespace=_NAMESPACE,
)

_LOOK_UPS = Counter(
    "look_ups",
    "Look-ups of an unclear attempt, by result: found, absent, cannot_tell, failed.",
    ["result"],
    namespace=_NAMESPACE,
)

SURPLUS = Counter(
    "surplus",
    "Attachments too many, because Graph took longer over one than it may.",
    namespace=_NAMESPACE,
)

LOG_EVENTS_DROPPED = Counter(
    "log_events_dropped",
    "Log events that could not be written.",
    namespace=_NAMESPACE,
)


@cache
def calls(method: str, code: str, reason: str) -> Counter:
    """Return the counter of calls that ended so."""
    return _CALLS.labels(method, code, reason)


@cache
def attempts(next_: str) -> Counter:
    """Return the counter of POSTs after which that was next."""
    return _ATTEMPTS.labels(next_)


@cache
def look_ups(result: str) -> Counter:
    """Return the counter of look-ups with that result."""
    return _LOOK_UPS.labels(result)
