"""What is counted, for monitoring. No label holds what a caller sent."""

from prometheus_client import Counter

_NAMESPACE = "attachment_gateway"

CALLS = Counter("calls", "Calls that ended.", ["method", "code", "reason"], namespace=_NAMESPACE)

ATTEMPTS = Counter(
    "attempts",
    "POSTs that ended, by what was next: Done, GiveUp, SendAgain, LookUp.",
    ["step"],
    namespace=_NAMESPACE,
)

LOOKS = Counter(
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
