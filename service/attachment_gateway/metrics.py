"""What is counted, for monitoring. No label holds what a caller sent."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, start_http_server

from attachment_gateway.settings import SettingError

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


@contextmanager
def exposed(listen: str) -> Iterator[None]:
    """Show the counters on http://HOST:PORT/metrics; nowhere if `listen` is empty."""
    if not listen:
        yield
        return
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host)
    except OSError:
        raise SettingError(
            f"metrics_listen is {listen!r}, which can't be bound; is it in use?"
        ) from None
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
