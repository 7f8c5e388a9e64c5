"""The fuzz: a short run that is always the same, and that it notices what is broken."""

import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest

from tests.faults.children import process_environment
from tests.faults.mutants import mutant
from tests.fuzz import broken, children, report, wire
from tests.fuzz.draws import CANARY
from tests.fuzz.mutants import MUTATIONS
from tests.fuzz.refusals import has_canary
from tests.fuzz.target import ACCEPTED, Target, tally
from tests.fuzz.targets import TARGETS, numbers_of

SEED = "1"
INPUTS = 6_000
LARGE_INPUTS = 12
CALLS, FRAMES = 200, 250


@pytest.mark.parametrize("name", TARGETS)
def test_a_short_run_finds_no_violation(name: str) -> None:
    """The short run finds no violation, and some of the inputs of each target are accepted."""
    inputs = LARGE_INPUTS if name == "large" else numbers_of(INPUTS, TARGETS)[name]
    found = tally(TARGETS[name], SEED, range(inputs))
    assert not found.violated, "\n".join(report.details([found], SEED))
    assert (found.inputs, len(found.words) > 1) == (inputs, True)


async def test_a_short_run_over_the_wire_finds_no_violation() -> None:
    """A gateway that gets odd calls, frames and answers breaks no rule that isn't known."""
    numbers = {wire.CALLS: range(CALLS), wire.FRAMES: range(FRAMES)}
    found = await wire.run(SEED, numbers, until=time.monotonic() + 100)
    assert not any(each.violated for each in found), "\n".join(report.details(found, SEED))
    assert [each.inputs for each in found] == [CALLS, FRAMES, 0]
    assert found[0].words[ACCEPTED] > CALLS // 10


@pytest.mark.parametrize("name", MUTATIONS)
def test_the_fuzz_notices_each_mutant(name: str, tmp_path: Path) -> None:
    """Without a guard, the target that is about it reports a violation."""
    mutation = MUTATIONS[name]
    [target] = mutation.cases
    command = ("-m", "tests.fuzz", "--seed", SEED, "--inputs", "2000", "--target", target)
    ended = subprocess.run(
        [sys.executable, *command],
        env=process_environment(mutant(mutation, tmp_path)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1, ended.stderr
    assert any(f"{target}: {words}" in ended.stdout for words in mutation.violated), ended.stdout
    assert f"--seed {SEED} --only {target}/" in ended.stdout


@pytest.mark.parametrize(
    ("target", "words"), [(broken.CRASHES, "ends the process: -11"), (broken.HANGS, "hangs")]
)
def test_an_input_that_breaks_the_process_is_named(target: Target, words: str) -> None:
    """The input that crashes or hangs the process is a violation, and the others are run."""
    found = children.run(target, SEED, 12, until=time.monotonic() + 60, hang_s=2.0)
    assert (found.inputs, found.words[ACCEPTED]) == (12, 12 - found.violated)
    assert found.violated > 0
    assert {each.what for each in found.violations} == {words}
    for each in found.violations:
        assert Random(f"{SEED}/{each.input_id}").randrange(10) == 9


def test_an_error_that_escapes_is_named() -> None:
    """An error that a target doesn't expect is a violation, with the input."""
    found = tally(broken.RAISES, SEED, range(30))
    assert found.words["raised"] == found.violated > 0
    assert (found.violations[0].what, found.violations[0].given) == (
        "raised LookupError: nine",
        "9",
    )


def test_the_canary_is_found_in_every_part_of_a_status() -> None:
    """The canary is found in a sentence, in a text and in a binary trailer."""
    for message, value in ((CANARY, ""), ("", CANARY), ("", b"\0" + CANARY.encode())):
        assert has_canary(message, (("x-bin", value),))
    assert not has_canary("", (("x", "y"),))
