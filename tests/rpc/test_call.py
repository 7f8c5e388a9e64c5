"""Tests of rpc/call.py: a call's deadline, and reading its messages within it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any, cast

import grpc.aio
import pytest

from attachment_gateway.admission import Admission, CallAdmission
from attachment_gateway.errors import GatewayDraining, NotSent, StreamIdle
from attachment_gateway.rpc.call import Call, CallLimits, Context
from attachment_gateway.rpc.idle_timeout import PaceLimits

MESSAGE = memoryview(bytes(1000))


class Peer:
    """The caller's end of a call, whose messages come after these delays."""

    def __init__(self, time_remaining_s: float | None, *delays_s: float) -> None:
        self._time_remaining_s = time_remaining_s
        self._delays_s = iter(delays_s)
        self.reads = 0

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def time_remaining(self) -> float | None:
        return self._time_remaining_s

    async def read(self) -> object:
        self.reads += 1
        for delay_s in self._delays_s:
            await asyncio.sleep(delay_s)
            return MESSAGE
        return grpc.aio.EOF


@pytest.fixture
async def begin() -> AsyncIterator[Callable[..., Call]]:
    """A function that begins a call with this time left and messages after these delays."""
    calls = []

    def begun(
        time_remaining_s: float | None,
        *delays_s: float,
        default_s: float = 300,
        max_s: float = 900,
        idle_s: float = 60,
        least_rate: int = 1,
    ) -> Call:
        peer = cast("Context", Peer(time_remaining_s, *delays_s))
        limits = CallLimits(
            default_deadline_s=default_s,
            max_deadline_s=max_s,
            max_message_bytes=1_000_000,
            pace=PaceLimits(idle_s=idle_s, least_rate=least_rate),
        )
        calls.append(Call(peer, "Upload", limits))
        return calls[-1]

    yield begun
    for call in calls:
        call.deadline.close()


def admission(call: Call) -> CallAdmission:
    """Return a call's admission, without a reservation."""
    return CallAdmission(Admission(1), call.caller, call.deadline)


@pytest.mark.parametrize(
    ("left_s", "default_s", "answers_after_s"),
    [(100, 300, 99.5), (2, 300, 1.9), (None, 4, 3.8), (None, 300, 299.5), (0, 300, 0)],
)
async def test_a_call_ends_before_the_callers_deadline(
    begin: Callable[..., Call], left_s: float | None, default_s: float, answers_after_s: float
) -> None:
    """A twentieth of the time left, at most half a second, is kept for the response."""
    now = asyncio.get_running_loop().time()
    call = begin(left_s, default_s=default_s)
    assert call.deadline._ends_at - now == pytest.approx(answers_after_s, abs=0.05)
    assert call.deadline.left_s() == pytest.approx(answers_after_s, abs=0.05)
    if answers_after_s:
        assert call.deadline._timer.when() == call.deadline._ends_at


async def test_a_deadline_is_cut_to_the_longest(begin: Callable[..., Call]) -> None:
    """A deadline beyond the longest counts as the longest."""
    assert begin(3600, max_s=100).deadline.left_s() == pytest.approx(99.5, abs=0.05)


async def test_all_messages_are_read_and_the_end_is_read_twice(begin: Callable[..., Call]) -> None:
    """Each message is passed to the function, and the end of the stream is read twice."""
    call, taken = begin(10, 0, 0.01, 0), list[Any]()
    await call.read(taken.append, admission(call))
    assert taken == [MESSAGE] * 3
    assert cast("Peer", call._context).reads == 3 + 2


async def test_a_whole_message_needs_one_read_of_the_end(begin: Callable[..., Call]) -> None:
    """If the messages say that they are all, the end of the stream is read once."""
    call, taken = begin(10, 0), list[Any]()
    await call.read(taken.append, admission(call), is_whole=lambda: taken == [MESSAGE])
    assert cast("Peer", call._context).reads == 1 + 1


async def test_each_message_restarts_the_idle_timeout(begin: Callable[..., Call]) -> None:
    """The idle timeout limits the time between two messages, and not the whole stream."""
    call, taken = begin(10, 0.1, 0.1, 0.1, 5, idle_s=0.2), list[Any]()
    with pytest.raises(StreamIdle, match=r"nothing came for 0\.2 s"):
        await call.read(taken.append, admission(call))
    assert len(taken) == 3


async def test_a_caller_below_the_least_rate_is_idle(begin: Callable[..., Call]) -> None:
    """Messages that come all the time, but with too few bytes, end like a stream without any."""
    call = begin(10, *[0.05] * 20, 5, idle_s=0.3, least_rate=1_000_000)
    with pytest.raises(StreamIdle, match=r"the least rate of 1,000,000 bytes/s"):
        await call.read(lambda _: None, admission(call))
    assert 5 <= cast("Peer", call._context).reads <= 8


async def test_a_wait_for_the_gateway_is_not_the_callers(begin: Callable[..., Call]) -> None:
    """While a caller waits for the gateway, neither its idle time nor its rate counts."""
    call = begin(10, 0, 0.1, 0.1, idle_s=0.25, least_rate=10_000)
    taken = list[Any]()

    def take(message: object) -> Any:
        taken.append(message)
        return asyncio.sleep(0.5)

    await call.read(take, admission(call))
    assert len(taken) == 3


async def test_the_deadline_ends_an_idle_stream(begin: Callable[..., Call]) -> None:
    """The call's deadline ends a stream without messages with NotSent."""
    call = begin(0.1, 5)
    with pytest.raises(NotSent):
        await call.read(lambda _: None, admission(call))


async def test_the_deadline_ends_a_busy_stream(begin: Callable[..., Call]) -> None:
    """The call's deadline ends a stream also while messages come without a break."""
    call = begin(10, 0, 0, 5)

    def take(_: object) -> None:
        call.deadline.expire(GatewayDraining(retry_delay_s=1))

    with pytest.raises(GatewayDraining):
        await call.read(take, admission(call))


async def test_a_deadline_at_the_idle_timeout_raises_one_of_both(
    begin: Callable[..., Call],
) -> None:
    """If the deadline and the idle timeout end together, the read raises one of both errors."""
    call = begin(10, 5, idle_s=0.1)
    asyncio.get_running_loop().call_later(0.1, call.deadline.expire, NotSent())
    with pytest.raises((NotSent, StreamIdle)):
        await call.read(lambda _: None, admission(call))


async def test_a_deadline_after_the_last_read_disturbs_nothing(begin: Callable[..., Call]) -> None:
    """A deadline that ends just after a failed read causes no error in the event loop."""
    call = begin(10, 0)
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: failures.append(what))

    def expire_and_fail(_: object) -> None:
        call.deadline.expire(NotSent())  # its callbacks run only after this function
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await call.read(expire_and_fail, admission(call))
    await asyncio.sleep(0.05)
    assert failures == []


async def test_only_the_first_end_counts(begin: Callable[..., Call]) -> None:
    """A call's deadline ends once, with the first error."""
    call = begin(10)
    call.deadline.expire(NotSent())
    call.deadline.expire(GatewayDraining(retry_delay_s=1))
    assert isinstance(call.deadline.expired.result(), NotSent)
