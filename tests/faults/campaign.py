"""Runs cases on their stages, many at once, and collects the results."""

import asyncio
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.caller import Ended
from tests.faults.cases import Case
from tests.faults.families import FAMILIES
from tests.faults.gateways import has_ledger
from tests.faults.play import Play
from tests.faults.pulse import Pulse, beating
from tests.faults.scripts import SCRIPTS
from tests.faults.stages import STAGES, Stage, redis_server, stage

# A case that takes longer counts as hanging.
CASE_AT_MOST_S = 180.0

# A case is run at most this often while its violation may be due to a late machine.
TRIES = 3

STAGES_AT_ONCE = 3

# For blocking calls: starting and ending processes, and requests to the emulator.
THREADS = 32

# Cases with gateways of their own start processes.
OWN_GATEWAYS_AT_ONCE = 6
_WITH_OWN_GATEWAYS = {"kill", "term", "pause", "storm"}


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
    history: list[str] = field(default_factory=list)
    """One line for each event."""


@dataclass(slots=True, kw_only=True)
class Campaign:
    """How cases are run. `tree` goes first on the import path; `logs` gets the gateways' logs."""

    jobs: int = 48
    tree: Path | None = None
    logs: Path | None = None
    tell: Callable[[Result], None] = lambda _: None

    async def run(self, cases: Sequence[Case]) -> list[Result]:
        """Run all cases; return their results in no order."""
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        playable, results = self._sorted_out(cases)
        by_stage: defaultdict[str, list[Case]] = defaultdict(list)
        for case in playable:
            by_stage[case.stage].append(case)
        slots, stages = asyncio.Semaphore(self.jobs), asyncio.Semaphore(STAGES_AT_ONCE)
        own = asyncio.Semaphore(OWN_GATEWAYS_AT_ONCE)
        with tempfile.TemporaryDirectory() as folder:
            async with beating() as pulse, asyncio.TaskGroup() as group:
                runner = _StageRunner(self, slots, own, pulse, Path(folder))
                tasks = [
                    group.create_task(runner.play_all(name, of_stage, stages))
                    for name, of_stage in by_stage.items()
                ]
        return [*results, *(result for task in tasks for result in task.result())]

    def _sorted_out(self, cases: Iterable[Case]) -> tuple[list[Case], list[Result]]:
        playable, skipped = [], []
        for case in cases:
            if why := self._why_not(case):
                skipped.append(Result(case=case, skipped=why))
                self.tell(skipped[-1])
            else:
                playable.append(case)
        return playable, skipped

    def _why_not(self, case: Case) -> str:
        if FAMILIES[case.family].needs_ledger and not has_ledger(self.tree):
            return "this gateway has no ledger"
        if STAGES[case.stage].ledger == "redis" and redis_server() is None:
            return "no redis-server on PATH"
        return ""


@dataclass(slots=True)
class _StageRunner:
    campaign: Campaign
    slots: asyncio.Semaphore
    own: asyncio.Semaphore
    pulse: Pulse
    folder: Path

    async def play_all(
        self, name: str, cases: Sequence[Case], stages: asyncio.Semaphore
    ) -> list[Result]:
        """Set up a stage, run its cases, and count once more at the end."""
        campaign = self.campaign
        setting = stage(
            name, folder=self.folder, tree=campaign.tree, logs=campaign.logs or self.folder
        )
        async with stages, setting as on:
            played = await asyncio.gather(*(self._run_in_slot(case, on) for case in cases))
            await _count_again(on, played)
            return [result for result, _ in played]

    async def _run_in_slot(self, case: Case, on: Stage) -> tuple[Result, Play]:
        async with AsyncExitStack() as stack:
            if case.script in _WITH_OWN_GATEWAYS:
                await stack.enter_async_context(self.own)
            else:
                await stack.enter_async_context(self.slots)
            result, play = await self._play(case, on)
        self.campaign.tell(result)
        return result, play

    async def _play(self, case: Case, on: Stage) -> tuple[Result, Play]:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for _ in range(TRIES):
            tried = loop.time()
            play = Play(case=case, stage=on, again=has_ledger(self.campaign.tree))
            await _played(play)
            shaky = self.pulse.late_since(tried) or not play.graph_was_in_time
            if not play.found or not shaky:
                break
        result = Result(
            case=case,
            first=play.first,
            violations=play.found,
            unproven=bool(play.found) and shaky,
            took_s=loop.time() - began,
            history=play.history(),
        )
        return result, play


async def _played(play: Play) -> None:
    try:
        async with asyncio.timeout(CASE_AT_MOST_S):
            await play.set_up()
            await SCRIPTS[play.case.script](play)
    except TimeoutError:
        play.found.append(f"the case took longer than {CASE_AT_MOST_S:g} s")
    except Exception as error:  # noqa: BLE001 one case that can't be played must not end the others
        play.found.append(f"the case can't be played: {error!r}")


async def _count_again(on: Stage, played: Iterable[tuple[Result, Play]]) -> None:
    stored = defaultdict(list)
    for attachment in await on.ask_emulator(lambda control: control.stored()):
        stored[attachment.post.post_id].append(attachment)
    for _, play in played:
        play.count(stored[play.post.post_id])
