"""The mailboxes in Redis: calls the scripts, reads their results, and translates errors."""

import asyncio
import math
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from attachment_gateway.errors import LedgerUnavailable
from attachment_gateway.mailbox import GRAPH_ASKED, MailboxLimits
from attachment_gateway.mailbox.queue import Obstacle
from attachment_gateway.mailbox.scripts import (
    BEGUN,
    BYTES_REACHED,
    CONCURRENT_REACHED,
    ENTER,
    PARTS,
    PAUSE,
    PAUSED,
    RELEASE,
    RENEW,
)

# The part in braces is the hash tag, which places all keys on the ledger's node of a cluster.
KEY_PREFIX = "{attachment-gateway}:mailbox"

# A slot whose holder has died is free after this time. The holder renews its lease twice within it.
SLOT_LEASE_S = 30.0

# Each poll renews its ticket; a ticket that was not polled for this long is dropped.
TICKET_LEASE_S = 2.0

# The timeout of one command, also for a client that has none of its own.
COMMAND_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Begun:
    """The slot has begun. Its bytes were counted in `grain`; None if an earlier poll began it."""

    grain: int | None


class MailboxStore:
    """The mailboxes in Redis. Every method raises LedgerUnavailable; spans are in seconds."""

    def __init__(self, client: Redis, limits: MailboxLimits) -> None:
        self._client = client
        self._limits = limits
        self._scripts = {
            text: client.register_script(text) for text in (ENTER, RELEASE, RENEW, PAUSE)
        }

    async def enter(self, mailbox: str, ticket: str, *, size_bytes: int) -> Begun | Obstacle:
        """Begin the slot, or join the queue, or stay in it.

        To stay in the queue, call it several times in TICKET_LEASE_S. A ticket's slot and bytes are
        counted only once.
        """
        limits = self._limits.of(mailbox)
        answer, number = await self._run(
            ENTER,
            mailbox,
            ticket,
            size_bytes,
            limits.concurrent,
            limits.upload_bytes,
            _ms(limits.upload_window_s),
            _ms(SLOT_LEASE_S),
            _ms(TICKET_LEASE_S),
        )
        if answer == BEGUN:
            return Begun(number if number >= 0 else None)
        return Obstacle(number / 1000, _why(answer, limits))

    async def release(
        self, mailbox: str, ticket: str, *, size_bytes: int, unused: Begun | None = None
    ) -> None:
        """Release the slot, or leave the queue. `unused` also stops counting the slot's bytes.

        A repeat changes nothing.
        """
        if unused is None or unused.grain is None:
            await self._run(RELEASE, mailbox, ticket, 0, 0)
        else:
            await self._run(RELEASE, mailbox, ticket, unused.grain, size_bytes)

    async def renew(self, mailbox: str, ticket: str) -> None:
        """Renew the lease of a slot, unless the slot is lost."""
        await self._run(RENEW, mailbox, ticket, _ms(SLOT_LEASE_S))

    async def pause(self, mailbox: str, for_s: float) -> None:
        """Let no slot begin for `for_s`."""
        await self._run(PAUSE, mailbox, _ms(for_s))

    async def close(self) -> None:
        """Close the client."""
        await self._client.aclose()

    async def _run(self, script: str, mailbox: str, *args: str | int) -> list[int]:
        keys = [f"{KEY_PREFIX}:{mailbox}:{part}" for part in PARTS]
        try:
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                answer: list[int] = await self._scripts[script](keys, args)
        except (RedisError, OSError) as error:  # asyncio's TimeoutError is an OSError
            raise LedgerUnavailable(f"Redis: {str(error) or 'no answer in time'}") from error
        return answer


def _why(answer: int, limits: MailboxLimits) -> str:
    return {
        PAUSED: GRAPH_ASKED,
        BYTES_REACHED: limits.upload_bytes_reached,
        CONCURRENT_REACHED: limits.concurrent_reached,
    }[answer]


def _ms(span_s: float) -> int:
    return math.ceil(span_s * 1000)
