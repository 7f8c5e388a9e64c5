"""ledger: what holds for each of the three ledgers, on the same clock."""

import asyncio
from typing import Any

import pytest

from attachment_gateway.ledger import (
    LEASE_S,
    NOT_FREE,
    Acquired,
    Created,
    End,
    EndedAbsent,
    EndedCreated,
    EndedUnchanged,
    EndedUnknown,
    InProgress,
    Lease,
    Ledger,
    Look,
    Queued,
    Reused,
    Sending,
    SentAttempt,
)
from tests.support.three_ledgers import Ledgers

# The lease lasts 10 s, settling takes 15 s, the retention of what isn't touched is 1000 s.
assert LEASE_S == 10


def lease(holder: str, request_id: str = "", fingerprint: bytes = b"f", post: str = "g/p") -> Lease:
    return Lease(holder=holder, post=post, request_id=request_id, fingerprint=fingerprint)


A, B, C = lease("a"), lease("b"), lease("c")

# Three calls with one request id.
A1, B1, C1 = lease("a", "r1"), lease("b", "r1"), lease("c", "r1")

WALL_S = 1_795_000_000.0


def sending(settles_in_s: float, **others: Any) -> Sending:
    return Sending(settles_in_s=settles_in_s, wall_s=WALL_S, **others)


def attempt(began_ago_s: float, settles_in_s: float, **others: Any) -> SentAttempt:
    values = {"wall_s": WALL_S, "baseline": None, **others}
    return SentAttempt(began_ago_s=began_ago_s, settles_in_s=settles_in_s, **values)


def found(began_ago_s: float, settles_in_s: float, **others: Any) -> Acquired:
    """Return the standing of a lease that has taken over one attempt."""
    return Acquired(attempts=(attempt(began_ago_s, settles_in_s, **others),))


# The queue of a post.


async def test_a_lease_in_an_empty_queue_is_acquired(ledger: Ledger) -> None:
    """A lease is acquired at once when the post's queue is empty."""
    assert await ledger.acquire(A) == Acquired()


@pytest.mark.parametrize(
    "end",
    [EndedCreated("x"), EndedAbsent(), EndedUnchanged(), EndedUnknown(settles_in_s=0)],
    ids=lambda end: type(end).__name__,
)
async def test_the_second_lease_waits_for_the_first(
    ledger: Ledger, other: Ledger, end: End
) -> None:
    """The second lease is acquired once the first is released, however it ended."""
    await ledger.acquire(A)
    assert await other.acquire(B) == Queued()
    await ledger.release(A, end)
    assert await other.acquire(B) == Acquired()


async def test_leases_are_acquired_in_the_order_of_arrival(ledger: Ledger, other: Ledger) -> None:
    """Leases are acquired in the order of their first `acquire`, across processes."""
    assert await ledger.acquire(A) == Acquired()
    assert await other.acquire(B) == Queued()
    assert await ledger.acquire(C) == Queued()
    await ledger.release(A, EndedAbsent())
    assert await ledger.acquire(C) == Queued()
    assert await other.acquire(B) == Acquired()
    await other.release(B, EndedAbsent())
    assert await ledger.acquire(C) == Acquired()


async def test_each_post_has_a_queue_of_its_own(ledger: Ledger) -> None:
    """A lease for one post doesn't delay a lease for another."""
    await ledger.acquire(A)
    assert await ledger.acquire(lease("b", post="g/q")) == Acquired()


async def test_a_queued_lease_can_be_released(ledger: Ledger) -> None:
    """When a queued lease is released, those behind it move up."""
    for each in (A, B, C):
        await ledger.acquire(each)
    await ledger.release(B, EndedAbsent())
    await ledger.release(A, EndedAbsent())
    assert await ledger.acquire(C) == Acquired()


