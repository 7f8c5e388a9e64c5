"""mailbox.senders: what tokens that Graph has not accepted, or has refused, take of a mailbox."""

import asyncio
import json
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from attachment_gateway.mailbox import GRAPH_ASKED, MailboxBusy, Mailboxes, MailboxLimits
from attachment_gateway.mailbox.identities import Identities, Standing
from attachment_gateway.mailbox.senders import SenderMailbox, SenderSlot

APP = "6731de76-14a6-49ae-97bc-6eba6914391e"
LONG_S = 60.0
MB = 1_000_000
TWO_OF_NEW = "the gateway's limit of 2 requests at once with tokens that Graph has not accepted yet"

Open = Callable[..., Mailboxes]


def token(signature: str) -> str:
    """Return a token that names APP; who has signed it is known to Graph alone."""
    claims = urlsafe_b64encode(json.dumps({"appid": APP}).encode()).decode().rstrip("=")
    return f"eyJ0.{claims}.{signature}"


class Group:
    """The mailbox of APP and one group, for any token that names APP."""

    def __init__(self, mailboxes: Mailboxes) -> None:
        self.mailboxes = mailboxes
        self.identities = Identities(b"key")

    def of(self, signature: str) -> SenderMailbox:
        return SenderMailbox(self.mailboxes, self.identities, token=token(signature), group_id="G")

    def accepted(self, signature: str = "honest") -> SenderMailbox:
        mailbox = self.of(signature)
        mailbox.note(200)
        return mailbox

    async def begin(self, stack: AsyncExitStack, *signatures: str) -> list[SenderSlot]:
        """Begin these slots at once, and send in each."""
        return [await stack.enter_async_context(sending(self.of(each))) for each in signatures]


@asynccontextmanager
async def sending(
    mailbox: SenderMailbox, upload_bytes: int = 0, within_s: float = 0
) -> AsyncIterator[SenderSlot]:
    async with mailbox.slot(upload_bytes=upload_bytes, within_s=within_s) as slot:
        slot.sends()
        yield slot


async def upload(
    mailbox: SenderMailbox, upload_bytes: int, *answers: int, within_s: float = 0
) -> None:
    async with sending(mailbox, upload_bytes, within_s) as slot:
        for http_status in answers:
            slot.answered(http_status)


async def refused(mailbox: SenderMailbox, upload_bytes: int = 0, within_s: float = 0) -> str:
    with pytest.raises(MailboxBusy) as caught:
        await upload(mailbox, upload_bytes, within_s=within_s)
    return caught.value.why


async def waiting(*uploads: asyncio.Task[None]) -> None:
    """Wait until these have reached their queues."""
    await asyncio.sleep(0.1)
    assert not any(each.done() for each in uploads)


# Limits.


def test_new_identities_have_half_of_the_slots() -> None:
    """New identities may use half of the slots, at least one; without limits there is none."""
    limits = [MailboxLimits(concurrent=concurrent) for concurrent in (0, 1, 3, 4, 9)]
    assert [each.of("new:a/g").concurrent for each in limits] == [2, 1, 1, 2, 4]
    assert {each.of("new:a/g").upload_bytes for each in limits} == {0}
    assert [each.of("a/g") for each in limits] == limits
    assert limits[3].of("new:a/g").concurrent_reached == TWO_OF_NEW
    none = MailboxLimits(concurrent=0, upload_bytes=0)
    assert none.of("new:a/g") == none


# Slots.


async def test_an_accepted_identity_gets_a_slot_beside_new_ones(open_mailboxes: Open) -> None:
    """However many new identities come, half of the slots are left to an accepted one."""
    group = Group(open_mailboxes(concurrent=4))
    honest = group.accepted()
    async with AsyncExitStack() as stack:
        await group.begin(stack, "forged 1", "forged 2")
        late = [
            asyncio.create_task(upload(group.of(f"late {number}"), 0, within_s=LONG_S))
            for number in range(20)
        ]
        await asyncio.sleep(0)
        assert await refused(group.of("forged 3")) == TWO_OF_NEW  # the first in the queue asks yet
        await waiting(*late)
        assert await refused(group.of("forged 3")) == TWO_OF_NEW
        async with sending(honest), sending(honest):
            assert await refused(honest) == "the gateway's limit of 4 requests at once"
    await asyncio.gather(*late)


async def test_new_and_accepted_identities_together_keep_the_limit(open_mailboxes: Open) -> None:
    """A new identity counts among the slots of its mailbox."""
    group = Group(open_mailboxes(concurrent=4))
    honest = group.accepted()
    async with sending(honest), sending(honest), sending(honest), sending(honest):
        assert await refused(group.of("new")) == "the gateway's limit of 4 requests at once"
    await upload(group.of("new"), 0)


async def test_an_accepted_identity_leaves_the_new_ones_at_once(open_mailboxes: Open) -> None:
    """When Graph accepts an identity, its waiting requests begin, though others still wait."""
    group = Group(open_mailboxes(concurrent=4))
    async with AsyncExitStack() as stack:
        slots = await group.begin(stack, "honest", "forged")
        begun = [asyncio.Event(), asyncio.Event()]

        async def visit(which: int) -> None:
            async with sending(group.of("honest"), within_s=LONG_S):
                begun[which].set()
                await asyncio.sleep(0.1)

        other = asyncio.create_task(upload(group.of("other"), 0, within_s=LONG_S))
        visits = [asyncio.create_task(visit(which)) for which in range(2)]
        await waiting(other, *visits)
        slots[0].answered(201)
        await asyncio.gather(*(each.wait() for each in begun), *visits)
        assert not other.done()
    await other


