"""The report of a run, for people."""

from collections.abc import Iterator, Sequence

from tests.fuzz.known import is_known
from tests.fuzz.target import ACCEPTED, Tally

# What a target says of an input that was taken: a request, a creation, a whole answer, a find.
_ACCEPTED = (ACCEPTED, "created", "read", "found")

_HEADINGS = ("inputs", "accepted", "others", "longest", "known", "violations")


def table(tallies: Sequence[Tally]) -> Iterator[str]:
    """Yield a line for each target, and below it how its inputs ended."""
    yield _line("target", _HEADINGS)
    for each in tallies:
        accepted = sum(each.words[word] for word in _ACCEPTED)
        yield _line(
            each.target,
            (
                f"{each.inputs:,}",
                f"{accepted:,}",
                f"{each.words.total() - accepted:,}",
                f"{each.slowest_s:.3f} s",
                len(known(each)),
                each.violated - len(known(each)),
            ),
        )
    yield ""
    for each in tallies:
        for word, count in sorted(each.words.items()):
            yield f"{each.target:12}{count:>9,}  {word}"
    yield ""
    inputs = sum(each.inputs for each in tallies)
    yield f"{inputs:,} inputs, {sum(map(violated, tallies)):,} violations"


def details(tallies: Sequence[Tally], seed: str) -> Iterator[str]:
    """Yield each violation, with the flags that repeat its input alone, and the input."""
    for each in tallies:
        if each.slowest:
            yield f"longest of {each.target}: --seed {seed} --only {each.slowest}"
    for each in tallies:
        for violation in each.violations:
            is_old = is_known(violation.what)
            yield f"\n{'known: ' if is_old else ''}{each.target}: {violation.what}"
            if violation.given and not is_old:
                yield f"    {violation.given}"
                yield f"    --seed {seed} --only {violation.input_id}"


def known(found: Tally) -> list[str]:
    """Return a target's violations that are known."""
    return [each.what for each in found.violations if is_known(each.what)]


def violated(found: Tally) -> int:
    """Return how many of a target's violations aren't known ones."""
    return found.violated - len(known(found))


def _line(first: str, cells: Sequence[object]) -> str:
    return f"{first:12}" + "".join(f"{cell:>13}" for cell in cells)
