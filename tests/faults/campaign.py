"""Runs cases on their environments, many at once, and collects the results."""

import asyncio
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.caller import Ended
from tests.faults.case_run import CaseRun
from tests.faults.cases import Case
from tests.faults.environments import ENVIRONMENTS, Environment, environment, redis_server
from tests.faults.families import FAMILIES
from tests.faults.gateways import has_ledger
from tests.faults.loop_lag import LoopLag, watched_loop
from tests.faults.scripts import SCRIPTS
from tests.support.stalls import NONE, Stall, longest

# A case that takes longer counts as hanging.
CASE_AT_MOST_S = 180.0

# A case is run at most this often while its violation may be due to a late machine.
TRIES = 3

ENVIRONMENTS_AT_ONCE = 3

# For blocking calls: starting and ending processes, and requests to the emulator.
THREADS = 32

# Cases with gateways of their own start processes.
OWN_GATEWAYS_AT_ONCE = 6
_WITH_OWN_GATEWAYS = {"kill", "term", "pause", "burst", "steps"}


@dataclass(slots=True, kw_only=True)
class Result:
    """The result of a case."""

    case: Case
    first: Ended | None = None
    violations: list[str] = field(default_factory=list)
    skipped: str = ""
    unproven: bool = False
    """Whether the machine was late in every try, so that the violations prove nothing."""
    took_s: float = 0.0
    exceptions: int = 0
    """The number of twins that were taken for the caller's own, as the rules let them."""
    knowable: bool = False
    """Whether Graph's responses told the first call, which had a baseline, its outcome."""
    history: list[str] = field(default_factory=list)
    """One line for each event."""


@dataclass(slots=True, kw_only=True)
class Campaign:
    """How cases are run. `tree` goes first on the import path; `logs` gets the gateways' logs."""

    jobs: int = 48
    tree: Path | None = None
    logs: Path | None = None
    tell: Callable[[Result], None] = lambda _: None
    stall: Stall = NONE
    """The longest stall of a gateway's event loop in all runs."""

    async def run(self, cases: Sequence[Case]) -> list[Result]:
        """Run all cases; return their results in no order."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        runnable, results = self._sorted_out(cases)
        by_environment: defaultdict[str, list[Case]] = defaultdict(list)
        for case in runnable:
            by_environment[case.environment].append(case)
        slots, environments = asyncio.Semaphore(self.jobs), asyncio.Semaphore(ENVIRONMENTS_AT_ONCE)
        own = asyncio.Semaphore(OWN_GATEWAYS_AT_ONCE)
        began_s = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            async with watched_loop() as loop_lag, asyncio.TaskGroup() as group:
                runner = _EnvironmentRunner(self, slots, own, loop_lag, Path(folder))
                tasks = [
                    group.create_task(runner.run_all(name, of_environment, environments))
                    for name, of_environment in by_environment.items()
                ]
            noted = (self.logs or Path(folder)).glob("*.stalls")
            self.stall = max(self.stall, longest(*noted, since_s=began_s), key=_own_s)
        return [*results, *(result for task in tasks for result in task.result())]

    def _sorted_out(self, cases: Iterable[Case]) -> tuple[list[Case], list[Result]]:
        runnable, skipped = [], []
        for case in cases:
            if why := self._why_not(case):
                skipped.append(Result(case=case, skipped=why))
                self.tell(skipped[-1])
            else:
                runnable.append(case)
        return runnable, skipped

    def _why_not(self, case: Case) -> str:
        if FAMILIES[case.family].needs_ledger and not has_ledger(self.tree):
            return "this gateway has no ledger"
        if ENVIRONMENTS[case.environment].ledger == "redis" and redis_server() is None:
            return "no redis-server on PATH"
        return ""


@dataclass(slots=True)
class _EnvironmentRunner:
    campaign: Campaign
    slots: asyncio.Semaphore
    own: asyncio.Semaphore
    loop_lag: LoopLag
    folder: Path

    async def run_all(
        self, name: str, cases: Sequence[Case], environments: asyncio.Semaphore
    ) -> list[Result]:
        """Set up an environment, run its cases, and count once more at the end."""
        campaign = self.campaign
        setting = environment(
            name,
            folder=self.folder,
            tree=campaign.tree,
            logs=campaign.logs or self.folder,
            baselines={case.baseline for case in cases if case.script not in _WITH_OWN_GATEWAYS},
        )
        async with environments, setting as on:
            finished = await asyncio.gather(*(self._run_in_slot(case, on) for case in cases))
            await _count_again(on, finished)
            return [result for result, _ in finished]

    async def _run_in_slot(self, case: Case, on: Environment) -> tuple[Result, CaseRun]:
        async with AsyncExitStack() as stack:
            if case.script in _WITH_OWN_GATEWAYS or case.family == "vanished":
                await stack.enter_async_context(self.own)
            else:
                await stack.enter_async_context(self.slots)
            result, run = await self._run(case, on)
        self.campaign.tell(result)
        return result, run

    async def _run(self, case: Case, on: Environment) -> tuple[Result, CaseRun]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(TRIES):
            tried = loop.time()
            run = CaseRun(case=case, environment=on, again=has_ledger(self.campaign.tree))
            await _run_script(run)
            shaky = self.loop_lag.late_since(tried) or not run.graph_was_in_time
            if not run.found or not shaky:
                break
        result = Result(
            case=case,
            first=run.first,
            violations=run.found,
            unproven=bool(run.found) and shaky,
            took_s=loop.time() - began,
            exceptions=run.exceptions,
            knowable=run.could_be_known,
            history=run.history(),
        )
        run.forget_bodies()
        return result, run


def _own_s(stall: Stall) -> float:
    return stall.own_s


async def _run_script(run: CaseRun) -> None:
    try:
        async with asyncio.timeout(CASE_AT_MOST_S):
            await run.set_up()
            await SCRIPTS[run.case.script](run)
    except TimeoutError:
        run.found.append(f"the case took longer than {CASE_AT_MOST_S:g} s")
    except Exception as error:  # noqa: BLE001 one case that can't be run must not end the others
        run.found.append(f"the case can't be run: {error!r}")


async def _count_again(on: Environment, finished: Iterable[tuple[Result, CaseRun]]) -> None:
    stored = defaultdict(list)
    for attachment in await on.ask_emulator(lambda control: control.stored()):
        stored[attachment.post.post_id].append(attachment)
    for _, run in finished:
        run.count(stored[run.post.post_id])
