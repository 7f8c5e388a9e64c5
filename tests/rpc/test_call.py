"""calls: a call's time, and reading within it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc.aio
import pytest

from attachment_gateway.errors import GatewayDraining, NotSent, StreamIdle
from attachment_gateway.rpc.call import Call, Context


class Peer:
    """As much of a call's other end as its time is about: messages come after these delays."""

    def __init__(self, time_remaining_s: float | None, *delays_s: float) -> None:
        self._time_remaining_s = time_remaining_s
        self._delays_s = iter(delays_s)
        self.reads = 0

    def time_remaining(self) -> float | None:
        return self._time_remaining_s

    async def read(self) -> object:
        self.reads += 1
        for delay_s in self._delays_s:
            await asyncio.sleep(delay_s)
            return delay_s
        return grpc.aio.EOF


@pytest.fixture
async def begin() -> AsyncIterator[Callable[..., Call]]:
    """Begin a call that has so much time, and gets messages after these delays."""
    calls = []

    def begun(time_remaining_s: float | None, *delays_s: float, default_s: float = 300) -> Call:
        peer = cast("Context", Peer(time_remaining_s, *delays_s))
        calls.append(Call(peer, "Upload", default_deadline_s=default_s))
        return calls[-1]

    yield begun
    for call in calls:
        call.deadline.close()


@pytest.mark.parametrize(
    ("left_s", "default_s", "answers_after_s"),
    [(100, 300, 99.5), (2, 300, 1.9), (None, 4, 3.8), (None, 300, 299.5), (0, 300, 0)],
)
async def test_it_answers_early(
    begin: Callable[..., Call], left_s: float | None, default_s: float, answers_after_s: float
) -> None:
    """A twentieth of the time left, half a second at most, is kept for the answer."""
    now = asyncio.get_running_loop().time()
    call = begin(left_s, default_s=default_s)
    assert call.deadline._ends_at - now == pytest.approx(answers_after_s, abs=0.05)
    assert call.deadline.left_s() == pytest.approx(answers_after_s, abs=0.05)
    if answers_after_s:
        assert call.deadline._timer.when() == call.deadline._ends_at


async def test_it_reads_to_the_end(begin: Callable[..., Call]) -> None:
    """Each message is handed on, and the end is looked at twice."""
    call, taken = begin(10, 0, 0.01, 0), list[Any]()
    await call.read(taken.append, idle_s=1)
    assert taken == [0, 0.01, 0]
    assert cast("Peer", call._context).reads == 3 + 2


async def test_a_whole_that_needs_no_second_look(begin: Callable[..., Call]) -> None:
    """The messages themselves say that they are all."""
    call, taken = begin(10, 0), list[Any]()
    await call.read(taken.append, idle_s=1, is_whole=lambda: taken == [0])
    assert cast("Peer", call._context).reads == 1 + 1


async def test_each_message_gives_new_patience(begin: Callable[..., Call]) -> None:
    """The limit is on the quiet between two messages, not on the whole."""
    call, taken = begin(10, 0.1, 0.1, 0.1, 5), list[Any]()
    with pytest.raises(StreamIdle, match=r"nothing came for 0\.2 s"):
        await call.read(taken.append, idle_s=0.2)
    assert len(taken) == 3


async def test_time_that_runs_out_between_messages(begin: Callable[..., Call]) -> None:
    """The end of the call's time ends a quiet stream, with what that means."""
    with pytest.raises(NotSent):
        await begin(0.1, 5).read(lambda _: None, idle_s=60)


async def test_time_that_runs_out_under_a_steady_stream(begin: Callable[..., Call]) -> None:
    """A stream that never pauses is ended as well: no message outruns the end of the time."""
    call = begin(10, 0, 0, 5)

    def take(_: float) -> None:
        call.deadline.expire(GatewayDraining(retry_delay_s=1))

    with pytest.raises(GatewayDraining):
        await call.read(take, idle_s=60)


async def test_time_that_runs_out_while_it_gives_up(begin: Callable[..., Call]) -> None:
    """Patience and time may end in the same moment; one of the two is told."""
    call = begin(10, 5)
    asyncio.get_running_loop().call_later(0.1, call.deadline.expire, NotSent())
    with pytest.raises((NotSent, StreamIdle)):
        await call.read(lambda _: None, idle_s=0.1)


async def test_time_that_runs_out_just_after_reading(begin: Callable[..., Call]) -> None:
    """It comes to one that has done reading already, and disturbs nobody."""
    call = begin(10, 0)
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))

    def expire_and_fail(_: float) -> None:
        call.deadline.expire(NotSent())  # what waits for it is due only after this
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await call.read(expire_and_fail, idle_s=5)
    await asyncio.sleep(0.05)
    assert failures == []


async def test_only_the_first_end_counts(begin: Callable[..., Call]) -> None:
    """The time ends once, for one reason."""
    call = begin(10)
    call.deadline.expire(NotSent())
    call.deadline.expire(GatewayDraining(retry_delay_s=1))
    assert isinstance(call.deadline.expired.result(), NotSent)
