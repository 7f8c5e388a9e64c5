"""Where Graph is."""

from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class GraphRoot:
    """Graph's root, such as https://graph.microsoft.com/v1.0: scheme, host[:port], path."""

    scheme: str
    host: str
    path: str

    @classmethod
    def parse(cls, url: str) -> "GraphRoot":
        """Split a URL; a slash at its end makes no difference."""
        parts = urlsplit(url)
        return cls(parts.scheme, parts.netloc, parts.path.rstrip("/"))
