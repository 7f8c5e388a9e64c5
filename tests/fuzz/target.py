"""A target of the fuzz: how its inputs are drawn and checked, and the tally of many inputs."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from random import Random
from typing import Any, TypeVar

from tests.fuzz.known import known_fault

T = TypeVar("T")

# No input may keep an event loop from its timers for longer than this.
STALL_S = 0.25

# The most violations that are kept of one target; the others are counted.
MAX_KEPT = 20

_SHOWN_CHARS = 4000


@dataclass(slots=True)
class Outcome:
    """How an input ended: `accepted` or the reason of its refusal, and the rules that it broke."""

    word: str
    violations: list[str] = field(default_factory=list)

    def expect(self, what: str, *, holds: bool) -> None:
        """Note a violation unless the rule holds."""
        if not holds:
            self.violations.append(what)


ACCEPTED = "accepted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target in one process; `share` is its weight in the number of inputs.

    `limit_s`: how long an input may take, by the processor's time.
    """

    name: str
    about: str
    share: float
    draw: Callable[[Random], Any]
    check: Callable[[Any], Outcome]
    limit_s: float = STALL_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A broken rule, and what repeats it: the id of the input, and the input itself."""

    what: str
    input_id: str
    given: str


@dataclass(slots=True)
class Tally:
    """How a target's inputs ended. `violated`: how many violations, without the known ones."""

    target: str
    inputs: int = 0
    words: Counter[str] = field(default_factory=Counter)
    slowest_s: float = 0.0
    slowest: str = ""
    violations: list[Violation] = field(default_factory=list)
    violated: int = 0
    known: Counter[str] = field(default_factory=Counter)

    def note(self, what: str, input_id: str, given: object) -> None:
        """Note a violation; one that is known is only counted, by what is at fault."""
        if fault := known_fault(what):
            self.known[fault] += 1
            return
        self.violated += 1
        if len(self.violations) < MAX_KEPT:
            shown = repr(given)[:_SHOWN_CHARS]
            self.violations.append(Violation(what=what, input_id=input_id, given=shown))

    def took(self, seconds: float, input_id: str) -> None:
        """Note how long an input took."""
        if seconds > self.slowest_s:
            self.slowest_s, self.slowest = seconds, input_id

    def add(self, other: "Tally") -> None:
        """Add the tally of further inputs of the same target."""
        self.inputs += other.inputs
        self.words += other.words
        self.took(other.slowest_s, other.slowest)
        self.violated += other.violated
        self.known += other.known
        self.violations += other.violations[: MAX_KEPT - len(self.violations)]


def timed(do: Callable[[], T], outcome: Outcome, what: str) -> T:
    """Return the result, and note a violation if the event loop would be kept for too long."""
    began_s = time.thread_time()
    result = do()
    took_s = time.thread_time() - began_s
    outcome.expect(f"{took_s:.3f} s of the processor {what}", holds=took_s <= STALL_S)
    return result


def random_of(seed: str, input_id: str) -> Random:
    """Return the random numbers of one input."""
    return Random(f"{seed}/{input_id}")


def tally(
    target: Target,
    seed: str,
    numbers: Iterable[int],
    *,
    tell: Callable[[int], None] = lambda _: None,
    skipped: Collection[int] = (),
) -> Tally:
    """Draw and check the inputs with these numbers; `tell` gets each number before it begins."""
    found = Tally(target.name)
    for number in numbers:
        if number not in skipped:
            tell(number)
            _run(target, seed, f"{target.name}/{number}", found)
    return found


def _run(target: Target, seed: str, input_id: str, found: Tally) -> None:
    given = target.draw(random_of(seed, input_id))
    # The time on the processor: other programs on the machine don't count.
    began_s = time.thread_time()
    try:
        outcome = target.check(given)
    except Exception as error:  # noqa: BLE001 what escapes is what is searched for
        outcome = Outcome("raised", [f"raised {type(error).__name__}: {str(error)[:200]}"])
    took_s = time.thread_time() - began_s
    outcome.expect(f"took {took_s:.3f} s of the processor", holds=took_s <= target.limit_s)
    found.inputs += 1
    found.words[outcome.word] += 1
    found.took(took_s, input_id)
    for what in outcome.violations:
        found.note(what, input_id, given)