async def test_a_refused_identity_leaves_the_mailbox(open_mailboxes: Open) -> None:
    """When Graph refuses an identity, its waiting and later requests use a mailbox of its own."""
    group = Group(open_mailboxes(concurrent=2, upload_bytes=100, window_s=60))
    async with AsyncExitStack() as stack:
        forged = (await group.begin(stack, "forged"))[0]
        late = [
            asyncio.create_task(upload(group.of("forged"), 90, 401, within_s=LONG_S))
            for _ in range(20)
        ]
        await waiting(*late)
        forged.answered(401)
        await asyncio.gather(*late)
    for _ in range(2):
        await upload(group.of("forged"), 100, 500)
    async with AsyncExitStack() as stack:
        group.accepted()
        await group.begin(stack, "forged", "forged", "honest", "honest")
        await refused(group.of("forged"))
    await upload(group.accepted(), 100, 201)


async def test_a_cancelled_request_of_a_new_identity_leaves_nothing(open_mailboxes: Open) -> None:
    """A cancelled or refused request of a new identity leaves both of its slots free."""
    group = Group(open_mailboxes(concurrent=2, upload_bytes=100, window_s=60))
    honest = group.accepted()
    async with sending(honest), sending(honest):
        late = asyncio.create_task(upload(group.of("new"), 0, within_s=LONG_S))
        behind = asyncio.create_task(upload(group.of("behind"), 0, within_s=LONG_S))
        await waiting(late, behind)
        for each in (behind, late):
            each.cancel()
            await asyncio.wait({each})
            assert each.cancelled()
        await refused(group.of("another"), within_s=0.05)
    assert group.identities._watchers == {}
    await asyncio.sleep(0.1)  # Redis hears of a cancellation in a task of its own
    await upload(group.of("new"), 100)


# Bytes.


@pytest.mark.parametrize("signatures", [["forged"] * 60, [f"forged {each}" for each in range(60)]])
async def test_refused_uploads_spend_nothing(open_mailboxes: Open, signatures: list[str]) -> None:
    """After 60 refused uploads of 3 MB, with one token or 60, all 150 MB are left."""
    group = Group(open_mailboxes(concurrent=4, upload_bytes=150 * MB, window_s=300))
    work = [upload(group.of(each), 3 * MB, 401, within_s=LONG_S) for each in signatures]
    await asyncio.gather(*work)
    for _ in range(50):
        await upload(group.accepted(), 3 * MB, 201)
    assert "150,000,000 bytes" in await refused(group.accepted(), 1, within_s=1)


@pytest.mark.parametrize(
    ("answers", "standing", "is_counted"),
    [
        ([], Standing.NEW, True),
        ([500], Standing.NEW, True),
        ([408], Standing.NEW, True),
        ([201], Standing.NEW, True),
        ([401], Standing.NEW, False),
        ([400], Standing.NEW, False),
        ([], Standing.ACCEPTED, True),
        ([201], Standing.ACCEPTED, True),
        ([400], Standing.ACCEPTED, True),
        ([401], Standing.ACCEPTED, False),
        ([404], Standing.ACCEPTED, False),
        ([429], Standing.ACCEPTED, False),
    ],
)
async def test_the_bytes_that_graph_may_have_taken_are_counted(
    open_mailboxes: Open,
    answers: list[int],
    standing: Standing,
    is_counted: bool,
) -> None:
    """The bytes are counted unless the response shows that Graph took none."""
    group = Group(open_mailboxes(upload_bytes=100, window_s=60))
    mailbox = group.accepted("one") if standing is Standing.ACCEPTED else group.of("one")
    await upload(mailbox, 60, *answers)
    if is_counted:
        await refused(group.accepted(), 41, within_s=1)
    await upload(group.accepted(), 40 if is_counted else 100)


async def test_the_bytes_of_an_unsent_request_are_given_back(open_mailboxes: Open) -> None:
    """The bytes of a request that wasn't sent, or not whole, are given back; others aren't."""
    group = Group(open_mailboxes(upload_bytes=100, window_s=60))
    honest = group.accepted()
    async with honest.slot(upload_bytes=100, within_s=0):
        pass
    with pytest.raises(ZeroDivisionError):
        async with honest.slot(upload_bytes=100, within_s=0):
            raise ZeroDivisionError
    async with sending(honest, 100) as slot:
        slot.took_nothing()
    with pytest.raises(ZeroDivisionError):
        async with sending(honest, 40):
            raise ZeroDivisionError
    await refused(honest, 61, within_s=1)
    await upload(honest, 60)


# Pauses.


async def test_a_pause_of_a_new_identity_delays_only_new_ones(open_mailboxes: Open) -> None:
    """A 429 to a new identity delays new identities, and no accepted one."""
    group = Group(open_mailboxes(concurrent=4))
    assert not await group.of("forged").pause(60)
    assert await refused(group.of("another"), within_s=1) == GRAPH_ASKED
    await upload(group.accepted(), 0)


async def test_a_pause_of_a_refused_identity_delays_it_alone(open_mailboxes: Open) -> None:
    """A 429 to a refused identity delays no other."""
    group = Group(open_mailboxes(concurrent=4))
    forged = group.of("forged")
    forged.note(401)
    assert not await forged.pause(60)
    assert await refused(forged, within_s=1) == GRAPH_ASKED
    await upload(group.of("another"), 0)
    await upload(group.accepted(), 0)


async def test_a_pause_of_an_accepted_identity_delays_all(open_mailboxes: Open) -> None:
    """A 429 to an accepted identity delays all of its mailbox, new identities included."""
    group = Group(open_mailboxes(concurrent=4))
    assert await group.accepted().pause(60)
    for mailbox in (group.accepted(), group.accepted("other"), group.of("new")):
        assert await refused(mailbox, within_s=1) == GRAPH_ASKED
