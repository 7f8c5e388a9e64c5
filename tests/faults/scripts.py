"""The course of a case: plain, or with cancels and signals."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from random import Random

from tests.faults.caller import nothing
from tests.faults.gateways import Gateway
from tests.faults.play import Play
from tests.faults.storms import storm
from tests.faults.timing import DRAIN_S, END_WITHIN_S, PAUSE_AT_LEAST_S, SETTLE_S
from tests.faults.traffic import Hook
from tests.faults.verdict import Intent

Script = Callable[[Play], Awaitable[None]]


async def plain(play: Play) -> None:
    """Call once, count, and repeat the call if it can be repeated."""
    ended = await play.call(play.stage.gateways[0])
    await play.rest()
    await play.check()
    if play.intents[0].request_id and play.again and (ended.says != "created" or play.case.again):
        await _end_well(play, play.stage.gateways[0])


async def cancelled(play: Play) -> None:
    """Call and cancel as the case says; then repeat until the outcome is definite."""
    if play.case.at == "wire":
        strike = asyncio.Event()
        play.when_struck(_setting(strike))
        await play.call(play.stage.gateways[0], cancel_when=strike)
    for moment in play.case.moments:
        ended = await play.call(play.stage.gateways[0], cancel_after_s=moment)
        if ended.says == "created" or not (play.intents[0].request_id and play.again):
            break
    await play.rest()
    await play.check()
    if play.intents[0].request_id and play.again:
        await _end_well(play, play.stage.gateways[0])


def _setting(event: asyncio.Event) -> Hook:
    async def set_it() -> None:
        event.set()

    return set_it


async def together(play: Play) -> None:
    """Attach the same bytes by two callers at once, through two replicas."""
    one = play.intents[0]
    other = play.intend(one.content, with_id=play.case.at != "other without id")
    await asyncio.gather(
        play.call(play.stage.gateways[0], one), play.call(play.stage.gateways[-1], other)
    )
    await play.rest()
    await play.check()
    for intent, gateway in zip((one, other), play.stage.gateways[::-1], strict=True):
        if intent.request_id and play.again and intent.known != "created":
            await _end_well(play, gateway, intent)


async def same(play: Play) -> None:
    """Send the same request id to two replicas at once."""
    await asyncio.gather(*(play.call(gateway) for gateway in play.stage.gateways))
    await play.rest()
    await play.check()
    for gateway in play.stage.gateways:
        await _end_well(play, gateway)


async def struck(play: Play) -> None:
    """Send SIGKILL or SIGTERM to the gateway during a call; repeat at another gateway."""
    number = signal.SIGTERM if play.case.script == "term" else signal.SIGKILL
    ledger = play.stage.new_ledger()
    async with play.own_gateway(ledger) as first:
        await _call_and_strike(play, first, number)
        code = await first.ended(DRAIN_S + END_WITHIN_S)
    if number == signal.SIGTERM and code != 0:
        play.found.append(f"SIGTERM ended it with {code}")
    if play.intents[0].request_id and play.again:
        async with play.own_gateway(ledger) as second:
            await _end_well(play, second)
    else:
        await play.rest()
        await play.check()


async def paused(play: Play) -> None:
    """Stop a gateway past its lease, and repeat at another gateway meanwhile."""
    ledger = play.stage.new_ledger()
    async with play.own_gateway(ledger) as first, play.own_gateway(ledger) as second:
        first_call = asyncio.create_task(_call_and_strike(play, first, signal.SIGSTOP))
        pause = asyncio.create_task(asyncio.sleep(PAUSE_AT_LEAST_S))
        await asyncio.sleep(SETTLE_S)
        await play.mend()
        await play.until_definite(second)
        await pause
        first.signal(signal.SIGCONT)
        await first_call
        await _end_well(play, second)


async def _call_and_strike(play: Play, gateway: Gateway, number: signal.Signals) -> None:
    """Make the call, and send the signal to the gateway at the case's point."""

    async def strike() -> None:
        gateway.signal(number)

    midway = nothing
    strikes: list[asyncio.Task[None]] = []
    match play.case.at:
        case "chunks":
            midway = strike
        case "soon":
            delay_s = Random(play.case.seed).uniform(0, 0.02)

            async def midway() -> None:
                strikes.append(asyncio.create_task(_later(delay_s, strike)))

        case "settling":

            async def in_a_moment() -> None:
                strikes.append(asyncio.create_task(_later(0.3 * SETTLE_S, strike)))

            play.when_struck(in_a_moment)
        case "wire":
            play.when_struck(strike)
    await play.call(gateway, midway=midway)
    await asyncio.gather(*strikes)
    if play.case.at == "answered" or play.traffic.hook is not None:
        await strike()


async def _later(delay_s: float, act: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(delay_s)
    await act()


async def _end_well(play: Play, gateway: Gateway, intent: Intent | None = None) -> None:
    """Remove the faults, repeat until the outcome is definite, and count."""
    await play.mend()
    await play.until_definite(gateway, intent)
    await play.rest()
    await play.check()


SCRIPTS: Mapping[str, Script] = {
    "plain": plain,
    "cancelled": cancelled,
    "together": together,
    "same": same,
    "kill": struck,
    "term": struck,
    "pause": paused,
    "storm": storm,
}
