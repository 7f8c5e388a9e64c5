"""The URLs that name a ledger."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

import platformdirs

MEMORY = "memory:"
SQLITE = "sqlite:///"

# Valkey speaks the same protocol.
REDIS_SCHEMES: Mapping[str, str] = MappingProxyType(
    {"redis": "redis", "valkey": "redis", "rediss": "rediss", "valkeys": "rediss"}
)

# Options of TLS: a private certificate authority, and a client certificate with its key.
REDIS_OPTIONS = frozenset({"ssl_ca_certs", "ssl_certfile", "ssl_keyfile"})

FORMS = "memory:, sqlite:///path (an absolute one makes four slashes), redis://… or rediss://…"


def ledger_fault(url: str) -> str | None:
    """Return what is wrong with a URL, as a sentence for SettingError; None if nothing is.

    The sentence never holds a password. An empty URL is valid: it stands for `default_url`.
    """
    if url in {"", MEMORY}:
        return None
    scheme = url.partition(":")[0]
    check = _CHECKS.get(scheme)
    fault = check(url) if check else f"isn't of a kind that is known; it is one of {FORMS}"
    return f"ledger {fault}" if fault else None


def default_url() -> str:
    """Return the URL of the SQLite file in the user's state directory."""
    return f"{SQLITE}{Path(platformdirs.user_state_dir('attachment-gateway')) / 'ledger.sqlite3'}"


def sqlite_path(url: str) -> str:
    """Return the path in a sqlite URL."""
    return url.removeprefix(SQLITE)


def is_redis(url: str) -> bool:
    """Tell whether a URL names a Redis or a Valkey."""
    return url.partition(":")[0] in REDIS_SCHEMES


def redis_url(url: str) -> str:
    """Return a Redis or Valkey URL with a scheme that the Redis library knows."""
    scheme, _, rest = url.partition(":")
    return f"{REDIS_SCHEMES[scheme]}:{rest}"


def _sqlite_fault(url: str) -> str | None:
    path = sqlite_path(url)
    if not url.startswith(SQLITE) or path.rstrip("/") in {"", "."}:
        return f"is {url!r}, which names no file; give sqlite:///path, or sqlite:////absolute/path"
    if path.startswith(":") or set(path) & set("?#\0"):
        return f"is {url!r}; what follows sqlite:/// is a path and nothing else"
    return None


def _redis_fault(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        _ = parts.port
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
    except ValueError:
        return "is a Redis URL whose host or port can't be read; give redis://host:port/0"
    if not parts.hostname:
        return "is a Redis URL without a host; give redis://host:port/0"
    database = parts.path.strip("/")
    if database and not (database.isascii() and database.isdigit()):
        return f"is a Redis URL with the database {database!r}; it is a number"
    if unknown := sorted(options.keys() - REDIS_OPTIONS) or parts.fragment:
        return f"is a Redis URL with {unknown}; of options it takes {sorted(REDIS_OPTIONS)}"
    if options and REDIS_SCHEMES[parts.scheme] != "rediss":
        return f"is a Redis URL without TLS, with {sorted(options)}; give rediss://…"
    return None


_CHECKS: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {"sqlite": _sqlite_fault, **dict.fromkeys(REDIS_SCHEMES, _redis_fault)}
)
