"""Fixtures that the tests of mailboxes share: a Redis, and mailboxes of both kinds."""

from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from redis.asyncio import Redis

from attachment_gateway.mailbox import Mailboxes, MailboxLimits
from attachment_gateway.mailbox.local import LocalMailboxes
from attachment_gateway.mailbox.redis import RedisMailboxes
from tests.support.redis_server import redis_server


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    """The URL of a Redis of these tests' own."""
    with redis_server() as server:
        yield server.url


@pytest.fixture(params=["local", "redis"])
async def open_mailboxes(request: pytest.FixtureRequest) -> AsyncIterator[Callable[..., Mailboxes]]:
    """Open mailboxes with the limits that are named, and without any other."""
    opened: list[Mailboxes] = []
    redis = request.getfixturevalue("redis_url") if request.param == "redis" else ""

    def open_them(concurrent: int = 0, upload_bytes: int = 0, window_s: float = 1.0) -> Mailboxes:
        limits = MailboxLimits(
            concurrent=concurrent, upload_bytes=upload_bytes, upload_window_s=window_s
        )
        opened.append(
            RedisMailboxes(Redis.from_url(redis), limits) if redis else LocalMailboxes(limits)
        )
        return opened[-1]

    yield open_them
    for each in opened:
        await each.close()
    if redis:
        async with Redis.from_url(redis) as client:
            await client.flushall()
