"""The HTTP endpoint at which monitoring reads the counters."""

from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server

from attachment_gateway.errors import SettingError


@contextmanager
def exposed(listen: str, registry: CollectorRegistry = REGISTRY) -> Iterator[None]:
    """Serve the counters at http://HOST:PORT/metrics; nowhere if `listen` is empty."""
    if not listen:
        yield
        return
    host, _, port = listen.rpartition(":")
    try:
        server, thread = start_http_server(int(port), host, registry)
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
