"""The origin of a server: scheme, host and port."""

from dataclasses import dataclass
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """An origin of RFC 6454, such as https://graph.microsoft.com. `authority` is host[:port]."""

    scheme: str
    authority: str

    @property
    def host(self) -> str:
        """The host without its port, an IPv6 address without its brackets."""
        return urlsplit(f"//{self.authority}").hostname or ""

    @property
    def port(self) -> int:
        """The authority's port, or else the scheme's default port."""
        return urlsplit(f"//{self.authority}").port or _PORTS[self.scheme]

    @property
    def url(self) -> str:
        """The origin as a URL without a path."""
        return f"{self.scheme}://{self.authority}"
