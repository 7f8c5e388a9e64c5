"""Every limit and name that an operator can set, with its default.

A setting is a field: its environment variable is ATTACHMENT_GATEWAY_ and the name in upper case,
its flag of `serve` the name in kebab case.
"""

import ipaddress
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

ENVIRONMENT_PREFIX = "ATTACHMENT_GATEWAY_"

LOG_LEVELS = ("debug", "info", "warning", "error")

MAX_PORT = 65535

MIB = 1024 * 1024


class SettingError(ValueError):
    """A setting that can't be; the sentence names it."""


def _setting(default: object, about: str) -> Any:  # what dataclasses.field() is
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `serve` runs with. Raises SettingError."""

    listen: str = _setting(
        "127.0.0.1:50051", "host:port to listen on, port 0 for any, or unix:path"
    )
    graph_url: str = _setting(
        "https://graph.microsoft.com/v1.0", "Graph's root; plain http only to loopback"
    )
    # "4MB on the total size of each REST request"; MB or MiB is nowhere defined. ASP.NET's limit,
    # whose error message Graph's is, is 4,096 KiB by default.
    max_request_bytes: int = _setting(
        4 * MIB, "largest REST request that Graph takes, head and body, in bytes"
    )
    graph_timeout_s: float = _setting(60.0, "how long to wait for one answer of Graph's, seconds")
    graph_connections: int = _setting(256, "connections to Graph at most")
    stream_idle_s: float = _setting(30.0, "how long an upload may be quiet, seconds")
    default_deadline_s: float = _setting(
        300.0, "the deadline of a call that comes without one, seconds"
    )
    drain_s: float = _setting(30.0, "how long calls in flight may take after SIGTERM, seconds")
    log_level: str = _setting("info", "debug, info, warning or error")

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            if setting.type in {int, float} and not 0 < value < float("inf"):
                raise SettingError(f"{setting.name} is {value}; it must be greater than 0")
        if self.log_level not in LOG_LEVELS:
            raise SettingError(f"log_level is {self.log_level!r}; it is one of {LOG_LEVELS}")
        _check_graph_url(self.graph_url)
        _check_listen(self.listen)

    @property
    def max_message_bytes(self) -> int:
        """The largest message that the server takes: an item too large gets our error."""
        return max(8 * MIB, 2 * self.max_request_bytes)


def _check_graph_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingError(f"graph_url is {url!r}; give an https URL, such as Graph's own")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise SettingError("graph_url has more than scheme, host, port and path; leave it out")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingError(
            f"graph_url is {url!r}; tokens go over plain http to loopback only, use https"
        )


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine and nothing else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_listen(listen: str) -> None:
    if listen.startswith("unix:"):
        if len(listen) == len("unix:"):
            raise SettingError("listen is 'unix:'; name the socket's path, as in unix:/run/gw.sock")
        return
    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > MAX_PORT:
        raise SettingError(f"listen is {listen!r}; give host:port or unix:path")
