"""Schedules that break a weaker promise of "exactly once", over real processes.

Each is one case of the campaign with a course of its own: gateways are killed, other clients write
to the post, and Graph acts late.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from graph_emulator.faults import Fault, FaultAnswer
from tests.faults.case_run import CaseRun
from tests.faults.cases import BASELINES, Baseline, Case
from tests.faults.environments import environment
from tests.faults.gateways import Gateway
from tests.faults.timing import SETTLE_S
from tests.faults.verdict import Intent
from tests.faults.wire_faults import WireFault

# The answer is held back when Graph has stored the attachment, or when nothing has come to it.
STORED = WireFault(side="answer", at="nothing", calls_hook=True, pause_s=30.0)
NOTHING_STORED = WireFault(at="body_middle", gather=True, calls_hook=True, act="reset")


@asynccontextmanager
async def started(case: Case, folder: Path) -> AsyncIterator[CaseRun]:
    """Set up a case in an environment of its own."""
    async with environment(case.environment, folder=folder, logs=folder) as running:
        run = CaseRun(case=case, environment=running, again=True)
        await run.set_up()
        yield run


async def killed(run: CaseRun, gateway: Gateway, intent: Intent | None = None) -> None:
    """Call a gateway, and kill it when the case's fault is reached."""

    async def kill() -> None:
        gateway.signal(signal.SIGKILL)

    run.on_hook(kill)
    ended = await run.call(gateway, intent)
    assert ended.says == "cut off"
    await run.clear_faults()


async def attach_as_another(run: CaseRun) -> str:
    """Attach a file of the same name and other bytes, as another client; return its id."""
    content = run.case.content()
    draft = content.draft(content.name)
    await run.place(type(draft)(kind="file", name=draft.name, content=b"other"), datetime.now(UTC))
    return run.placed[-1]


async def own(run: CaseRun) -> list[str]:
    """Return the ids that were stored by the gateways, after the post has become quiet."""
    await run.wait_until_quiet()
    await run.check()
    return [one.id for one in run.stored if one.id not in run.placed]


async def stored_and_killed(
    folder: Path, *, environment_name: str, second_baseline: Baseline
) -> None:
    """Whoever reconciles an attempt uses its baseline, also with the setting `never`."""
    case = Case(
        family="schedule",
        number=0,
        seed="killed",
        environment=environment_name,
        baseline="always",
        neighbours=2,
        faults=(STORED,),
    )
    async with started(case, folder) as run:
        ledger = run.environment.new_ledger()
        async with run.own_gateway(ledger) as first:
            await killed(run, first)
        async with run.environment.run(ledger, second_baseline) as second:
            await run.until_definite(second)
        assert [run.intents[0].ids] == [set(await own(run))]
        assert not run.found


async def two_calls_of_one_name(folder: Path) -> None:
    """The first of two calls with the same file is killed; each gets an attachment of its own."""
    case = Case(
        family="schedule", number=1, seed="two", baseline="always", faults=(STORED,), neighbours=1
    )
    async with started(case, folder) as run:
        ledger = run.environment.new_ledger()
        one, other = run.intents[0], run.intend(run.intents[0].content)
        async with run.own_gateway(ledger) as first, run.own_gateway(ledger) as second:
            await killed(run, first, one)
            await run.until_definite(second, other)
            await run.until_definite(second, one)
        assert one.ids | other.ids == set(await own(run))
        assert len(one.ids | other.ids) == 2
        assert not run.found


async def another_clients_file_after_the_window(folder: Path) -> None:
    """Nothing was stored, and a person attaches a file of the same name: it is never the answer."""
    case = Case(
        family="schedule", number=2, seed="person", baseline="always", faults=(NOTHING_STORED,)
    )
    async with started(case, folder) as run:
        ledger = run.environment.new_ledger()
        async with run.own_gateway(ledger) as first:
            await killed(run, first)
        await asyncio.sleep(10 + 4 * SETTLE_S)  # a lease, the time to settle, and two seconds
        foreign = await attach_as_another(run)
        async with run.own_gateway(ledger) as second:
            ended = await run.call(second)
        assert ended.attachment_id != foreign
        assert ended.says in ("created", "unknown")
        assert not run.found


async def landed_after_it_was_settled(folder: Path, *, baseline: Baseline) -> None:
    """Graph acts later than `settle_s`; a repeat lists the post before it sends anything."""
    late = Fault(answer=FaultAnswer(status=503), store="after", store_after_s=3 * SETTLE_S)
    locked = Fault(answer=FaultAnswer(status=423))
    case = Case(family="schedule", number=3, seed="late", baseline=baseline, faults=(late, locked))
    async with started(case, folder) as run:
        gateway = run.gateways[0]
        ended = await run.call(gateway)
        assert ended.reason == "GRAPH_LOCKED"
        await asyncio.sleep(2.5 * SETTLE_S)
        again = await run.call(gateway)
        [stored] = await own(run)
        assert again.says == "unknown" or again.attachment_id == stored


SCHEDULES: Mapping[str, Callable[[Path], Awaitable[None]]] = {
    "killed, then repeated with always": partial(
        stored_and_killed, environment_name="plain", second_baseline="always"
    ),
    "killed, then repeated with never": partial(
        stored_and_killed, environment_name="odd bytes", second_baseline="never"
    ),
    "two calls of one name": two_calls_of_one_name,
    "another client after the window": another_clients_file_after_the_window,
    **{
        f"landed late, {baseline}": partial(landed_after_it_was_settled, baseline=baseline)
        for baseline in BASELINES
    },
}

# Most of a schedule's time is waiting for a dead holder's lease.
AT_ONCE = 3


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, BaseException | None]:
    """How each schedule ended, AT_ONCE at a time: None if as it should."""

    async def all_ends() -> list[BaseException | None]:
        slots = asyncio.Semaphore(AT_ONCE)

        async def end(schedule: Callable[[Path], Awaitable[None]]) -> None:
            async with slots:
                await schedule(tmp_path_factory.mktemp("schedule"))

        return await asyncio.gather(*map(end, SCHEDULES.values()), return_exceptions=True)

    return dict(zip(SCHEDULES, asyncio.run(all_ends()), strict=True))


@pytest.mark.timeout(200)
@pytest.mark.parametrize("name", SCHEDULES)
def test_each_schedule_keeps_the_promise(
    name: str, ends: Mapping[str, BaseException | None]
) -> None:
    """After each schedule, callers know the truth and one attachment was stored for each."""
    if (error := ends[name]) is not None:
        raise error
