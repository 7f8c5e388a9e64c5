"""The report of a run, for people."""

from collections.abc import Iterator, Sequence

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
                each.known.total(),
                each.violated,
            ),
        )
    yield ""
    for each in tallies:
        for word, count in sorted(each.words.items()):
            yield f"{each.target:12}{count:>9,}  {word}"
    yield ""
    for each in tallies:
        for fault, count in sorted(each.known.items()):
            yield f"{each.target:12}{count:>9,}  known: {fault}"
    inputs, violated = (sum(counts) for counts in zip(*map(_counts, tallies), strict=True))
    yield f"{inputs:,} inputs, {violated:,} violations"


def details(tallies: Sequence[Tally], seed: str) -> Iterator[str]:
    """Yield what repeats the longest input of each target, and each violation with its input."""
    for each in tallies:
        if each.slowest:
            yield f"longest of {each.target}: --seed {seed} --only {each.slowest}"
    for each in tallies:
        for violation in each.violations:
            yield f"\n{each.target}: {violation.what}"
            if violation.given:
                yield f"    {violation.given}"
                yield f"    --seed {seed} --only {violation.input_id}"


def _counts(found: Tally) -> tuple[int, int]:
    return found.inputs, found.violated


def _line(first: str, cells: Sequence[object]) -> str:
    return f"{first:12}" + "".join(f"{cell:>13}" for cell in cells)
