"""The ledger of gateways on several machines, in Redis or Valkey.

Redis keeps the queues and entries; `rules` decides here, on what was read, and a script writes what
was decided if nobody has changed it meanwhile.
"""

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from importlib.resources import files
from typing import Any, NamedTuple, Self, TypeVar, cast

import structlog
from redis.exceptions import RedisError

from attachment_gateway.errors import SettingError
from attachment_gateway.ledger import (
    LEASE_S,
    Created,
    End,
    InProgress,
    Lease,
    LedgerUnavailable,
    Look,
    Queued,
    Reused,
    Sending,
    Standing,
)
from attachment_gateway.ledger.boot_clock import BootClock, boot_clock
from attachment_gateway.ledger.redis_client import (
    ServerIdentity,
    check_policy,
    failure,
    redis_client,
)
from attachment_gateway.ledger.redis_snapshot import RedisSnapshot, Sightings
from attachment_gateway.ledger.rules import Entry, Row, Rules

_T = TypeVar("_T")

SCRIPT = files("attachment_gateway.ledger").joinpath("redis.lua").read_text(encoding="utf-8")

# The part in braces is the hash tag, which places all keys on one node of a cluster.
KEY_PREFIX = "{attachment-gateway}:ledger"
MARKER_KEY = f"{KEY_PREFIX}:marker"
PAUSE_KEY = f"{KEY_PREFIX}:pause"

# For a whole method: the wait for a connection, connecting, the response, and one retry.
METHOD_TIMEOUT_S = 5.0

# What a process remembers of Redis, so that most methods take one round trip.
MAX_REMEMBERED = 2_000

MS_PER_S = 1000

log: structlog.stdlib.BoundLogger = structlog.get_logger("attachment_gateway")


class _Held(NamedTuple):
    """A lease that this process holds, as it was written last, and when it was first acquired."""

    row: Row
    entry: Entry | None
    acquired_at: float


