"""The ledger of gateways on several machines, in Redis or Valkey."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Self, TypeVar

from redis.asyncio import Redis
from redis.exceptions import RedisError

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger import (
    LEASE_S,
    Acquired,
    Created,
    End,
    EndedCreated,
    EndedUnchanged,
    EndedUnknown,
    InProgress,
    Lease,
    LedgerUnavailable,
    Queued,
    Reused,
    Standing,
    Unsettled,
)
from attachment_gateway.ledger.redis_client import check_policy, failure, redis_client

_T = TypeVar("_T")

SCRIPT = files("attachment_gateway.ledger").joinpath("redis.lua").read_text(encoding="utf-8")

# The part in braces is the hash tag, which places all keys on one node of a cluster.
KEY_PREFIX = "{attachment-gateway}:ledger"

# For a whole method: the wait for a connection, connecting, the response, and one retry.
METHOD_TIMEOUT_S = 5.0

US_PER_S = 1_000_000


class RedisLedger:
    """A Ledger. Each method is one script, which Redis runs atomically and on its own clock.

    A script whose response was lost is sent again; its second run changes nothing.
    """

    def __init__(
        self, client: Redis, *, settle_s: float, retention_s: float, lease_s: float
    ) -> None:
        self._client = client
        self._script = client.register_script(SCRIPT)
        kept_s = max(retention_s, lease_s + settle_s)
        self._spans = (_us(lease_s), _us(settle_s), _us(kept_s))
        self._is_checked = False
        self._running = set[asyncio.Task[Any]]()

    @classmethod
    async def open(
        cls, url: str, *, settle_s: float, retention_s: float, lease_s: float = LEASE_S
    ) -> Self:
        """Connect, or let the first method connect if Redis is unreachable. Raises SettingError."""
        ledger = cls(redis_client(url), settle_s=settle_s, retention_s=retention_s, lease_s=lease_s)
        try:
            await ledger._to_its_end(ledger._check())
        except LedgerUnavailable:
            pass
        except BaseException:
            await ledger.close()
            raise
        return ledger

    async def acquire(self, lease: Lease, *, settles_in_s: float | None = None) -> Standing:
        """Implement Ledger.acquire; see Ledger for this method and those below."""
        ahead = "" if settles_in_s is None else _us(settles_in_s)
        answer, *numbers = await self._run("acquire", lease, ahead)
        return _STANDINGS[answer](*numbers)

    async def find(self, lease: Lease) -> Created | Reused | InProgress | None:
        """Look the request id up."""
        answer, *numbers = await self._run("find", lease)
        return _FOUND[answer](*numbers)

    async def renew(self, lease: Lease) -> bool:
        """Renew the lease."""
        return await self._run("renew", lease) == [b"held"]

    async def record_sending(
        self, lease: Lease, *, settles_in_s: float, is_new_attempt: bool
    ) -> bool:
        """Record that a request is about to be sent."""
        return await self._run("record_sending", lease, _us(settles_in_s), int(is_new_attempt)) == [
            b"held"
        ]

    async def release(self, lease: Lease, end: End) -> None:
        """Leave the queue, and record the result."""
        if isinstance(end, EndedCreated):
            await self._run("release_created", lease, end.attachment_id)
        elif isinstance(end, EndedUnknown):
            await self._run("release_unknown", lease, _us(end.settles_in_s), int(end.created))
        elif isinstance(end, EndedUnchanged):
            await self._run("release_unchanged", lease)
        else:
            await self._run("release_absent", lease)

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids that deliveries have created."""
        return frozenset(
            each.decode() for each in await self._run("claimed", Lease(holder="", post=post))
        )

    async def close(self) -> None:
        """Finish the methods that are running, and close the connections."""
        if self._running:
            await asyncio.wait(self._running)
        await self._client.aclose()

    async def _run(self, method: str, lease: Lease, *args: str | int) -> list[Any]:
        keys = [
            f"{KEY_PREFIX}:{kind}:{name}"
            for kind, name in (
                ("queue", lease.post),
                ("rows", lease.post),
                ("entry", lease.request_id),
                ("claimed", lease.post),
            )
        ]
        named = (method, lease.holder, lease.post, lease.request_id, lease.fingerprint)
        return await self._to_its_end(self._checked(keys, (*named, *self._spans, *args)))

    async def _checked(self, keys: list[str], args: tuple[str | bytes | int, ...]) -> list[Any]:
        if not self._is_checked:
            try:
                await self._check()
            except SettingError as error:
                raise LedgerUnavailable(str(error)) from error
        answer: list[Any] = await self._script(keys, args)
        return answer

    async def _check(self) -> None:
        await check_policy(self._client)
        self._is_checked = True

    async def _to_its_end(self, work: Coroutine[Any, Any, _T]) -> _T:
        """Run it in a task of its own, so that a caller's cancellation breaks no connection."""
        task = asyncio.create_task(_translated(work))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return await asyncio.shield(task)


async def _translated(work: Coroutine[Any, Any, _T]) -> _T:
    try:
        async with asyncio.timeout(METHOD_TIMEOUT_S):
            return await work
    except (RedisError, OSError) as error:  # a TimeoutError is an OSError
        raise LedgerUnavailable(failure(error)) from error


def _us(span_s: float) -> int:
    return round(span_s * US_PER_S)


def _first(*unsettled_us: int) -> Acquired:
    if not unsettled_us:
        return Acquired()
    began_ago, settled_in, created = unsettled_us
    return Acquired(
        unsettled=Unsettled(
            began_ago_s=began_ago / US_PER_S,
            settles_in_s=settled_in / US_PER_S,
            created=bool(created),
        )
    )


def _created(attachment_id: bytes, ago: int) -> Created:
    return Created(attachment_id=attachment_id.decode(), ago_s=ago / US_PER_S)


def _in_progress(left: int) -> InProgress:
    return InProgress(lease_left_s=left / US_PER_S)


_FOUND: Mapping[bytes, Callable[..., Created | Reused | InProgress | None]] = MappingProxyType(
    {
        b"created": _created,
        b"reused": Reused,
        b"in_progress": _in_progress,
        b"nothing": lambda: None,
    }
)

_STANDINGS: Mapping[bytes, Callable[..., Standing]] = MappingProxyType(
    {
        b"first": _first,
        b"waiting": Queued,
        b"created": _created,
        b"reused": Reused,
        b"in_progress": _in_progress,
    }
)
