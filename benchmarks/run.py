"""One run: every scenario of the plan, one after the other."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import baselines, memory, rounds, starts
from benchmarks.baselines import Price
from benchmarks.contestants import GATEWAY
from benchmarks.memory import Endurance, Memory
from benchmarks.plan import BASELINE, BURST, ENDURANCE, MEMORY, ROUNDS, STARTS, Plan
from benchmarks.rounds import Samples
from benchmarks.starts import Start


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The measurements of a run; those of scenarios outside the plan are empty."""

    plan: Plan
    samples: Samples
    starts: Sequence[Start]
    memories: Sequence[Memory]
    bursts: Sequence[Memory]
    prices: Sequence[Price]
    endured: Sequence[Endurance]


def steps(plan: Plan) -> int:
    """Return how often a run calls `tell`."""
    by_scenario = {
        ROUNDS: len(rounds.cells_of(plan)) * (plan.amounts.rounds + 1),
        STARTS: len(_of(plan, starts.STARTED)) * plan.amounts.starts,
        MEMORY: len(_of(plan, memory.FILLED)),
        BURST: len(_of(plan, [GATEWAY])),
        BASELINE: baselines.steps(plan),
        ENDURANCE: 2 * len(_of(plan, memory.ENDURING)),
    }
    return sum(by_scenario[scenario] for scenario in plan.scenarios)


def _of(plan: Plan, names: Sequence[str]) -> list[str]:
    return [name for name in names if name in plan.contestants]


async def run(plan: Plan, tell: Callable[[str], None]) -> Run:
    """Run a plan; `tell` is called before each step."""
    asked = set(plan.scenarios)
    with tempfile.TemporaryDirectory(prefix="benchmark") as folder:
        place = Path(folder)
        return Run(
            plan=plan,
            starts=await starts.starts(plan, place, tell) if STARTS in asked else [],
            samples=await rounds.run(plan, place, tell) if ROUNDS in asked else {},
            memories=await memory.memory(plan, place, tell) if MEMORY in asked else [],
            bursts=await memory.burst(plan, place, tell) if BURST in asked else [],
            prices=await baselines.prices(plan, place, tell) if BASELINE in asked else [],
            endured=await memory.endurance(plan, place, tell) if ENDURANCE in asked else [],
        )
