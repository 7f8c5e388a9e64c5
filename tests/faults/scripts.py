"""The course of a case: plain, or with cancels and signals."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from random import Random

from tests.faults.bursts import burst
from tests.faults.caller import nothing
from tests.faults.case_run import CaseRun
from tests.faults.gateways import Gateway
from tests.faults.timing import DRAIN_S, END_WITHIN_S, PAUSE_AT_LEAST_S, SETTLE_S
from tests.faults.traffic import Hook
from tests.faults.verdict import Intent

Script = Callable[[CaseRun], Awaitable[None]]


async def plain(run: CaseRun) -> None:
    """Call once, count, and repeat the call if it can be repeated."""
    later = asyncio.create_task(run.place_later())
    ended = await run.call(run.gateways[0])
    await later
    await run.wait_until_quiet()
    await run.check()
    if run.intents[0].request_id and run.again and (ended.says != "created" or run.case.again):
        await _repeat_without_faults(run, run.gateways[0])


async def steps(run: CaseRun) -> None:
    """Step the wall clocks of two replicas while the first has a request out; repeat at both."""
    ledger = run.environment.new_ledger()
    clocks = [Path(f"{ledger.removeprefix('sqlite:///')}.{number}") for number in range(2)]
    for clock in clocks:
        clock.write_text("0")
    async with (
        run.own_gateway(ledger, clocks[0]) as first,
        run.own_gateway(ledger, clocks[1]) as second,
    ):
        reached = asyncio.Event()

        async def step() -> None:
            for clock, step_s in zip(clocks, run.case.moments, strict=True):
                clock.write_text(str(step_s))
            reached.set()

        run.on_hook(step)
        first_call = asyncio.create_task(run.call(first))
        hook = asyncio.create_task(reached.wait())
        await asyncio.wait({first_call, hook}, return_when=asyncio.FIRST_COMPLETED)
        hook.cancel()
        await run.call(second)
        await first_call
        await run.clear_faults()
        for gateway in (second, first):
            await run.call(gateway)
        await run.wait_until_quiet()
        await run.check()


def vanishing(vanish: Callable[[Path], object]) -> Script:
    """Return the script in which a ledger's file vanishes, and the gateway has to notice."""

    async def vanished(run: CaseRun) -> None:
        ledger = run.environment.new_ledger()

        async def strike() -> None:
            await asyncio.to_thread(vanish, Path(ledger.removeprefix("sqlite:///")))

        async with run.own_gateway(ledger) as gateway:
            if run.case.at == "wire":
                run.on_hook(strike)
            await run.call(gateway)
            if run.case.at != "wire" or run.traffic.hook is not None:
                await strike()
            await run.call(gateway)
            ended = await run.call(gateway, run.intend(run.intents[0].content))
            if ended.reason != "LEDGER_UNAVAILABLE":
                run.found.append(f"the ledger is gone, and a new call ended as {ended}")
            await run.wait_until_quiet()
            await run.check()

    return vanished


def _move(file: Path) -> None:
    file.rename(file.with_suffix(".moved"))


def _replace(file: Path) -> None:
    other = file.with_suffix(".other")
    other.write_bytes(b"")
    other.replace(file)


async def cancelled(run: CaseRun) -> None:
    """Call and cancel as the case says; then repeat until the outcome is definite."""
    if run.case.at == "wire":
        reached = asyncio.Event()
        run.on_hook(_setting(reached))
        await run.call(run.gateways[0], cancel_when=reached)
    for moment in run.case.moments:
        ended = await run.call(run.gateways[0], cancel_after_s=moment)
        if ended.says == "created" or not (run.intents[0].request_id and run.again):
            break
    await run.wait_until_quiet()
    await run.check()
    if run.intents[0].request_id and run.again:
        await _repeat_without_faults(run, run.gateways[0])


def _setting(event: asyncio.Event) -> Hook:
    async def set_it() -> None:
        event.set()

    return set_it


