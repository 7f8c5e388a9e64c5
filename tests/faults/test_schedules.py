"""Schedules that break a promise of "exactly once" which rests on less, over real processes.

Each is one case of the campaign with a course of its own: gateways are killed, other clients write
to the post, and Graph acts late.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graph_emulator.faults import Fault, FaultAnswer
from tests.faults.case_run import CaseRun
from tests.faults.cases import Baseline, Case
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


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("environment_name", "second_baseline"), [("plain", "always"), ("odd bytes", "never")]
)
async def test_stored_and_killed_is_found_by_the_baseline_of_the_attempt(
    environment_name: str, second_baseline: Baseline, tmp_path: Path
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
    async with started(case, tmp_path) as run:
        ledger = run.environment.new_ledger()
        async with run.own_gateway(ledger) as first:
            await killed(run, first)
        async with run.environment.run(ledger, second_baseline) as second:
            await run.until_definite(second)
        assert [run.intents[0].ids] == [set(await own(run))]
        assert not run.found


@pytest.mark.timeout(120)
async def test_two_calls_of_one_name_are_told_apart(tmp_path: Path) -> None:
    """The first of two calls with the same file is killed; each gets an attachment of its own."""
    case = Case(
        family="schedule", number=1, seed="two", baseline="always", faults=(STORED,), neighbours=1
    )
    async with started(case, tmp_path) as run:
        ledger = run.environment.new_ledger()
        one, other = run.intents[0], run.intend(run.intents[0].content)
        async with run.own_gateway(ledger) as first, run.own_gateway(ledger) as second:
            await killed(run, first, one)
            await run.until_definite(second, other)
            await run.until_definite(second, one)
        assert one.ids | other.ids == set(await own(run))
        assert len(one.ids | other.ids) == 2
        assert not run.found


@pytest.mark.timeout(120)
async def test_another_clients_file_after_the_window_is_not_claimed(tmp_path: Path) -> None:
    """Nothing was stored, and a person attaches a file of the same name: it is never the answer."""
    case = Case(
        family="schedule", number=2, seed="person", baseline="always", faults=(NOTHING_STORED,)
    )
    async with started(case, tmp_path) as run:
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


@pytest.mark.parametrize("baseline", ["always", "auto", "never"])
async def test_what_lands_after_it_was_settled_is_not_created_again(
    baseline: Baseline, tmp_path: Path
) -> None:
    """Graph acts later than `settle_s`; a repeat lists the post before it sends anything."""
    late = Fault(answer=FaultAnswer(status=503), store="after", store_after_s=3 * SETTLE_S)
    locked = Fault(answer=FaultAnswer(status=423))
    case = Case(family="schedule", number=3, seed="late", baseline=baseline, faults=(late, locked))
    async with started(case, tmp_path) as run:
        gateway = run.gateways[0]
        ended = await run.call(gateway)
        assert ended.reason == "GRAPH_LOCKED"
        await asyncio.sleep(2.5 * SETTLE_S)
        again = await run.call(gateway)
        [stored] = await own(run)
        assert again.says == "unknown" or again.attachment_id == stored
