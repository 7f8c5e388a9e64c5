"""A client of Redis or Valkey with explicit limits."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004 - the library's name
    NoPermissionError,
    RedisError,
)

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger.urls import redis_url

# A command takes a fraction of a millisecond, so 16 connections carry many calls. A further command
# waits at most CONNECTION_WITHIN_S for one.
CONNECTIONS = 16
CONNECTION_WITHIN_S = 2.0
CONNECT_TIMEOUT_S = 2.0
ANSWER_TIMEOUT_S = 2.0

# Redis must not evict a ledger's keys.
POLICY = "noeviction"


class ServerIdentity:
    """The identity of the server behind the connections: of its run, and of its replication.

    It is read on each new connection, and before the first command on it: while a connection lasts,
    the server is the same. If it has become another one, `on_change` is called, and the command
    that needed the connection fails with RedisError.
    """

    def __init__(self, on_change: Callable[[], None]) -> None:
        self._on_change = on_change
        self._known: tuple[str, str] | None = None

    async def connected(self, connection: Any) -> None:
        """Set a connection up as the library does, and read who is there."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        run_id = _info(await connection.read_response(), "run_id")
        await connection.send_command("INFO", "replication")
        replication_id = _info(await connection.read_response(), "master_replid")
        found = (run_id, replication_id)
        known, self._known = self._known, found
        if known not in {None, found}:
            self._on_change()
            raise RedisError("the server is another one than before")


def _info(answer: object, name: str) -> str:
    """Return a value of INFO, "" if it isn't there, as behind some proxies."""
    text = answer.decode("utf-8", "replace") if isinstance(answer, bytes) else ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key == name:
            return value.strip()
    return ""


def redis_client(url: str, identity: ServerIdentity | None = None) -> Redis:
    """Return a client, which connects when it is first used. Raises SettingError.

    It sends a command once more if the connection breaks, so every command has to be repeatable.
    `identity`, if given, is told of each new connection.
    """
    pool = BlockingConnectionPool.from_url(
        redis_url(url),
        max_connections=CONNECTIONS,
        timeout=CONNECTION_WITHIN_S,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=ANSWER_TIMEOUT_S,
        socket_keepalive=True,
        retry=Retry(NoBackoff(), 1, (ConnectionError,)),
        # RESP2: a proxy in front of Redis may know no other version, and RESP3 isn't needed.
        protocol=2,
        driver_info=None,
        redis_connect_func=None if identity is None else identity.connected,
        **_tls(redis_url(url)),
    )
    return Redis.from_pool(pool)


def _tls(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    if parts.scheme != "rediss":
        return {}
    for option, path in parse_qsl(parts.query):
        if not Path(path).is_file():
            raise SettingError(f"ledger has {option} {path!r}, which is no file; name a PEM file")
    return {
        "ssl_cert_reqs": "required",
        "ssl_check_hostname": True,
        "ssl_min_version": ssl.TLSVersion.TLSv1_2,
    }


def failure(error: Exception) -> str:
    """Return why a command failed, as a text; a timeout brings no text of its own."""
    return f"Redis: {str(error) or 'no answer in time'}"


async def check_policy(client: Redis) -> None:
    """Raise SettingError if Redis may evict keys, or refuses the user or the INFO command."""
    try:
        policy = (await client.info("memory")).get("maxmemory_policy")
    except AuthenticationError as error:
        raise SettingError(
            f"ledger's Redis doesn't take its user and password ({error}); correct them in its URL"
        ) from error
    except NoPermissionError as error:
        raise SettingError(
            "ledger's Redis doesn't let its user ask for INFO, which tells whether keys can get "
            "lost; allow +info, and +@scripting, and all commands on the keys "
            "{attachment-gateway}:*"
        ) from error
    if policy != POLICY:
        raise SettingError(
            f"ledger's Redis has the maxmemory-policy {policy!r}, by which it may forget what was "
            f"sent; set it to {POLICY!r}, or give the gateway a Redis of its own"
        )
