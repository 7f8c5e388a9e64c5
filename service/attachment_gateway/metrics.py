"""The counters for monitoring. No label holds anything that a caller sent.

The counter of each set of labels is cached, because finding it takes several times as long as
counting. There are few sets.
"""

from functools import cache

from prometheus_client import Counter

_NAMESPACE = "attachment_gateway"

_CALLS = Counter("calls", "Calls that ended.", ["method", "code", "reason"], namespace=_NAMESPACE)

_ATTEMPTS = Counter(
    "attempts",
    "Attempts that ended, by the next step: created, give_up, send_again, look_up.",
    ["next"],
    namespace=_NAMESPACE,
)

_LOOK_UPS = Counter(
    "look_ups",
    "Look-ups of an unclear attempt, by result: found, absent, cannot_tell, failed.",
    ["result"],
    namespace=_NAMESPACE,
)

_RECONCILIATIONS = Counter(
    "reconciliations",
    "Unclear attempts that were looked up, by result: baseline, stamp and name, by which the "
    "attachment was recognised, absent, cannot_tell.",
    ["result"],
    namespace=_NAMESPACE,
)

SURPLUS = Counter(
    "surplus",
    "Surplus attachments, because Graph took longer than settle_s to create one.",
    namespace=_NAMESPACE,
)

LOG_EVENTS_DROPPED = Counter(
    "log_events_dropped",
    "Log events that could not be written.",
    namespace=_NAMESPACE,
)


@cache
def calls(method: str, code: str, reason: str) -> Counter:
    """Return the counter of calls that ended with this code and reason."""
    return _CALLS.labels(method, code, reason)


@cache
def attempts(next_: str) -> Counter:
    """Return the counter of attempts with this next step."""
    return _ATTEMPTS.labels(next_)


@cache
def reconciliations(result: str) -> Counter:
    """Return the counter of reconciliations with this result."""
    return _RECONCILIATIONS.labels(result)


@cache
def look_ups(result: str) -> Counter:
    """Return the counter of look-ups with this result."""
    return _LOOK_UPS.labels(result)
