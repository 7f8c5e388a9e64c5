"""Every limit and name that an operator can set, with its default.

Each field is a setting. Its environment variable is ATTACHMENT_GATEWAY_ and the name in upper case;
its flag of `serve` is the name in kebab case.
"""

import ipaddress
import math
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger.urls import MEMORY, is_redis, ledger_fault

ENVIRONMENT_PREFIX = "ATTACHMENT_GATEWAY_"

BASELINES = ("auto", "always", "never")

LOG_LEVELS = ("debug", "info", "warning", "error")

MAX_PORT = 65535

MIB = 1024 * 1024

_OFF_AT_0 = {"clock_skew_s", "connection_age_s", "mailbox_concurrent", "mailbox_upload_bytes"}


def _setting(default: object, about: str) -> Any:  # Any, because dataclasses.field() returns it
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of `serve`. Raises SettingError."""

    listen: str = _setting(
        "127.0.0.1:50051", "host:port to listen on, port 0 for any free port, or unix:path"
    )
    graph_url: str = _setting(
        "https://graph.microsoft.com/v1.0", "Graph's root URL; plain http only to loopback"
    )
    # Graph documents "4MB on the total size of each REST request", which may mean MB or MiB. Its
    # error message is ASP.NET's, whose default limit is 4,096 KiB.
    max_request_bytes: int = _setting(
        4 * MIB, "largest REST request that Graph accepts, head and body together, bytes"
    )
    workers: int = _setting(
        1, "processes that share the port; several need host:port, and a ledger other than memory:"
    )
    ledger: str = _setting(
        "",
        "where request ids are kept: sqlite:///path, redis://… or rediss://…, or memory:; a SQLite "
        "file in the state directory if empty",
    )
    ledger_retention_s: float = _setting(
        86400.0, "how long a request id is remembered after its last use, seconds"
    )
    baseline: str = _setting(
        "auto",
        "whether a post is listed before it gets an attachment: auto, always or never",
    )
    clock_skew_s: float = _setting(
        300.0, "how far Graph's stamps may lag behind its Date header, seconds"
    )
    settle_s: float = _setting(
        15.0, "how long Graph may still act on a request that it hasn't answered, seconds"
    )
    mailbox_concurrent: int = _setting(
        4, "most concurrent requests to one mailbox (an app and a group); 0 for no limit"
    )
    mailbox_upload_bytes: int = _setting(
        150_000_000, "most bytes uploaded to one mailbox in 5 minutes; 0 for no limit"
    )
    upload_memory_bytes: int = _setting(
        256 * MIB, "memory for all uploads in flight together, bytes"
    )
    stream_window_bytes: int = _setting(
        64 * 1024,
        "how much of an upload may arrive before it is read, bytes; more is faster for far callers",
    )
    graph_timeout_s: float = _setting(
        60.0, "how long Graph may be silent while a request or a response is sent, seconds"
    )
    graph_connections: int = _setting(
        256, "most connections to Graph for sending, and the same number again for reading"
    )
    stream_idle_s: float = _setting(
        30.0,
        "how long a caller may take for a message, or be behind the least rate, seconds",
    )
    # A file of 3 MB then comes within the default deadline. Slower networks than 128 kbit/s are not
    # what services run on.
    least_upload_rate: int = _setting(
        16 * 1024, "the least rate at which a caller has to send, bytes per second"
    )
    # A call takes some 25 KB beside its attachment.
    max_calls: int = _setting(1000, "most calls in flight in one process")
    max_connections: int = _setting(1000, "most connections with calls in flight in one process")
    connection_age_s: float = _setting(
        600.0,
        "age at which a caller is asked to replace its connection, so that load spreads, seconds; "
        "0 for no limit",
    )
    default_deadline_s: float = _setting(300.0, "the deadline of a call that has none, seconds")
    max_deadline_s: float = _setting(
        900.0, "the longest deadline of a call; a later one is cut to it, seconds"
    )
    drain_s: float = _setting(30.0, "how long calls in flight may take after SIGTERM, seconds")
    metrics_listen: str = _setting(
        "", "host:port at which Prometheus reads /metrics; nowhere if empty"
    )
    log_level: str = _setting("info", "debug, info, warning or error")

    def __post_init__(self) -> None:
        for setting in fields(self):
            value = getattr(self, setting.name)
            least = 0 if setting.name in _OFF_AT_0 else math.ulp(0.0)
            if setting.type in {int, float} and not least <= value < math.inf:
                wanted = "0 or more" if least == 0 else "greater than 0"
                raise SettingError(f"{setting.name} is {value}; it must be {wanted}")
        if self.log_level not in LOG_LEVELS:
            raise SettingError(f"log_level is {self.log_level!r}; it must be one of {LOG_LEVELS}")
        if self.baseline not in BASELINES:
            raise SettingError(f"baseline is {self.baseline!r}; it must be one of {BASELINES}")
        _check_graph_url(self.graph_url)
        _check_listen(self.listen)
        if self.workers > 1:
            self._check_several_workers()
        if fault := ledger_fault(self.ledger):
            raise SettingError(fault)
        if self.metrics_listen:
            _check_host_and_port("metrics_listen", self.metrics_listen)

    def _check_several_workers(self) -> None:
        wanted = f"for {self.workers} workers; give one worker, or"
        if self.listen.startswith("unix:"):
            raise SettingError(f"listen is {self.listen!r} {wanted} host:port, which can be shared")
        if self.ledger == MEMORY:
            raise SettingError(f"ledger is {self.ledger!r} {wanted} a ledger that they share")
        # Each worker's part of the limit is at least 1.
        if not is_redis(self.ledger) and 0 < self.mailbox_concurrent < self.workers:
            raise SettingError(
                f"mailbox_concurrent is {self.mailbox_concurrent} for {self.workers} workers, "
                f"each of which needs at least 1; give {self.mailbox_concurrent} workers at most, "
                f"or a ledger in Redis, through which they share the limit"
            )

    @property
    def max_message_bytes(self) -> int:
        """The largest message that gRPC accepts; larger than a request, so that we refuse it."""
        return max(8 * MIB, 2 * self.max_request_bytes)


def _check_graph_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingError(f"graph_url is {url!r}; give an https URL, such as Graph's own")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise SettingError("graph_url has more than scheme, host, port and path; remove the rest")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise SettingError(
            f"graph_url is {url!r}; a token may go over plain http to loopback only; use https"
        )


def is_loopback(host: str) -> bool:
    """Return whether a host is a loopback address or `localhost`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _check_listen(listen: str) -> None:
    if listen.startswith("unix:"):
        if len(listen) == len("unix:"):
            raise SettingError("listen is 'unix:'; name the socket's path, as in unix:/run/gw.sock")
        return
    _check_host_and_port("listen", listen, or_else=" or unix:path")


def _check_host_and_port(name: str, listen: str, *, or_else: str = "") -> None:
    host, _, port = listen.rpartition(":")
    if not host or not (port.isascii() and port.isdigit()) or int(port) > MAX_PORT:
        raise SettingError(f"{name} is {listen!r}; give host:port{or_else}")
