"""The report of a campaign, for people."""

from collections import Counter
from collections.abc import Iterator, Sequence

from tests.faults.campaign import Result
from tests.faults.cases import BASELINES
from tests.faults.families import FAMILIES
from tests.support.stalls import WANTED_BELOW_S, Stall

HEADINGS = (
    "family",
    "cases",
    "created",
    "nothing",
    "unknown",
    "knowable",
    "cut off",
    "twins",
    "violations",
)


def table(results: Sequence[Result]) -> Iterator[str]:
    """Yield a line for each family and one for all: how the first calls ended.

    `knowable` counts the unknown and cut off calls whose outcome could have been known in time,
    `twins` the attachments of others that the rules let a call take for its own.
    """
    yield _line(HEADINGS)
    for family in FAMILIES:
        of_family = [result for result in results if result.case.family == family]
        if of_family:
            yield _line((family, *_counts(of_family))) + _skipped(of_family)
    yield _line(("all", *_counts(results)))
    yield ""
    for baseline in BASELINES:
        of_baseline = [result for result in results if result.case.baseline == baseline]
        yield _line((baseline, *_counts(of_baseline)))
    yield ""
    for reason, count in sorted(_reasons(results).items()):
        yield f"{count:7}  {reason}"


def details(results: Sequence[Result], seed: str, count: int) -> Iterator[str]:
    """Yield each case that isn't as it should be, with the flags that repeat it alone."""
    for heading, chosen in (
        ("could have been known", [one for one in results if knowable(one)]),
        ("perhaps the machine's fault", [one for one in results if one.unproven]),
        ("violations", [one for one in results if violated(one)]),
    ):
        if chosen:
            yield f"\n{heading}:"
        for result in chosen:
            yield f"  {result.case}"
            yield f"    first {result.first}, in all {result.took_s:.1f}s"
            yield from (f"    {line}" for line in (*result.violations, *result.history))
            yield f"    --seed {seed} --cases {count} --only {result.case.id}"


def stall(found: Stall) -> str:
    """Return the line of the gateways' longest stall."""
    return (
        f"longest stall of an event loop: {found.own_s * 1000:.0f} ms "
        f"(with what the machine added: {found.late_s * 1000:.0f}), "
        f"wanted below {WANTED_BELOW_S * 1000:.0f}"
    )


def violated(result: Result) -> bool:
    """Return whether the promise was broken."""
    return bool(result.violations) and not result.unproven


def knowable(result: Result) -> bool:
    """Return whether a caller wasn't told an outcome that could have been known in time.

    It could by how the case was made, or by what Graph showed to a call with a baseline.
    """
    if result.first is None or result.case.script != "plain":
        return False
    is_told = result.case.truth == "known" or result.knowable
    return is_told and result.first.says in ("unknown", "cut off")


def _counts(results: Sequence[Result]) -> tuple[object, ...]:
    says = Counter(result.first.says for result in results if result.first is not None)
    return (
        sum(not result.skipped for result in results),
        says["created"],
        says["nothing"] + says["not by this call"],
        says["unknown"],
        sum(map(knowable, results)),
        says["cut off"],
        sum(result.exceptions for result in results),
        sum(map(violated, results)),
    )


def _reasons(results: Sequence[Result]) -> Counter[str]:
    firsts = [result.first for result in results if result.first is not None]
    return Counter(
        first.reason or f"{first.code}, gRPC's own" for first in firsts if first.says != "created"
    )


def _line(cells: Sequence[object]) -> str:
    first, *rest = cells
    return f"{first:10}" + "".join(f"{cell:>11}" for cell in rest)


def _skipped(results: Sequence[Result]) -> str:
    skipped = [result.skipped for result in results if result.skipped]
    return f"  {len(skipped)} skipped: {skipped[0]}" if skipped else ""