class RedisLedger:
    """A Ledger. Each method reads, decides by `Rules`, and compares and swaps, until that works.

    A script whose response was lost is sent again; its second run changes nothing.
    """

    def __init__(
        self,
        url: str,
        *,
        settle_s: float,
        retention_s: float,
        lease_s: float = LEASE_S,
        clock: BootClock | None = None,
        sightings: Sightings | None = None,
    ) -> None:
        self._identity = ServerIdentity(self._notice_another_server)
        self._client = redis_client(url, self._identity)
        self._script = self._client.register_script(SCRIPT)
        self._clock = clock or boot_clock()
        self._spans = {"settle_s": settle_s, "retention_s": retention_s, "lease_s": lease_s}
        self._lease_s = lease_s
        self._pause_s = lease_s + settle_s
        self._kept_s = max(retention_s, lease_s + settle_s)
        self._sightings = sightings or Sightings()
        self._remembered = OrderedDict[str, bytes]()
        self._held: dict[str, _Held] = {}
        self._marker = ""
        self._paused_until = float("-inf")
        self._lost_at = float("-inf")
        self._is_checked = False
        self._running = set[asyncio.Task[Any]]()

    @classmethod
    async def open(
        cls,
        url: str,
        *,
        settle_s: float,
        retention_s: float,
        lease_s: float = LEASE_S,
        clock: BootClock | None = None,
        sightings: Sightings | None = None,
    ) -> Self:
        """Connect, or let the first method connect if Redis is unreachable. Raises SettingError.

        `sightings`: what this process has seen of Redis so far.
        """
        ledger = cls(
            url,
            settle_s=settle_s,
            retention_s=retention_s,
            lease_s=lease_s,
            clock=clock,
            sightings=sightings,
        )
        try:
            await ledger._to_its_end(ledger._check())
        except LedgerUnavailable:
            pass
        except BaseException:
            await ledger.close()
            raise
        return ledger

    async def acquire(self, lease: Lease, *, sending: Sending | None = None) -> Standing:
        """Implement Ledger.acquire; see Ledger for this method and those below."""
        return await self._write(
            lease,
            lambda rules, now: rules.acquire(lease, now, sending),
            is_new=True,
            is_poll=lease.holder in self._held,
        )

    async def find(self, lease: Lease) -> Created | Reused | InProgress | None:
        """Look the request id up."""
        return await self._read(lease, lambda rules, now: rules.find(lease, now))

    async def look(self, lease: Lease) -> Look:
        """Return what is known of the request id and the post."""
        return await self._read(lease, lambda rules, now: rules.look(lease, now))

    async def renew(self, lease: Lease, *, settles_in_s: float | None = None) -> bool:
        """Renew the lease."""
        return await self._write(lease, lambda rules, now: rules.renew(lease, now, settles_in_s))

    async def record_sending(self, lease: Lease, sending: Sending) -> bool:
        """Record that an attempt is about to be sent."""
        return await self._write(
            lease, lambda rules, now: rules.record_sending(lease, sending, now), is_new=True
        )

    async def record_absent(self, lease: Lease) -> bool:
        """Mark the last attempt as absent."""
        return await self._write(lease, lambda rules, now: rules.record_absent(lease, now))

    async def release(self, lease: Lease, end: End) -> None:
        """Leave the queue, and record the result."""
        try:
            await self._write(lease, lambda rules, now: rules.release(lease, end, now))
        finally:
            self._held.pop(lease.holder, None)

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids that deliveries have created."""

        async def read() -> list[bytes]:
            await self._prepare()
            return cast("list[bytes]", await self._client.zrange(_claims(post), 0, -1))

        return frozenset(each.decode() for each in await self._to_its_end(read()))

    async def close(self) -> None:
        """Finish the methods that are running, and close the connections."""
        if self._running:
            await asyncio.wait(self._running)
        await self._client.aclose()

    # Reading, deciding, writing.

    async def _read(self, lease: Lease, work: Callable[[Rules, float], _T]) -> _T:
        async def read() -> _T:
            await self._prepare()
            queue, entry = await self._present(lease)
            now = self._clock.now_s()
            return work(self._rules(self._snapshot(queue, entry, now)), now)

        return await self._to_its_end(read())

    async def _write(
        self,
        lease: Lease,
        work: Callable[[Rules, float], _T],
        *,
        is_new: bool = False,
        is_poll: bool = False,
    ) -> _T:
        """Run a work that writes; with `is_new` it begins something, and may not in a pause.

        `is_poll`: it may leave out the write if the lease still waits and was renewed lately.
        """
        return await self._to_its_end(self._written(lease, work, is_new=is_new, is_poll=is_poll))

    async def _written(
        self, lease: Lease, work: Callable[[Rules, float], _T], *, is_new: bool, is_poll: bool
    ) -> _T:
        await self._prepare()
        # What is remembered may be old, and then the write fails and brings what is there.
        queue, entry = await self._present(lease) if is_poll else self._recalled(lease)
        while True:
            now = self._clock.now_s()
            if is_new and now < self._paused_until:
                raise LedgerUnavailable("Redis may have lost data; nothing begins until it settles")
            snapshot = self._snapshot(queue, entry, now)
            self._restore(lease, snapshot)
            answer = work(self._rules(snapshot), now)
            if is_poll and isinstance(answer, Queued) and self._is_fresh(lease, now):
                return answer
            written = snapshot.queue_bytes(), snapshot.entry_bytes()
            found = await self._swapped(lease, (queue, entry), written, snapshot)
            if found is None or found == written:  # the same, if the script was sent twice
                self._remember(lease, written)
                self._note(lease, snapshot, now)
                return answer
            queue, entry = found

    async def _present(self, lease: Lease) -> tuple[bytes, bytes]:
        queue, entry = await self._client.mget(_queue(lease), _entry(lease))
        return cast("bytes", queue or b""), cast("bytes", entry or b"")

    def _recalled(self, lease: Lease) -> tuple[bytes, bytes]:
        entry = self._remembered.get(_entry(lease), b"") if lease.request_id else b""
        return self._remembered.get(_queue(lease), b""), entry

    def _is_fresh(self, lease: Lease, now: float) -> bool:
        """Return whether a lease that waits was renewed lately, so that a poll needn't write."""
        lease_until = self._held[lease.holder].row.lease_until
        return lease_until is not None and lease_until - now > self._lease_s / 2

    async def _swapped(
        self,
        lease: Lease,
        read: tuple[bytes, bytes],
        written: tuple[bytes, bytes],
        snapshot: RedisSnapshot,
    ) -> tuple[bytes, bytes] | None:
        """Write, and return None; if somebody was faster, return what is there."""
        keys = [MARKER_KEY, _queue(lease), _entry(lease), _claims(lease.post)]
        found = await self._script(
            keys,
            (
                self._marker,
                read[0],
                written[0],
                _ttl(snapshot.queue_ttl_s(self._kept_s)),
                read[1],
                written[1],
                _ttl(snapshot.entry_ttl_s()),
                snapshot.claim_id,
                _ms(self._kept_s),
                int(snapshot.keeps_claims),
            ),
        )
        if not found:
            return None
        marker, queue, entry = found
        if marker.decode() != self._marker:
            await self._notice_another_marker(marker.decode())
        return queue, entry

    def _snapshot(self, queue: bytes, entry: bytes, now: float) -> RedisSnapshot:
        return RedisSnapshot(queue, entry, self._sightings, boot_id=self._clock.boot_id, now=now)

    def _rules(self, snapshot: RedisSnapshot) -> Rules:
        return Rules(snapshot, **self._spans)

    def _remember(self, lease: Lease, written: tuple[bytes, bytes]) -> None:
        for key, value in zip((_queue(lease), _entry(lease)), written, strict=True):
            self._remembered[key] = value
            self._remembered.move_to_end(key)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    # What Redis has lost.

    def _note(self, lease: Lease, snapshot: RedisSnapshot, now: float) -> None:
        """Remember a lease that is held, as it was written."""
        row = next((each for each in snapshot.rows("") if each.holder == lease.holder), None)
        if row is None or row.lease_until is None:
            self._held.pop(lease.holder, None)
            return
        known = self._held.get(lease.holder)
        acquired_at = known.acquired_at if known else now
        self._held[lease.holder] = _Held(row, snapshot.entry(lease.request_id, now), acquired_at)

    def _restore(self, lease: Lease, snapshot: RedisSnapshot) -> None:
        """Write a lease again that was lost with Redis's data, unless another has it."""
        held = self._held.get(lease.holder)
        if held is None or held.acquired_at > self._lost_at:
            return
        rows = snapshot.rows(lease.post)
        has_entry = bool(lease.request_id) and snapshot.entry(lease.request_id, 0.0) is not None
        if has_entry or any(each.holder == lease.holder for each in rows):
            return
        seq = max((each.seq for each in rows), default=0) + 1
        snapshot.put_row(held.row._replace(seq=seq))
        if held.entry is not None:
            snapshot.put_entry(lease.request_id, held.entry, float("inf"))

    def _notice_another_server(self) -> None:
        """Let nothing begin for a lease: a server that took over may lack the last writes."""
        now = self._clock.now_s()
        self._lost_at = now
        self._paused_until = max(self._paused_until, now + self._lease_s)
        log.warning("ledger_server_changed", pause_s=self._lease_s)

    async def _notice_another_marker(self, marker: str) -> None:
        """Let nothing begin until what was lost with Redis's data has settled."""
        now = self._clock.now_s()
        if self._marker:
            self._lost_at = now
            self._paused_until = max(self._paused_until, now + self._pause_s)
            log.warning("ledger_emptied", pause_s=self._pause_s)
            if not marker:
                await self._client.set(PAUSE_KEY, "1", px=_ms(self._pause_s))
        await self._adopt_marker()

    async def _adopt_marker(self) -> None:
        """Take the ledger's marker, or set a new one if there is none."""
        await self._client.set(MARKER_KEY, secrets.token_hex(8), nx=True)
        marker, pause_ms = await self._client.get(MARKER_KEY), await self._client.pttl(PAUSE_KEY)
        self._marker = marker.decode() if isinstance(marker, bytes) else ""
        if pause_ms > 0:
            until = self._clock.now_s() + pause_ms / MS_PER_S
            self._paused_until = max(self._paused_until, until)

    async def _prepare(self) -> None:
        """Check Redis before its first use."""
        if not self._is_checked:
            try:
                await self._check()
            except SettingError as error:
                raise LedgerUnavailable(str(error)) from error

    async def _check(self) -> None:
        await check_policy(self._client)
        await self._adopt_marker()
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


def _queue(lease: Lease) -> str:
    return f"{KEY_PREFIX}:queue:{lease.post}"


def _entry(lease: Lease) -> str:
    return f"{KEY_PREFIX}:entry:{lease.request_id}"


def _claims(post: str) -> str:
    return f"{KEY_PREFIX}:claimed:{post}"


def _ms(span_s: float) -> int:
    return max(round(span_s * MS_PER_S), 1)


def _ttl(span_s: float | None) -> str | int:
    return "" if span_s is None else _ms(span_s)
