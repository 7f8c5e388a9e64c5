"""ledger: what each of the three does, on the same clock."""

import asyncio

import pytest

from attachment_gateway.ledger import (
    LEASE_S,
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
    Queued,
    Reused,
    Unsettled,
)
from tests.support.three_ledgers import Ledgers

# The lease is 10 s, settling takes 15 s, what isn't touched is kept for 1000 s.
assert LEASE_S == 10


def lease(holder: str, request_id: str = "", fingerprint: bytes = b"f", post: str = "g/p") -> Lease:
    return Lease(holder=holder, post=post, request_id=request_id, fingerprint=fingerprint)


A, B, C = lease("a"), lease("b"), lease("c")

# Three calls with one request id.
A1, B1, C1 = lease("a", "r1"), lease("b", "r1"), lease("c", "r1")


# The queue of a post.


async def test_who_is_alone_is_first(ledger: Ledger) -> None:
    """Nothing is in the way."""
    assert await ledger.acquire(A) == Acquired()


@pytest.mark.parametrize(
    "end",
    [EndedCreated("x"), EndedAbsent(), EndedUnchanged(), EndedUnknown(settles_in_s=0)],
    ids=lambda end: type(end).__name__,
)
async def test_who_comes_second_waits_for_the_first(
    ledger: Ledger, other: Ledger, end: End
) -> None:
    """However the first leaves, with nothing to settle the next is first at once."""
    await ledger.acquire(A)
    assert await other.acquire(B) == Queued()
    await ledger.release(A, end)
    assert await other.acquire(B) == Acquired()


async def test_the_order_is_that_of_arrival(ledger: Ledger, other: Ledger) -> None:
    """Over all that share the ledger, whoever asks first."""
    assert await ledger.acquire(A) == Acquired()
    assert await other.acquire(B) == Queued()
    assert await ledger.acquire(C) == Queued()
    await ledger.release(A, EndedAbsent())
    assert await ledger.acquire(C) == Queued()
    assert await other.acquire(B) == Acquired()
    await other.release(B, EndedAbsent())
    assert await ledger.acquire(C) == Acquired()


async def test_each_post_has_a_queue_of_its_own(ledger: Ledger) -> None:
    """Another post's writers are nobody's business."""
    await ledger.acquire(A)
    assert await ledger.acquire(lease("b", post="g/q")) == Acquired()


async def test_one_in_the_middle_may_leave(ledger: Ledger) -> None:
    """Those behind move up."""
    for each in (A, B, C):
        await ledger.acquire(each)
    await ledger.release(B, EndedAbsent())
    await ledger.release(A, EndedAbsent())
    assert await ledger.acquire(C) == Acquired()


async def test_the_dead_are_passed_over(ledger: Ledger, other: Ledger, ledgers: Ledgers) -> None:
    """When the lease ends, and not before."""
    await ledger.acquire(A)
    await ledgers.after(9)
    assert await other.acquire(B) == Queued()
    await ledgers.after(1)
    assert await other.acquire(B) == Acquired()


async def test_entering_again_renews(ledger: Ledger, ledgers: Ledgers) -> None:
    """It is how one waits, and it does for holding too."""
    await ledger.acquire(A)
    for _ in range(5):
        await ledgers.after(8)
        assert await ledger.acquire(B) == Queued()
        assert await ledger.acquire(A) == Acquired()


async def test_one_that_no_longer_waits_is_passed_over(ledger: Ledger, ledgers: Ledgers) -> None:
    """A waiting lease has a lease too."""
    for each in (A, B, C):
        await ledger.acquire(each)
    await ledgers.after(9)
    await ledger.renew(A)
    await ledger.acquire(C)
    await ledgers.after(9)
    await ledger.release(A, EndedAbsent())
    assert await ledger.acquire(C) == Acquired()