async def together(run: CaseRun) -> None:
    """Attach the same bytes by two callers at once, through two replicas."""
    one = run.intents[0]
    other = run.intend(one.content, with_id=run.case.at != "other without id")
    await asyncio.gather(run.call(run.gateways[0], one), run.call(run.gateways[-1], other))
    await run.wait_until_quiet()
    await run.check()
    for intent, gateway in zip((one, other), run.gateways[::-1], strict=True):
        if intent.request_id and run.again and intent.known != "created":
            await _repeat_without_faults(run, gateway, intent)


async def same(run: CaseRun) -> None:
    """Send the same request id to two replicas at once."""
    await asyncio.gather(*(run.call(gateway) for gateway in run.gateways))
    await run.wait_until_quiet()
    await run.check()
    for gateway in run.gateways:
        await _repeat_without_faults(run, gateway)


async def signalled(run: CaseRun) -> None:
    """Send SIGKILL or SIGTERM to the gateway during a call; repeat at another gateway."""
    number = signal.SIGTERM if run.case.script == "term" else signal.SIGKILL
    ledger = run.environment.new_ledger()
    async with run.own_gateway(ledger) as first:
        await _call_and_signal(run, first, number)
        code = await first.ended(DRAIN_S + END_WITHIN_S)
    if number == signal.SIGTERM and code != 0:
        run.found.append(f"SIGTERM ended it with {code}")
    if run.intents[0].request_id and run.again:
        async with run.own_gateway(ledger) as second:
            await _repeat_without_faults(run, second)
    else:
        await run.wait_until_quiet()
        await run.check()


async def paused(run: CaseRun) -> None:
    """Stop a gateway past its lease, and repeat at another gateway meanwhile."""
    ledger = run.environment.new_ledger()
    async with run.own_gateway(ledger) as first, run.own_gateway(ledger) as second:
        first_call = asyncio.create_task(_call_and_signal(run, first, signal.SIGSTOP))
        pause = asyncio.create_task(asyncio.sleep(PAUSE_AT_LEAST_S))
        await asyncio.sleep(SETTLE_S)
        await run.clear_faults()
        await run.until_definite(second)
        await pause
        first.signal(signal.SIGCONT)
        await first_call
        await _repeat_without_faults(run, second)


async def _call_and_signal(run: CaseRun, gateway: Gateway, number: signal.Signals) -> None:
    """Make the call, and send the signal to the gateway at the case's point."""

    async def send_signal() -> None:
        gateway.signal(number)

    midway = nothing
    signals: list[asyncio.Task[None]] = []
    match run.case.at:
        case "chunks":
            midway = send_signal
        case "soon":
            delay_s = Random(run.case.seed).uniform(0, 0.02)

            async def midway() -> None:
                signals.append(asyncio.create_task(_later(delay_s, send_signal)))

        case "settling":

            async def in_a_moment() -> None:
                signals.append(asyncio.create_task(_later(0.3 * SETTLE_S, send_signal)))

            run.on_hook(in_a_moment)
        case "wire":
            run.on_hook(send_signal)
    await run.call(gateway, midway=midway)
    await asyncio.gather(*signals)
    if run.case.at == "answered" or run.traffic.hook is not None:
        await send_signal()


async def _later(delay_s: float, act: Callable[[], Awaitable[None]]) -> None:
    await asyncio.sleep(delay_s)
    await act()


async def _repeat_without_faults(
    run: CaseRun, gateway: Gateway, intent: Intent | None = None
) -> None:
    """Remove the faults, repeat until the outcome is definite, and count."""
    await run.clear_faults()
    await run.until_definite(gateway, intent)
    await run.wait_until_quiet()
    await run.check()


SCRIPTS: Mapping[str, Script] = {
    "plain": plain,
    "steps": steps,
    "delete ledger": vanishing(Path.unlink),
    "move ledger": vanishing(_move),
    "replace ledger": vanishing(_replace),
    "truncate ledger": vanishing(lambda file: os.truncate(file, 0)),
    "cancelled": cancelled,
    "together": together,
    "same": same,
    "kill": signalled,
    "term": signalled,
    "pause": paused,
    "burst": burst,
}
