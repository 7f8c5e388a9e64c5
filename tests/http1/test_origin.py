"""http1.origin: the parts of an origin."""

import pytest

from attachment_gateway.http1.origin import Origin


@pytest.mark.parametrize(
    ("origin", "host", "port", "url"),
    [
        (
            Origin("https", "graph.microsoft.com"),
            *("graph.microsoft.com", 443, "https://graph.microsoft.com"),
        ),
        (Origin("http", "127.0.0.1"), "127.0.0.1", 80, "http://127.0.0.1"),
        (Origin("http", "127.0.0.1:8080"), "127.0.0.1", 8080, "http://127.0.0.1:8080"),
        (Origin("https", "[::1]:8443"), "::1", 8443, "https://[::1]:8443"),
    ],
)
def test_the_parts_of_an_origin(origin: Origin, host: str, port: int, url: str) -> None:
    """The host has no brackets, and a missing port is the scheme's default."""
    assert (origin.host, origin.port, origin.url) == (host, port, url)