async def test_one_that_died_sending_keeps_its_place_until_that_is_settled(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """With a request id or without: 15 s after the end of a lease of 10 s."""
    await ledger.acquire(A)
    await ledgers.after(5)
    assert await ledger.record_sending(A, settles_in_s=60, is_new_attempt=True)
    await ledgers.after(24.5)
    assert await ledger.acquire(B) == Queued()
    await ledgers.after(0.5)
    assert await ledger.acquire(B) == Acquired()


async def test_one_that_left_as_unknown_keeps_its_place_until_that_is_settled(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """It needs no lease for that."""
    await ledger.acquire(A)
    await ledger.release(A, EndedUnknown(settles_in_s=40))
    await ledgers.after(39)
    assert await ledger.acquire(B) == Queued()
    await ledgers.after(1)
    assert await ledger.acquire(B) == Acquired()


# Leases.


async def test_a_place_that_is_held_can_be_renewed(ledger: Ledger, ledgers: Ledgers) -> None:
    """Again and again; others wait."""
    await ledger.acquire(A)
    for _ in range(5):
        await ledgers.after(9)
        assert await ledger.renew(A)
    assert await ledger.acquire(B) == Queued()


@pytest.mark.parametrize("held", [A, A1], ids=["without an id", "with one"])
async def test_a_lease_that_has_ended_can_be_renewed(
    ledger: Ledger, ledgers: Ledgers, held: Lease
) -> None:
    """As long as nobody wanted the lease: a pause of the process isn't yet a loss."""
    await ledger.acquire(held)
    await ledgers.after(30)
    assert await ledger.renew(held)
    assert await ledger.acquire(B) == Queued()
    await ledgers.after(30)
    assert await ledger.record_sending(held, settles_in_s=15, is_new_attempt=True)


@pytest.mark.parametrize("held", [A, A1], ids=["without an id", "with one"])
async def test_a_place_that_was_passed_over_is_lost(
    ledger: Ledger, other: Ledger, ledgers: Ledgers, held: Lease
) -> None:
    """Its holder is told, whatever it does next, and can't hold up anybody."""
    await ledger.acquire(held)
    await ledgers.after(10)
    assert await other.acquire(B) == Acquired()
    assert not await ledger.renew(held)
    assert not await ledger.record_sending(held, settles_in_s=15, is_new_attempt=True)
    await ledger.release(held, EndedUnknown(settles_in_s=100))
    await other.release(B, EndedAbsent())
    assert await other.acquire(C) == Acquired()


async def test_a_place_is_lost_with_its_request_id(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """Another holder has both."""
    await ledger.acquire(A1)
    await ledgers.after(10)
    assert await other.acquire(B1) == Acquired()
    assert not await ledger.renew(A1)
    assert not await ledger.record_sending(A1, settles_in_s=15, is_new_attempt=True)
    assert await other.renew(B1)


async def test_a_place_that_was_never_taken_is_not_held(ledger: Ledger) -> None:
    """Nothing comes of renewing it, and nothing of leaving it."""
    assert not await ledger.renew(A1)
    assert not await ledger.record_sending(A1, settles_in_s=15, is_new_attempt=True)
    await ledger.release(A1, EndedUnknown(settles_in_s=100))
    assert await ledger.acquire(B1) == Acquired()


@pytest.mark.parametrize("end", [EndedCreated("x"), EndedAbsent(), EndedUnknown(settles_in_s=40)])
@pytest.mark.parametrize("held", [A, A1], ids=["without an id", "with one"])
async def test_a_place_that_was_left_is_not_held(ledger: Ledger, held: Lease, end: End) -> None:
    """A late renewal doesn't bring it back."""
    await ledger.acquire(held)
    await ledger.release(held, end)
    assert not await ledger.renew(held)
    assert not await ledger.record_sending(held, settles_in_s=15, is_new_attempt=True)


async def test_a_place_is_dead_for_good_after_the_retention(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """Nothing is kept for ever, not even a lease that nobody wants."""
    await ledger.acquire(A)
    await ledgers.after(1009)
    assert await ledger.renew(A)
    await ledgers.after(1010)
    assert not await ledger.renew(A)


# Request ids.


async def test_a_request_id_in_work(ledger: Ledger, other: Ledger, ledgers: Ledgers) -> None:
    """Another call with it is told for how long, and joins no queue."""
    await ledger.acquire(A1)
    await ledgers.after(4)
    assert await other.acquire(B1) == InProgress(lease_left_s=6)
    await ledger.renew(A1)
    assert await other.acquire(B1) == InProgress(lease_left_s=10)
    await ledger.release(A1, EndedAbsent())
    assert await other.acquire(C) == Acquired()


async def test_a_request_id_that_waits_is_in_work_too(ledger: Ledger) -> None:
    """It was given to the one that waits."""
    await ledger.acquire(C)
    assert await ledger.acquire(A1) == Queued()
    assert await ledger.acquire(B1) == InProgress(lease_left_s=10)
    assert await ledger.acquire(A1) == Queued()


@pytest.mark.parametrize(
    "end",
    [None, EndedCreated("x"), EndedAbsent(), EndedUnknown(settles_in_s=5)],
    ids=lambda end: type(end).__name__,
)
@pytest.mark.parametrize(
    "reuse", [lease("b", "r1", b"other"), lease("b", "r1", post="g/q")], ids=["print", "post"]
)
async def test_a_request_id_that_was_given_to_another_request(
    ledger: Ledger, ledgers: Ledgers, end: End | None, reuse: Lease
) -> None:
    """However that is going, or ended; until it is forgotten."""
    await ledger.acquire(A1)
    if end:
        await ledger.release(A1, end)
    assert await ledger.acquire(reuse) == Reused()
    assert await ledger.find(reuse) == Reused()
    await ledgers.after(1000)
    assert await ledger.acquire(reuse) == Acquired()


async def test_a_repeat_of_what_was_created(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """It is told which attachment, and how long ago, and doesn't wait."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedCreated("AAMk="))
    await ledger.acquire(C)
    await ledgers.after(7)
    assert await other.acquire(B1) == Created(attachment_id="AAMk=", ago_s=7)
    assert await other.acquire(A1) == Created(attachment_id="AAMk=", ago_s=7)
    await ledger.release(C, EndedAbsent())
    assert await other.acquire(B) == Acquired()


async def test_what_was_created_is_forgotten(ledger: Ledger, ledgers: Ledgers) -> None:
    """After the retention, and not before; asking doesn't prolong it."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedCreated("x"))
    await ledgers.after(999)
    assert await ledger.acquire(B1) == Created(attachment_id="x", ago_s=999)
    assert await ledger.claimed("g/p") == {"x"}
    await ledgers.after(1)
    assert await ledger.acquire(B1) == Acquired()
    assert await ledger.claimed("g/p") == frozenset()


async def test_a_repeat_of_what_came_to_nothing(ledger: Ledger) -> None:
    """It starts afresh, at the end of the queue."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledger.acquire(C)
    await ledger.release(A1, EndedAbsent())
    assert await ledger.acquire(B1) == Queued()
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(B1) == Acquired()


async def test_a_dead_holder_is_replaced_in_its_very_place(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """At the head, before those who came in between."""
    await ledger.acquire(A1)
    await ledgers.after(8)
    await other.acquire(C)
    await ledgers.after(2)
    assert await other.acquire(B1) == Acquired()
    assert await other.acquire(C) == Queued()


async def test_a_dead_one_that_waited_is_replaced_in_its_very_place(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """In the middle too."""
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


async def test_one_that_died_sending_is_taken_over(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """At once when its lease has ended, with what it sent; no need to wait out its settling."""
    await ledger.acquire(A1)
    await ledgers.after(2)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await other.acquire(C)
    await ledgers.after(9)
    assert await other.acquire(B1) == InProgress(lease_left_s=1)
    await ledgers.after(1)
    assert await other.acquire(B1) == Acquired(unsettled=Unsettled(began_ago_s=10, settles_in_s=50))
    assert await other.acquire(C) == Queued()


@pytest.mark.parametrize("created", [False, True])
async def test_what_was_left_as_unknown_is_taken_over(
    ledger: Ledger, other: Ledger, ledgers: Ledgers, created: bool
) -> None:
    """At once, in its very lease, with all that is known."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledgers.after(3)
    await ledger.release(A1, EndedUnknown(settles_in_s=15, created=created))
    await ledger.acquire(C)
    unsettled = Unsettled(began_ago_s=3, settles_in_s=15, created=created)
    assert await other.acquire(B1) == Acquired(unsettled=unsettled)
    assert await ledger.acquire(C) == Queued()


async def test_what_is_unknown_stays_so_when_it_is_settled(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """Others may write again; who comes with the request id has to look it up all the same."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledger.release(A1, EndedUnknown(settles_in_s=15))
    await ledgers.after(500)
    await ledger.acquire(C)
    assert await ledger.acquire(B1) == Queued()
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(B1) == Acquired(
        unsettled=Unsettled(began_ago_s=500, settles_in_s=-485),
    )


async def test_what_is_unsettled_outlives_any_number_of_holders(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """One that takes over and dies, having sent nothing, hands on what it found."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledgers.after(10)
    assert await other.acquire(B1) == Acquired(unsettled=Unsettled(began_ago_s=10, settles_in_s=50))
    await ledgers.after(10)
    assert await ledger.acquire(C1) == Acquired(
        unsettled=Unsettled(began_ago_s=20, settles_in_s=40)
    )


async def test_who_takes_over_keeps_the_others_waiting_as_long(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """What the dead one left unsettled until 100 isn't forgotten with the taker's lease."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnknown(settles_in_s=100))
    await ledger.acquire(B1)
    await ledgers.after(99)
    assert await ledger.acquire(C) == Queued()
    await ledgers.after(1)
    assert await ledger.acquire(C) == Acquired()


async def test_who_takes_over_and_sends_nothing_has_nothing_to_settle(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """The dead one's is settled at 25 s; the taker, that dies too, has only its lease till 30 s."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=15, is_new_attempt=True)
    await ledgers.after(20)
    await ledger.acquire(B1)
    await ledgers.after(9)
    assert await ledger.acquire(C) == Queued()
    await ledgers.after(1)
    assert await ledger.acquire(C) == Acquired()


async def test_who_takes_over_can_settle_it(ledger: Ledger, ledgers: Ledgers) -> None:
    """Nothing was created: the next one starts afresh, and nobody waits for it."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnknown(settles_in_s=100, created=True))
    await ledger.acquire(B1)
    await ledger.release(B1, EndedAbsent())
    assert await ledger.acquire(C1) == Acquired()


async def test_who_gives_up_leaves_what_it_found(ledger: Ledger, ledgers: Ledgers) -> None:
    """As unsettled as it was, and others wait as long; also when it came to no turn."""
    await ledger.acquire(C)
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledger.release(A1, EndedUnknown(settles_in_s=40, created=True))
    await ledgers.after(5)
    assert await ledger.acquire(C) == Acquired()
    assert await ledger.acquire(B1) == Queued()
    await ledger.release(B1, EndedUnchanged())
    assert not await ledger.renew(B1)
    await ledger.acquire(lease("d"))
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(lease("d")) == Queued()
    assert await ledger.acquire(C1) == Acquired(
        unsettled=Unsettled(began_ago_s=5, settles_in_s=35, created=True)
    )
    await ledger.release(C1, EndedUnchanged())
    await ledgers.after(35)
    assert await ledger.acquire(lease("d")) == Acquired()


@pytest.mark.parametrize("gives_up", [A, A1], ids=["without an id", "with one"])
async def test_who_gives_up_and_found_nothing_leaves_nothing(
    ledger: Ledger, gives_up: Lease
) -> None:
    """The next one with its request id starts afresh."""
    await ledger.acquire(C)
    assert await ledger.acquire(gives_up) == Queued()
    await ledger.release(gives_up, EndedUnchanged())
    await ledger.release(C, EndedAbsent())
    assert await ledger.acquire(B1) == Acquired()


async def test_a_second_sending_adds_to_the_first(ledger: Ledger, ledgers: Ledgers) -> None:
    """It began with the first, and is settled with the last."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledgers.after(5)
    await ledger.record_sending(A1, settles_in_s=20, is_new_attempt=False)
    await ledgers.after(5)
    assert await ledger.acquire(A1) == Acquired(
        unsettled=Unsettled(began_ago_s=10, settles_in_s=50)
    )
    await ledger.record_sending(A1, settles_in_s=70, is_new_attempt=False)
    await ledgers.after(10)
    assert await ledger.acquire(B1) == Acquired(
        unsettled=Unsettled(began_ago_s=20, settles_in_s=60)
    )


async def test_a_sending_anew_stands_alone(ledger: Ledger, ledgers: Ledgers) -> None:
    """Nothing of before can come to be: neither its time nor its success counts."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledger.release(A1, EndedUnknown(settles_in_s=60, created=True))
    await ledger.acquire(B1)
    await ledgers.after(5)
    await ledger.record_sending(B1, settles_in_s=20, is_new_attempt=True)
    await ledgers.after(10)
    assert await ledger.acquire(C1) == Acquired(
        unsettled=Unsettled(began_ago_s=10, settles_in_s=10)
    )


async def test_sending_renews(ledger: Ledger, ledgers: Ledgers) -> None:
    """The lease, and with it the time that others wait."""
    await ledger.acquire(A1)
    await ledgers.after(9)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledgers.after(9)
    assert await ledger.acquire(B1) == InProgress(lease_left_s=1)


async def test_that_graph_told_of_a_success_is_not_forgotten(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """One that takes over and doesn't know more doesn't know less."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledger.release(A1, EndedUnknown(settles_in_s=15, created=True))
    await ledger.acquire(B1)
    await ledger.release(B1, EndedUnknown(settles_in_s=10))
    assert await ledger.acquire(C1) == Acquired(
        unsettled=Unsettled(began_ago_s=0, settles_in_s=10, created=True)
    )


async def test_what_is_unsettled_is_kept_until_it_is_settled(ledgers: Ledgers) -> None:
    """However short the retention: here a second, and then a lease and the settling at least."""
    ledgers.retention_s = 1
    ledger = await ledgers.open()
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledger.release(A1, EndedUnknown(settles_in_s=100))
    await ledgers.after(99)
    unsettled = Unsettled(began_ago_s=99, settles_in_s=1)
    assert await ledger.acquire(B1) == Acquired(unsettled=unsettled)
    await ledger.release(B1, EndedAbsent())
    await ledgers.after(24)
    assert await ledger.acquire(lease("c", "r1", b"other")) == Reused()
    await ledgers.after(1)
    assert await ledger.acquire(lease("c", "r1", b"other")) == Acquired()


async def test_a_request_id_is_kept_as_long_as_it_is_renewed(ledgers: Ledgers) -> None:
    """However short the retention."""
    ledgers.retention_s = 1
    ledger = await ledgers.open()
    await ledger.acquire(A1)
    for _ in range(10):
        await ledgers.after(9)
        assert await ledger.renew(A1)
    assert await ledger.acquire(B1) == InProgress(lease_left_s=10)


# Those who come back late.


@pytest.fixture
async def late(ledger: Ledger, other: Ledger, ledgers: Ledgers) -> Ledger:
    """A1 has sent and was paused, B1 has taken its request id over."""
    await ledger.acquire(A1)
    await ledger.record_sending(A1, settles_in_s=60, is_new_attempt=True)
    await ledgers.after(10)
    assert isinstance(await other.acquire(B1), Acquired)
    return ledger


@pytest.mark.parametrize(
    "end", [EndedAbsent(), EndedUnchanged(), EndedUnknown(settles_in_s=500, created=True)]
)
async def test_one_that_comes_back_and_knows_nothing_changes_nothing(
    late: Ledger, other: Ledger, end: End
) -> None:
    """What B1 holds and knows is as it was."""
    await late.release(A1, end)
    assert await late.acquire(A1) == InProgress(lease_left_s=10)
    assert await other.acquire(B1) == Acquired(unsettled=Unsettled(began_ago_s=10, settles_in_s=50))


async def test_one_that_gives_up_leaves_what_it_found(late: Ledger, other: Ledger) -> None:
    """What A1 sent isn't forgotten because B1 has sent nothing."""
    await other.release(B1, EndedUnchanged())
    assert await late.acquire(C1) == Acquired(unsettled=Unsettled(began_ago_s=10, settles_in_s=50))


async def test_one_that_gives_up_and_found_nothing_leaves_nothing(
    ledger: Ledger, other: Ledger
) -> None:
    """Neither in the queue nor at the request id."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnchanged())
    assert await other.acquire(B) == Acquired()
    await other.release(B, EndedUnchanged())
    assert await other.acquire(C1) == Acquired()


async def test_one_that_comes_back_with_the_attachment_is_believed(
    late: Ledger, other: Ledger
) -> None:
    """The other sees that it lost the lease, sends nothing, and finds the attachment."""
    await late.release(A1, EndedCreated("x"))
    assert not await other.renew(B1)
    assert not await other.record_sending(B1, settles_in_s=60, is_new_attempt=True)
    assert await other.find(B1) == Created(attachment_id="x", ago_s=0)
    assert await late.claimed("g/p") == {"x"}


@pytest.mark.parametrize(
    "end", [EndedAbsent(), EndedUnchanged(), EndedUnknown(settles_in_s=0), EndedCreated("y")]
)
async def test_the_attachment_stays_what_it_was(late: Ledger, other: Ledger, end: End) -> None:
    """However the other leaves, and nobody waits for it then."""
    await late.release(A1, EndedCreated("x"))
    await other.release(B1, end)
    assert await other.acquire(C1) == Created(attachment_id="x", ago_s=0)
    assert await other.acquire(C) == Acquired()
    surplus = {"y"} if end == EndedCreated("y") else set()
    assert await other.claimed("g/p") == {"x"} | surplus


async def test_one_that_waits_leaves_when_its_attachment_is_there(
    ledger: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """It is told, and is in no queue any more."""
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


async def test_one_in_the_midst_of_sending_keeps_the_others_waiting(
    late: Ledger, other: Ledger, ledgers: Ledgers
) -> None:
    """Also when its request id came to an end without it: its own request may still act."""
    await other.record_sending(B1, settles_in_s=60, is_new_attempt=True)
    await late.release(A1, EndedCreated("x"))
    assert await other.acquire(B1) == Created(attachment_id="x", ago_s=0)
    await ledgers.after(24)
    assert await late.acquire(C) == Queued()
    await ledgers.after(1)
    assert await late.acquire(C) == Acquired()


async def test_an_attachment_after_all(ledger: Ledger) -> None:
    """One that left not knowing may learn it."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnknown(settles_in_s=100))
    await ledger.release(A1, EndedCreated("x"))
    assert await ledger.acquire(B1) == Created(attachment_id="x", ago_s=0)
    assert await ledger.acquire(C) == Acquired()


async def test_an_attachment_after_another_came_to_nothing(late: Ledger, other: Ledger) -> None:
    """It is there, whatever the other was certain of."""
    await other.release(B1, EndedAbsent())
    await late.release(A1, EndedCreated("x"))
    assert await other.acquire(C1) == Created(attachment_id="x", ago_s=0)


async def test_an_attachment_after_the_request_id_was_forgotten(
    ledger: Ledger, ledgers: Ledgers
) -> None:
    """It is remembered; but not in another request's lease."""
    await ledger.acquire(A1)
    await ledgers.after(1000)
    await ledger.release(A1, EndedCreated("x"))
    assert await ledger.acquire(B1) == Created(attachment_id="x", ago_s=0)
    await ledgers.after(1000)
    reused = lease("c", "r1", b"other")
    assert await ledger.acquire(reused) == Acquired()
    await ledger.release(A1, EndedCreated("y"))
    assert await ledger.acquire(reused) == Acquired()
    assert await ledger.claimed("g/p") == {"y"}


@pytest.mark.parametrize(
    "end", [EndedCreated("x"), EndedAbsent(), EndedUnchanged(), EndedUnknown(settles_in_s=40)]
)
async def test_leaving_twice_is_leaving_once(ledger: Ledger, ledgers: Ledgers, end: End) -> None:
    """The second may be the first again, whose answer was lost."""
    await ledger.acquire(A1)
    await ledger.release(A1, end)
    standing = await ledger.acquire(B1)
    await ledger.release(A1, end)
    assert await ledger.acquire(B1) == standing


async def test_who_left_not_knowing_is_not_sure_afterwards(ledger: Ledger) -> None:
    """What it says late, having given the lease back, changes nothing."""
    await ledger.acquire(A1)
    await ledger.release(A1, EndedUnknown(settles_in_s=40))
    await ledger.release(A1, EndedAbsent())
    assert await ledger.acquire(C) == Queued()
    assert await ledger.acquire(B1) == Acquired(unsettled=Unsettled(began_ago_s=0, settles_in_s=40))


# Looking only.


async def test_find_finds_nothing_that_enter_would_take(ledger: Ledger, ledgers: Ledgers) -> None:
    """No entry, one's own, a dead holder's, one that came to nothing; or no request id."""
    assert await ledger.find(A) is None
    assert await ledger.find(A1) is None
    await ledger.acquire(A1)
    assert await ledger.find(A1) is None
    await ledgers.after(10)
    assert await ledger.find(B1) is None
    await ledger.release(A1, EndedAbsent())
    assert await ledger.find(B1) is None


async def test_find_tells_what_enter_would_tell(ledger: Ledger, ledgers: Ledgers) -> None:
    """In work, created."""
    await ledger.acquire(A1)
    await ledgers.after(3)
    assert await ledger.find(B1) == InProgress(lease_left_s=7)
    await ledger.release(A1, EndedCreated("x"))
    await ledgers.after(3)
    assert await ledger.find(B1) == Created(attachment_id="x", ago_s=3)


async def test_find_takes_nothing(ledger: Ledger, ledgers: Ledgers) -> None:
    """Neither a new request id nor a dead holder's, nor a lease in the queue."""
    await ledger.find(A1)
    assert await ledger.acquire(B1) == Acquired()
    await ledgers.after(10)
    await ledger.find(C1)
    assert await ledger.renew(B1)


# Attachments that are somebody's.


async def test_the_ids_that_calls_have_answered_with(ledger: Ledger, other: Ledger) -> None:
    """With a request id or without, of this post, from whatever process."""
    for each, attachment_id in ((A1, "x"), (B, "y"), (lease("c", post="g/q"), "z")):
        await ledger.acquire(each)
        await ledger.release(each, EndedCreated(attachment_id))
    assert await other.claimed("g/p") == {"x", "y"}
    assert await other.claimed("g/q") == {"z"}
    assert await other.claimed("g/none") == frozenset()


async def test_an_id_that_was_found_again_is_kept_on(ledger: Ledger, ledgers: Ledgers) -> None:
    """The retention begins with the last who answered with it."""
    await ledger.release(A, EndedCreated("x"))
    await ledgers.after(600)
    await ledger.release(B, EndedCreated("x"))
    await ledgers.after(600)
    assert await ledger.claimed("g/p") == {"x"}


async def test_names_of_all_kinds(ledger: Ledger) -> None:
    """What is in an id is nobody's syntax."""
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


async def test_many_at_once(ledger: Ledger, other: Ledger) -> None:
    """One of them is first, and all come to their turn."""
    places = [lease(f"h{n}", f"r{n}") for n in range(40)]
    each_way = [ledger, other]
    standings = await asyncio.gather(
        *(each_way[n % 2].acquire(each) for n, each in enumerate(places))
    )
    assert standings.count(Acquired()) == 1
    waiting = list(places)
    while waiting:
        [first] = [each for each in waiting if await ledger.acquire(each) == Acquired()]
        await other.release(first, EndedCreated(first.holder))
        waiting.remove(first)
    assert len(await ledger.claimed("g/p")) == 40


async def test_entering_can_write_ahead(ledger: Ledger, other: Ledger, ledgers: Ledgers) -> None:
    """As sending does, if there is nothing to settle and nobody before it."""
    assert await ledger.acquire(A1, settles_in_s=60) == Acquired()
    await ledgers.after(10)
    told = Acquired(unsettled=Unsettled(began_ago_s=10, settles_in_s=50))
    assert await other.acquire(B1, settles_in_s=500) == told
    assert await other.acquire(B1) == told


async def test_who_waits_has_sent_nothing(ledger: Ledger, other: Ledger, ledgers: Ledgers) -> None:
    """It is written ahead when its turn comes."""
    await ledger.acquire(A)
    assert await other.acquire(B1, settles_in_s=60) == Queued()
    await ledgers.after(9)
    await ledger.renew(A)
    assert await other.acquire(B1, settles_in_s=60) == Queued()
    await ledger.release(A, EndedAbsent())
    await ledgers.after(10)
    assert await ledger.acquire(C1, settles_in_s=60) == Acquired()