async def test_a_lease_that_has_ended_is_passed_over(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """The next lease is acquired when the first one's 10 s are over, and not before."""
    await ledger.acquire(A)
    await ledgers.after(9)
    assert await other.acquire(B) == Queued()
    await ledgers.after(1)
    assert await other.acquire(B) == Acquired()


async def test_acquire_renews_the_lease(ledger: Ledger, ledgers: Ledgers) -> None:
    """A repeated `acquire` renews a lease, whether it is queued or held."""
    await ledger.acquire(A)
    for _ in range(5):
        await ledgers.after(8)
        assert await ledger.acquire(B) == Queued()
        assert await ledger.acquire(A) == Acquired()


async def test_a_queued_lease_that_has_ended_is_passed_over(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """A queued lease that isn't renewed within 10 s is passed over."""
    for each in (A, B, C):
        await ledger.acquire(each)
    await ledgers.after(9)
    await ledger.renew(A)
    await ledger.acquire(C)
    await ledgers.after(9)
    await ledger.release(A, EndedAbsent())
    assert await ledger.acquire(C) == Acquired()


async def test_a_holder_that_died_sending_blocks_the_post_until_settled(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """A lease whose holder died sending blocks its post until 15 s after the lease's end."""
    await ledger.acquire(A)
    await ledgers.after(5)
    assert await ledger.record_sending(A, sending(60))
    await ledgers.after(24.5)
    assert await ledger.acquire(B) == Queued()
    await ledgers.after(0.5)
    assert await ledger.acquire(B) == Acquired()


async def test_an_unknown_end_blocks_the_post_until_settled(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """A lease released as unknown blocks its post for `settles_in_s`, without renewal."""
    await ledger.acquire(A)
    await ledger.release(A, EndedUnknown(settles_in_s=40))
    await ledgers.after(39)
    assert await ledger.acquire(B) == Queued()
    await ledgers.after(1)
    assert await ledger.acquire(B) == Acquired()


# Leases.


async def test_a_held_lease_can_be_renewed_again_and_again(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """Each renewal extends a held lease, and other leases stay queued."""
    await ledger.acquire(A)
    for _ in range(5):
        await ledgers.after(9)
        assert await ledger.renew(A)
    assert await ledger.acquire(B) == Queued()


@pytest.mark.parametrize("held", [A, A1], ids=["without an id", "with one"])
async def test_a_lease_that_has_ended_can_still_be_renewed(
    ledger: Ledger, ledgers: Ledgers, held: Lease
) -> None:
    """A lease that has ended can be renewed as long as no other lease has been acquired."""
    await ledger.acquire(held)
    await ledgers.after(30)
    assert await ledger.renew(held)
    assert await ledger.acquire(B) == Queued()
    await ledgers.after(30)
    assert await ledger.record_sending(held, sending(15))


@pytest.mark.parametrize("held", [A, A1], ids=["without an id", "with one"])
async def test_a_lease_that_was_passed_over_is_lost(
    ledger: Ledger, other: Ledger, ledgers: Ledgers, held: Lease
) -> None:
    """A lease that was passed over can't be renewed, can't send, and blocks nobody."""
    await ledger.acquire(held)
    await ledgers.after(10)
    assert await other.acquire(B) == Acquired()
    assert not await ledger.renew(held)
    assert not await ledger.record_sending(held, sending(15))
    await ledger.release(held, EndedUnknown(settles_in_s=100))
    await other.release(B, EndedAbsent())
    assert await other.acquire(C) == Acquired()


async def test_a_lease_is_lost_when_its_request_id_is_taken_over(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A lease is lost when another lease has taken over its request id."""
    await ledger.acquire(A1)
    await ledgers.after(10)
    assert await other.acquire(B1) == Acquired()
    assert not await ledger.renew(A1)
    assert not await ledger.record_sending(A1, sending(15))
    assert await other.renew(B1)


async def test_a_lease_that_was_never_acquired_is_not_held(ledger: Ledger) -> None:
    """A lease that was never acquired can't be renewed, and releasing it changes nothing."""
    assert not await ledger.renew(A1)
    assert not await ledger.record_sending(A1, sending(15))
    await ledger.release(A1, EndedUnknown(settles_in_s=100))
    assert await ledger.acquire(B1) == Acquired()


@pytest.mark.parametrize("end", [EndedCreated("x"), EndedAbsent(), EndedUnknown(settles_in_s=40)])
@pytest.mark.parametrize("held", [A, A1], ids=["without an id", "with one"])
async def test_a_released_lease_is_not_held(ledger: Ledger, held: Lease, end: End) -> None:
    """A lease can't be renewed, and can't send, after its release."""
    await ledger.acquire(held)
    await ledger.release(held, end)
    assert not await ledger.renew(held)
    assert not await ledger.record_sending(held, sending(15))


async def test_a_lease_is_forgotten_after_the_retention(ledger: Ledger, ledgers: Ledgers) -> None:
    """A lease that ended can't be renewed after the retention, even if no other wants its place."""
    await ledger.acquire(A)
    await ledgers.after(1009)
    assert await ledger.renew(A)
    await ledgers.after(1010)
    assert not await ledger.renew(A)


# Request ids.


async def test_a_held_request_id_is_in_progress(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """Another call with a held request id learns how long the lease lasts, and isn't queued."""
    await ledger.acquire(A1)
    await ledgers.after(4)
    assert await other.acquire(B1) == InProgress(lease_left_s=6)
    await ledger.renew(A1)
    assert await other.acquire(B1) == InProgress(lease_left_s=10)
    await ledger.release(A1, EndedAbsent())
    assert await other.acquire(C) == Acquired()


async def test_a_queued_request_id_is_in_progress_too(ledger: Ledger) -> None:
    """A request id whose lease is still queued is in progress for other calls."""
    await ledger.acquire(C)
    assert await ledger.acquire(A1) == Queued()
    assert await ledger.acquire(B1) == InProgress(lease_left_s=10)
    assert await ledger.acquire(A1) == Queued()


REUSES = pytest.mark.parametrize(
    "reuse", [lease("b", "r1", b"other"), lease("b", "r1", post="g/q")], ids=["print", "post"]
)


@pytest.mark.parametrize(
    "end", [EndedCreated("x"), EndedAbsent()], ids=lambda end: type(end).__name__
)
@REUSES
async def test_a_request_id_of_another_request_is_refused(
    ledger: Ledger, ledgers: Ledgers, end: End, reuse: Lease
) -> None:
    """A request id is refused for another content or post until it is forgotten."""
    await ledger.acquire(A1)
    assert await ledger.acquire(reuse) == Reused()
    await ledger.release(A1, end)
    assert await ledger.acquire(reuse) == Reused()
    assert await ledger.find(reuse) == Reused()
    await ledgers.after(999)
    assert await ledger.acquire(reuse) == Reused()
    await ledgers.after(1)
    assert await ledger.acquire(reuse) == Acquired()


@pytest.mark.parametrize(
    "end", [None, EndedUnknown(settles_in_s=5)], ids=lambda end: type(end).__name__
)
@REUSES
async def test_a_held_or_unsettled_request_id_is_never_forgotten(
    ledger: Ledger, other: Ledger, ledgers: Ledgers, end: End | None, reuse: Lease
) -> None:
    """The entry of a holder that died, or of an unknown end, doesn't expire."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    if end:
        await ledger.release(A1, end)
    await ledgers.after(100_000)
    assert await other.acquire(reuse) == Reused()
    assert await other.acquire(B1) == found(100_000, (5 if end else 60) - 100_000)


async def test_a_repeat_of_a_created_request_learns_the_attachment(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A repeat learns the attachment's id and age, at once, and isn't queued."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedCreated("AAMk="))
    await ledger.acquire(C)
    await ledgers.after(7)
    assert await other.acquire(B1) == Created(attachment_id="AAMk=", ago_s=7)
    assert await other.acquire(A1) == Created(attachment_id="AAMk=", ago_s=7)
    await ledger.release(C, EndedAbsent())
    assert await other.acquire(B) == Acquired()


async def test_a_created_attachment_is_forgotten_after_the_retention(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """A created attachment is kept for the retention, which `acquire` doesn't prolong."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedCreated("x"))
    await ledgers.after(999)
    assert await ledger.acquire(B1) == Created(attachment_id="x", ago_s=999)
    assert await ledger.claimed("g/p") == {"x"}
    await ledgers.after(1)
    assert await ledger.acquire(B1) == Acquired()
    if ledgers.kind != "redis":  # whose own clock expires claims
        assert await ledger.claimed("g/p") == frozenset()


async def test_a_repeat_of_an_absent_request_begins_again(ledger: Ledger) -> None:
    """A repeat of a request that created nothing begins again, at the end of the queue."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    await ledger.acquire(C)
    await ledger.release(A1, EndedAbsent())
    assert await ledger.acquire(B1) == Queued()
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(B1) == Acquired()


async def test_a_repeat_takes_over_the_head_of_the_queue(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A repeat takes over the ended lease of its request id at the head of the queue."""
    await ledger.acquire(A1)
    await ledgers.after(8)
    await other.acquire(C)
    await ledgers.after(2)
    assert await other.acquire(B1) == Acquired()
    assert await other.acquire(C) == Queued()


async def test_a_repeat_takes_over_a_position_within_the_queue(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A repeat takes over the position of a queued lease that has ended."""
    for each in (C, A1, lease("d")):
        await ledger.acquire(each)
    await ledgers.after(9)
    for each in (C, lease("d")):
        await ledger.acquire(each)
    await ledgers.after(1)
    assert await other.acquire(B1) == Queued()
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(lease("d")) == Queued()
    assert await other.acquire(B1) == Acquired()


async def test_a_holder_that_died_sending_is_taken_over(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A repeat takes over what was sent as soon as the lease has ended, before it is settled."""
    await ledger.acquire(A1)
    await ledgers.after(2)
    await ledger.record_sending(A1, sending(60))
    await other.acquire(C)
    await ledgers.after(9)
    assert await other.acquire(B1) == InProgress(lease_left_s=1)
    await ledgers.after(1)
    assert await other.acquire(B1) == found(10, 50)
    assert await other.acquire(C) == Queued()


@pytest.mark.parametrize("created", [False, True])
async def test_an_unknown_end_is_taken_over(
    ledger: Ledger, other: Ledger, ledgers: Ledgers, created: bool
) -> None:
    """A repeat takes over an unknown end at once, with its position and all that is known."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    await ledgers.after(3)
    await ledger.release(A1, EndedUnknown(settles_in_s=15, created=created))
    await ledger.acquire(C)
    standing = found(3, 15, created=created)
    assert await other.acquire(B1) == standing
    assert await ledger.acquire(C) == Queued()


async def test_an_unknown_end_stays_unknown_after_it_is_settled(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """After the settling other leases go first, but a repeat still finds the unsettled sending."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    await ledger.release(A1, EndedUnknown(settles_in_s=15))
    await ledgers.after(500)
    await ledger.acquire(C)
    assert await ledger.acquire(B1) == Queued()
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(B1) == found(500, -485)


async def test_an_unsettled_sending_outlives_its_next_holders(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A holder that took over and died without sending leaves what it found."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    await ledgers.after(10)
    assert await other.acquire(B1) == found(10, 50)
    await ledgers.after(10)
    assert await ledger.acquire(C1) == found(20, 40)


async def test_a_takeover_blocks_the_post_until_settled(ledger: Ledger, ledgers: Ledgers) -> None:
    """A lease that took over an unsettled sending blocks its post until that is settled."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnknown(settles_in_s=100))
    await ledger.acquire(B1)
    await ledgers.after(99)
    assert await ledger.acquire(C) == Queued()
    await ledgers.after(1)
    assert await ledger.acquire(C) == Acquired()


async def test_a_takeover_that_sends_nothing_adds_no_settling(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """A lease that took over and sent nothing blocks its post only until the lease ends.

    The sending is settled at 25 s, and the lease that took it over ends at 30 s.
    """
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(15))
    await ledgers.after(20)
    await ledger.acquire(B1)
    await ledgers.after(9)
    assert await ledger.acquire(C) == Queued()
    await ledgers.after(1)
    assert await ledger.acquire(C) == Acquired()


async def test_a_takeover_that_ends_absent_settles_the_sending(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """When a lease that took over ends absent, nothing is unsettled and the post is free."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnknown(settles_in_s=100, created=True))
    await ledger.acquire(B1)
    await ledger.release(B1, EndedAbsent())
    assert await ledger.acquire(C1) == Acquired()


async def test_an_unchanged_end_leaves_the_unsettled_sending(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """A lease that ends unchanged, even while queued, leaves the sending it found unsettled."""
    await ledger.acquire(C)
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    await ledger.release(A1, EndedUnknown(settles_in_s=40, created=True))
    await ledgers.after(5)
    assert await ledger.acquire(C) == Acquired()
    assert await ledger.acquire(B1) == Queued()
    await ledger.release(B1, EndedUnchanged())
    assert not await ledger.renew(B1)
    await ledger.acquire(lease("d"))
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(lease("d")) == Queued()
    assert await ledger.acquire(C1) == found(5, 35, created=True)
    await ledger.release(C1, EndedUnchanged())
    await ledgers.after(35)
    assert await ledger.acquire(lease("d")) == Acquired()


@pytest.mark.parametrize("gives_up", [A, A1], ids=["without an id", "with one"])
async def test_a_queued_lease_that_ends_unchanged_leaves_nothing(
    ledger: Ledger, gives_up: Lease
) -> None:
    """A queued lease that found nothing and ends unchanged leaves nothing behind."""
    await ledger.acquire(C)
    assert await ledger.acquire(gives_up) == Queued()
    await ledger.release(gives_up, EndedUnchanged())
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(B1) == Acquired()


async def test_a_new_attempt_replaces_the_earlier_sending(ledger: Ledger, ledgers: Ledgers) -> None:
    """A new attempt discards the earlier sending's times and its success."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    await ledger.release(A1, EndedUnknown(settles_in_s=60, created=True))
    await ledger.acquire(B1)
    await ledgers.after(5)
    await ledger.record_sending(B1, sending(20))
    await ledgers.after(10)
    assert await ledger.acquire(C1) == found(10, 10)


async def test_recording_a_sending_renews_the_lease(ledger: Ledger, ledgers: Ledgers) -> None:
    """`record_sending` renews the lease."""
    await ledger.acquire(A1)
    await ledgers.after(9)
    await ledger.record_sending(A1, sending(60))
    await ledgers.after(9)
    assert await ledger.acquire(B1) == InProgress(lease_left_s=1)


async def test_a_success_that_graph_told_is_not_forgotten(ledger: Ledger, ledgers: Ledgers) -> None:
    """`created` stays true when a later holder ends as unknown without it."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    await ledger.release(A1, EndedUnknown(settles_in_s=15, created=True))
    await ledger.acquire(B1)
    await ledger.release(B1, EndedUnknown(settles_in_s=10))
    assert await ledger.acquire(C1) == found(0, 10, created=True)


async def test_an_unsettled_sending_outlives_a_short_retention(ledgers: Ledgers) -> None:
    """With a retention of 1 s, an unsettled sending is kept until it is settled.

    After the absent end, the entry is kept for a lease and the settling: 25 s.
    """
    ledgers.retention_s = 1
    ledger = await ledgers.open()
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    await ledger.release(A1, EndedUnknown(settles_in_s=100))
    await ledgers.after(99)
    standing = found(99, 1)
    assert await ledger.acquire(B1) == standing
    await ledger.release(B1, EndedAbsent())
    await ledgers.after(24)
    assert await ledger.acquire(lease("c", "r1", b"other")) == Reused()
    await ledgers.after(1)
    assert await ledger.acquire(lease("c", "r1", b"other")) == Acquired()


async def test_a_renewed_request_id_outlives_a_short_retention(ledgers: Ledgers) -> None:
    """With a retention of 1 s, a request id is kept while its lease is renewed."""
    ledgers.retention_s = 1
    ledger = await ledgers.open()
    await ledger.acquire(A1)
    for _ in range(10):
        await ledgers.after(9)
        assert await ledger.renew(A1)
    assert await ledger.acquire(B1) == InProgress(lease_left_s=10)


# Holders that come back after their lease was taken over.


@pytest.fixture
async def late(ledger: Ledger, other: Ledger, ledgers: Ledgers) -> Ledger:
    """A ledger in which A1 has sent, and B1 has taken over its request id."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, sending(60))
    await ledgers.after(10)
    assert isinstance(await other.acquire(B1), Acquired)
    return ledger


@pytest.mark.parametrize(
    "end", [EndedAbsent(), EndedUnchanged(), EndedUnknown(settles_in_s=500, created=True)]
)
async def test_a_late_release_without_an_attachment_changes_nothing(
    late: Ledger, other: Ledger, end: End
) -> None:
    """A late release without an attachment changes neither B1's lease nor what it found."""
    await late.release(A1, end)
    assert await late.acquire(A1) == InProgress(lease_left_s=10)
    assert await other.acquire(B1) == found(10, 50)


async def test_a_takeover_that_ends_unchanged_leaves_the_sending(
    late: Ledger, other: Ledger
) -> None:
    """What A1 sent stays unsettled when B1 ends unchanged."""
    await other.release(B1, EndedUnchanged())
    assert await late.acquire(C1) == found(10, 50)


async def test_an_unchanged_end_without_a_sending_leaves_nothing(
    ledger: Ledger, other: Ledger
) -> None:
    """A lease that sent nothing and ends unchanged leaves neither a queue nor a request id."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnchanged())
    assert await other.acquire(B) == Acquired()
    await other.release(B, EndedUnchanged())
    assert await other.acquire(C1) == Acquired()


async def test_a_late_attachment_ends_the_lease_that_took_over(late: Ledger, other: Ledger) -> None:
    """When A1 comes back with the attachment, B1 loses its lease and finds the attachment."""
    await late.release(A1, EndedCreated("x"))
    assert not await other.renew(B1)
    assert not await other.record_sending(B1, sending(60))
    assert await other.find(B1) == Created(attachment_id="x", ago_s=0)
    assert await late.claimed("g/p") == {"x"}


@pytest.mark.parametrize(
    "end", [EndedAbsent(), EndedUnchanged(), EndedUnknown(settles_in_s=0), EndedCreated("y")]
)
async def test_a_later_end_does_not_replace_the_attachment(
    late: Ledger, other: Ledger, end: End
) -> None:
    """However B1 ends after A1's attachment, the request id keeps that attachment.

    No lease of B1 blocks the post then, and an attachment of B1's is claimed too.
    """
    await late.release(A1, EndedCreated("x"))
    await other.release(B1, end)
    assert await other.acquire(C1) == Created(attachment_id="x", ago_s=0)
    assert await other.acquire(C) == Acquired()
    surplus = {"y"} if end == EndedCreated("y") else set()
    assert await other.claimed("g/p") == {"x"} | surplus


async def test_a_queued_lease_leaves_the_queue_on_a_late_attachment(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A queued lease is told of a late attachment and leaves the queue."""
    await ledger.acquire(C)
    await ledger.acquire(A1)
    await ledgers.after(9)
    await ledger.acquire(C)
    await ledgers.after(1)
    assert await other.acquire(B1) == Queued()
    await ledger.release(A1, EndedCreated("x"))
    assert await other.acquire(B1) == Created(attachment_id="x", ago_s=0)
    await ledger.acquire(lease("d"))
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(lease("d")) == Acquired()


async def test_a_sending_blocks_the_post_despite_a_late_attachment(
    late: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """B1's own sending blocks the post until settled, even after A1's late attachment."""
    await other.record_sending(B1, sending(60))
    await late.release(A1, EndedCreated("x"))
    assert await other.acquire(B1) == Created(attachment_id="x", ago_s=0)
    await ledgers.after(24)
    assert await late.acquire(C) == Queued()
    await ledgers.after(1)
    assert await late.acquire(C) == Acquired()


async def test_an_attachment_after_an_unknown_end_is_recorded(ledger: Ledger) -> None:
    """A holder that ended as unknown can still record the attachment."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnknown(settles_in_s=100))
    await ledger.release(A1, EndedCreated("x"))
    assert await ledger.acquire(B1) == Created(attachment_id="x", ago_s=0)
    assert await ledger.acquire(C) == Acquired()


async def test_a_late_attachment_outweighs_an_absent_end(late: Ledger, other: Ledger) -> None:
    """A late attachment is recorded even if a later holder ended absent."""
    await other.release(B1, EndedAbsent())
    await late.release(A1, EndedCreated("x"))
    assert await other.acquire(C1) == Created(attachment_id="x", ago_s=0)


async def test_an_attachment_of_a_forgotten_request_id_is_recorded(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """The attachment of a forgotten request id is recorded, unless another request has that id."""
    await ledger.acquire(A1)
    await ledgers.after(1000)
    await ledger.release(A1, EndedCreated("x"))
    assert await ledger.acquire(B1) == Created(attachment_id="x", ago_s=0)
    await ledgers.after(1000)
    reused = lease("c", "r1", b"other")
    assert await ledger.acquire(reused) == Acquired()
    await ledger.release(A1, EndedCreated("y"))
    assert await ledger.acquire(reused) == Acquired()
    assert "y" in await ledger.claimed("g/p")
    if ledgers.kind != "redis":
        assert await ledger.claimed("g/p") == {"y"}


@pytest.mark.parametrize(
    "end", [EndedCreated("x"), EndedAbsent(), EndedUnchanged(), EndedUnknown(settles_in_s=40)]
)
async def test_a_repeated_release_changes_nothing(
    ledger: Ledger, ledgers: Ledgers, end: End
) -> None:
    """A second release with the same end changes nothing."""
    await ledger.acquire(A1)
    await ledger.release(A1, end)
    standing = await ledger.acquire(B1)
    await ledger.release(A1, end)
    assert await ledger.acquire(B1) == standing


async def test_an_absent_end_after_an_unknown_end_changes_nothing(ledger: Ledger) -> None:
    """An absent end that follows the lease's unknown end changes nothing."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnknown(settles_in_s=40))
    await ledger.release(A1, EndedAbsent())
    assert await ledger.acquire(C) == Queued()
    assert await ledger.acquire(B1) == found(0, 40, wall_s=None)


# `find` looks a request id up without acquiring.


async def test_find_returns_none_for_what_acquire_would_take(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """`find` returns None where `acquire` would join the queue.

    That is without a request id or an entry, for the holder itself, and for an ended or absent
    lease.
    """
    assert await ledger.find(A) is None
    assert await ledger.find(A1) is None
    await ledger.acquire(A1)
    assert await ledger.find(A1) is None
    await ledgers.after(10)
    assert await ledger.find(B1) is None
    await ledger.release(A1, EndedAbsent())
    assert await ledger.find(B1) is None


async def test_find_returns_what_acquire_would_return(ledger: Ledger, ledgers: Ledgers) -> None:
    """`find` returns InProgress and Created as `acquire` would."""
    await ledger.acquire(A1)
    await ledgers.after(3)
    assert await ledger.find(B1) == InProgress(lease_left_s=7)
    await ledger.release(A1, EndedCreated("x"))
    await ledgers.after(3)
    assert await ledger.find(B1) == Created(attachment_id="x", ago_s=3)


async def test_find_acquires_nothing(ledger: Ledger, ledgers: Ledgers) -> None:
    """`find` takes neither a new request id nor one whose lease has ended."""
    await ledger.find(A1)
    assert await ledger.acquire(B1) == Acquired()
    await ledgers.after(10)
    await ledger.find(C1)
    assert await ledger.renew(B1)


# Attachments that calls have returned.


async def test_attachments_of_all_processes_are_claimed(ledger: Ledger, other: Ledger) -> None:
    """`claimed` has the post's attachments of all processes, with and without a request id."""
    for each, attachment_id in ((A1, "x"), (B, "y"), (lease("c", post="g/q"), "z")):
        await ledger.acquire(each)
        await ledger.release(each, EndedCreated(attachment_id))
    assert await other.claimed("g/p") == {"x", "y"}
    assert await other.claimed("g/q") == {"z"}
    assert await other.claimed("g/none") == frozenset()


async def test_a_repeated_attachment_extends_its_retention(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """The retention of an attachment's id begins with the last release that named it."""
    await ledger.release(A, EndedCreated("x"))
    await ledgers.after(600)
    await ledger.release(B, EndedCreated("x"))
    await ledgers.after(600)
    assert await ledger.claimed("g/p") == {"x"}


async def test_names_may_contain_any_characters(ledger: Ledger) -> None:
    """Holders, posts, request ids and attachment ids may contain any characters."""
    odd = Lease(
        holder="h {}:\n'\"",
        post="gruppe/größe {x}:* \0 'p'",
        request_id="ä:{b}",
        fingerprint=bytes(range(256)),
    )
    assert await ledger.acquire(odd) == Acquired()
    await ledger.release(odd, EndedCreated("AAMkAD_-=/+ü"))
    assert await ledger.acquire(odd) == Created(attachment_id="AAMkAD_-=/+ü", ago_s=0)
    assert await ledger.claimed(odd.post) == {"AAMkAD_-=/+ü"}


async def test_forty_leases_at_once_are_acquired_one_by_one(ledger: Ledger, other: Ledger) -> None:
    """Of 40 leases acquired at once exactly one is at the head, and each gets there in the end."""
    leases = [lease(f"h{n}", f"r{n}") for n in range(40)]
    opened = [ledger, other]
    standings = await asyncio.gather(
        *(opened[n % 2].acquire(each) for n, each in enumerate(leases))
    )
    assert standings.count(Acquired()) == 1
    waiting = list(leases)
    while waiting:
        [head] = [each for each in waiting if await ledger.acquire(each) == Acquired()]
        await other.release(head, EndedCreated(head.holder))
        waiting.remove(head)
    assert len(await ledger.claimed("g/p")) == 40


# A sending that is recorded while acquiring, and the baseline of an attempt.

SENDING = Acquired(is_sending=True)


async def test_acquire_can_record_the_sending(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """`acquire` with `sending` records it if there are no earlier attempts."""
    assert await ledger.acquire(A1, sending=sending(60)) == SENDING
    await ledgers.after(10)
    assert await other.acquire(B1, sending=sending(500)) == found(10, 50)
    assert await other.acquire(B1) == found(10, 50)


async def test_a_queued_lease_records_no_sending(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """`acquire` with `sending` records nothing while the lease is queued."""
    await ledger.acquire(A)
    assert await other.acquire(B1, sending=sending(60)) == Queued()
    await ledgers.after(9)
    await ledger.renew(A)
    assert await other.acquire(B1, sending=sending(60)) == Queued()
    await ledger.release(A, EndedAbsent())
    await ledgers.after(10)
    assert await ledger.acquire(C1, sending=sending(60)) == SENDING


async def test_a_sending_that_was_recorded_while_acquiring_blocks_the_post(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """A holder that dies after `acquire` has recorded its sending blocks the post for 25 s."""
    assert await ledger.acquire(A, sending=sending(60)) == SENDING
    await ledgers.after(24)
    assert await ledger.acquire(B) == Queued()
    await ledgers.after(1)
    assert await ledger.acquire(B) == Acquired()


async def test_a_baseline_is_kept_with_its_attempt(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """Whoever takes over an attempt gets its baseline, the empty one included, and its moment."""
    await ledger.acquire(A1, sending=sending(60, baseline=b"\0\xff ids"))
    await ledgers.after(10)
    assert await other.acquire(B1) == found(10, 50, baseline=b"\0\xff ids")
    await other.record_sending(B1, sending(60, baseline=b""))
    await ledgers.after(10)
    assert await ledger.acquire(C1) == found(10, 50, baseline=b"")


# `look` shows the post's turn: whether another lease was there since a baseline was asked for.


async def test_a_look_at_an_idle_post_shows_its_last_turn(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """The turn is 0 at first, and the last lease's number for 15 s after the last end."""
    assert await ledger.look(A1) == Look(is_known=False, turn=0)
    await other.acquire(B)
    assert await ledger.look(A1) == Look(is_known=False, turn=NOT_FREE)
    await other.release(B, EndedCreated("x"))
    assert await ledger.look(A1) == Look(is_known=False, turn=1)
    await other.acquire(C)
    await other.release(C, EndedAbsent())
    await ledgers.after(14)
    assert await ledger.look(A1) == Look(is_known=False, turn=2)
    await ledgers.after(1)
    assert await ledger.look(A1) == Look(is_known=False, turn=0)


async def test_a_look_tells_whether_the_request_id_is_known(ledger: Ledger) -> None:
    """A request id is known from its first lease on; a lease without one never is."""
    assert not (await ledger.look(A)).is_known
    await ledger.acquire(A1)
    assert (await ledger.look(B1)).is_known
    await ledger.release(A1, EndedCreated("x"))
    assert (await ledger.look(B1)).is_known


async def test_a_look_changes_nothing(ledger: Ledger) -> None:
    """A look doesn't join the queue."""
    await ledger.look(A1)
    assert await ledger.acquire(B) == Acquired()


async def test_a_sending_with_the_posts_turn_is_recorded(ledger: Ledger, other: Ledger) -> None:
    """With nobody in the queue since the look, `acquire` records the sending with its baseline."""
    await other.acquire(C)
    await other.release(C, EndedAbsent())
    turn = (await ledger.look(A1)).turn
    assert await ledger.acquire(A1, sending=sending(60, turn=turn, baseline=b"ids")) == SENDING
    assert await ledger.acquire(A1) == found(0, 60, baseline=b"ids")


@pytest.mark.parametrize(
    "end", [EndedCreated("x"), EndedAbsent(), EndedUnchanged(), EndedUnknown(settles_in_s=0)]
)
async def test_a_sending_with_an_old_turn_is_not_recorded(
    ledger: Ledger, other: Ledger, end: End
) -> None:
    """If a lease was in the queue since the look, `acquire` records no sending, however it ended.

    `record_sending` records it without the baseline.
    """
    old = sending(60, turn=(await ledger.look(A1)).turn, baseline=b"ids")
    await other.acquire(C)
    await other.release(C, end)
    assert await ledger.acquire(A1, sending=old) == Acquired()
    assert await ledger.record_sending(A1, old)
    assert await ledger.acquire(A1) == found(0, 60, baseline=None)


async def test_a_lease_that_joined_and_left_while_another_waited_is_noticed(
    ledger: Ledger, other: Ledger
) -> None:
    """A waiting lease whose look was before the holder's lease records no sending."""
    old = sending(60, turn=(await ledger.look(A1)).turn)
    await other.acquire(C)
    assert await ledger.acquire(A1, sending=old) == Queued()
    await other.release(C, EndedCreated("x"))
    assert await ledger.acquire(A1, sending=old) == Acquired()


@pytest.mark.parametrize("is_repeat", [False, True], ids=["comes back", "is taken over"])
async def test_a_post_is_not_free_while_an_ended_lease_can_come_back(
    ledger: Ledger, other: Ledger, ledgers: Ledgers, is_repeat: bool
) -> None:
    """A lease that has ended and wasn't released can be renewed, or taken over with its number.

    It can send then, so nobody may take the post for free before.
    """
    await other.acquire(B1)
    await ledgers.after(30)
    looked = await ledger.look(A)
    assert await (other.acquire(C1) if is_repeat else other.renew(B1))
    await other.release(C1 if is_repeat else B1, EndedCreated("x"))
    assert looked.turn == NOT_FREE
    assert (await ledger.look(A)).turn == 1


async def test_a_settled_unknown_end_is_taken_over_with_a_new_turn(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A repeat of a settled unknown end gets a new number, so that others notice it."""
    await other.acquire(B1)
    await other.release(B1, EndedUnknown(settles_in_s=15))
    await ledgers.after(15)
    old = sending(60, turn=(await ledger.look(A)).turn)
    assert (old.turn, await other.acquire(C1)) == (1, found(15, 0, wall_s=None))
    await other.release(C1, EndedCreated("x"))
    assert await ledger.acquire(A, sending=old) == Acquired()


# The attempts of a request id.


async def absent_attempts(ledger: Ledger, ledgers: Ledgers, count: int) -> None:
    """Let A1 record attempts 100 s apart, with baselines b"0", b"1" …, that created nothing."""
    for number in range(count):
        assert await ledger.record_sending(A1, sending(60, baseline=str(number).encode()))
        await ledgers.after(50)
        assert await ledger.record_absent(A1)
        await ledgers.after(50)


async def test_absent_attempts_stay_in_the_entry(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """An attempt marked as absent stays with its moment and baseline, also after an absent end."""
    await ledger.acquire(A1)
    await absent_attempts(ledger, ledgers, 2)
    await ledger.release(A1, EndedAbsent())
    expected = (
        attempt(200, -140, baseline=b"0", absent=True),
        attempt(100, -40, baseline=b"1", absent=True),
    )
    standing = await other.acquire(B1, sending=sending(60))
    assert standing == Acquired(attempts=expected)
    assert isinstance(standing, Acquired)
    assert standing.unsettled is None


async def test_only_the_last_attempt_is_unsettled(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A further attempt replaces one that isn't marked as absent, and follows those that are."""
    await ledger.acquire(A1)
    await absent_attempts(ledger, ledgers, 1)
    await ledger.record_sending(A1, sending(60, baseline=b"replaced"))
    await ledger.record_sending(A1, sending(60, baseline=b"last"))
    await ledgers.after(10)
    standing = await other.acquire(B1)
    last = attempt(10, 50, baseline=b"last")
    assert standing == Acquired(
        attempts=(attempt(110, -50, baseline=b"0", absent=True), last),
    )
    assert isinstance(standing, Acquired)
    assert standing.unsettled == last


async def test_a_fifth_attempt_merges_the_first_two(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """Four attempts are kept: the first keeps its moment and baseline, and the second's settling.

    Six attempts were recorded 600, 500 … and 100 s ago; the first stands for three of them.
    """
    await ledger.acquire(A1)
    await absent_attempts(ledger, ledgers, 6)
    await ledgers.after(10)
    assert await other.acquire(B1) == Acquired(
        attempts=(
            attempt(610, -350, baseline=b"0", absent=True),
            attempt(310, -250, baseline=b"3", absent=True),
            attempt(210, -150, baseline=b"4", absent=True),
            attempt(110, -50, baseline=b"5", absent=True),
        )
    )


async def test_record_absent_renews_a_held_lease(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """`record_absent` renews the lease, and changes nothing if the lease is lost."""
    await ledger.acquire(A1, sending=sending(60))
    await ledgers.after(9)
    assert await ledger.record_absent(A1)
    await ledgers.after(9)
    assert await other.acquire(B1) == InProgress(lease_left_s=1)
    await ledgers.after(1)
    assert await other.acquire(B1) == Acquired(attempts=(attempt(19, 41, absent=True),))
    assert await other.record_sending(B1, sending(60))
    assert not await ledger.record_absent(A1)
    await ledgers.after(10)
    assert await ledger.acquire(C1) == Acquired(
        attempts=(attempt(29, 31, absent=True), attempt(10, 50))
    )


async def test_a_renewal_while_sending_prolongs_the_attempt(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """`renew` with `settles_in_s` lets the attempt settle that much later; never earlier."""
    await ledger.acquire(A1, sending=sending(60))
    await ledgers.after(5)
    assert await ledger.renew(A1, settles_in_s=60)
    assert await ledger.renew(A1, settles_in_s=20)
    assert await ledger.renew(A1)
    await ledgers.after(10)
    assert await other.acquire(B1) == found(15, 50)


async def test_a_renewal_while_sending_blocks_the_post(ledger: Ledger, ledgers: Ledgers) -> None:
    """A holder that dies after a renewal with `settles_in_s` blocks its post for 25 s."""
    await ledger.acquire(A)
    assert await ledger.renew(A, settles_in_s=60)
    await ledgers.after(24)
    assert await ledger.acquire(B) == Queued()
    await ledgers.after(1)
    assert await ledger.acquire(B) == Acquired()


async def test_an_unchanged_end_after_an_own_sending_leaves_nothing_of_it(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """EndedUnchanged tells that the lease's recorded attempt was never sent."""
    await ledger.acquire(A1, sending=sending(60))
    await ledger.release(A1, EndedUnchanged())
    assert await other.acquire(C) == Acquired()
    await other.release(C, EndedAbsent())
    assert await other.acquire(B1) == Acquired()
    await absent_attempts_of(B1, other, ledgers)
    await other.record_sending(B1, sending(60))
    await other.release(B1, EndedUnchanged())
    assert await ledger.acquire(C1) == Acquired(attempts=(attempt(50, 10, absent=True),))


async def absent_attempts_of(held: Lease, ledger: Ledger, ledgers: Ledgers) -> None:
    assert await ledger.record_sending(held, sending(60))
    assert await ledger.record_absent(held)
    await ledgers.after(50)


async def test_a_renewal_of_what_was_taken_over_is_no_sending(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """EndedUnchanged leaves an earlier holder's attempt, also after a renewal while it settles."""
    await ledger.acquire(A1, sending=sending(60))
    await ledgers.after(10)
    await other.acquire(B1)
    assert await other.renew(B1, settles_in_s=20)
    await other.release(B1, EndedUnchanged())
    assert await ledger.acquire(C1) == found(10, 50)


# The claims of a post.


async def test_claims_are_kept_as_long_as_an_entry_of_the_post_is_unsettled(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """A claim outlives its retention while an outcome on its post is unknown."""
    await ledger.acquire(A1, sending=sending(60))
    await ledger.release(A1, EndedUnknown(settles_in_s=15))
    for each, attachment_id in ((B, "x"), (lease("q", post="g/q"), "elsewhere")):
        await ledger.release(each, EndedCreated(attachment_id))
    await ledgers.after(5000)
    await other.acquire(lease("r", post="g/r"))
    assert await other.claimed("g/p") == {"x"}
    if ledgers.kind != "redis":
        assert await other.claimed("g/q") == frozenset()
    await other.acquire(B1)
    await other.release(B1, EndedAbsent())
    if ledgers.kind != "redis":
        assert await ledger.claimed("g/p") == frozenset()


async def test_a_holder_that_acquires_again_after_its_release_is_held(ledger: Ledger) -> None:
    """A holder that comes back after its release has a new lease, and not its old row."""
    await ledger.acquire(C)
    for _ in range(2):
        assert await ledger.acquire(A) == Queued()
        assert await ledger.renew(A)
        await ledger.release(A, EndedAbsent())
        assert not await ledger.renew(A)


async def test_an_unknown_end_puts_a_settled_absence_in_doubt_again(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """An attempt that was marked as absent is unsettled again, with its moment and its baseline."""
    first = Sending(settles_in_s=60, wall_s=1e9, baseline=b"ids")
    await ledger.acquire(A1, sending=first)
    await ledger.record_absent(A1)
    await ledger.release(A1, EndedAbsent())
    await ledgers.after(100)
    again = await ledger.acquire(B1)
    assert isinstance(again, Acquired)
    assert again.unsettled is None
    await ledger.release(B1, EndedUnknown(settles_in_s=-40, seen=b"seen"))
    third = lease("c", "r1")
    acquired = await ledger.acquire(third)
    assert isinstance(acquired, Acquired)
    [attempt] = acquired.attempts
    assert acquired.unsettled == attempt
    assert (attempt.began_ago_s, attempt.settles_in_s) == (100, -40)
    assert (attempt.baseline, attempt.seen) == (b"ids", b"seen")
