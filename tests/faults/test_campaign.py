"""The fault campaign: a short run, the mutants that it must notice, and how it counts."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from attachment_gateway.settings import Settings
from graph_emulator.posts import AttachmentDraft, Post, StoredAttachment, stored
from tests.faults import report
from tests.faults.__main__ import SHORT
from tests.faults.bursts import Usage, grown
from tests.faults.caller import Ended
from tests.faults.campaign import Campaign, Result
from tests.faults.cases import Case
from tests.faults.contents import Content
from tests.faults.families import FAMILIES, case, cases
from tests.faults.mutants import MUTATIONS, Mutation, mutant
from tests.faults.verdict import Intent, in_time, violations
from tests.support.stalls import WANTED_BELOW_S


@pytest.mark.timeout(400)
async def test_a_short_campaign_finds_no_violation() -> None:
    """The short campaign, with cases of every family, finds no violation and no long stall."""
    campaign = Campaign()
    results = await campaign.run(list(cases(*SHORT)))
    assert not list(filter(report.violated, results)), "\n".join(report.details(results, *SHORT))
    assert {result.case.family for result in results} == set(FAMILIES)
    assert campaign.stall.own_s < WANTED_BELOW_S, report.stall(campaign.stall)


# Most of a mutant's time is waiting.
MUTANTS_AT_ONCE = 3

# Every mutant must pass these, so that it is noticed only for the rule that it lacks.
HEALTHY = (
    Case(family="wire", number=9998, seed="healthy/upload"),
    Case(family="wire", number=9999, seed="healthy/create", rpc="create", kind="event"),
)


# On a busy machine the moment that a mutant gets wrong may not come.
TRIES = 2


def noticed(results: Sequence[Result], mutation: Mutation) -> bool:
    """Tell whether a mutant was noticed, also by a case in which the machine was late."""
    found = [words for each in results for words in each.violations]
    return any(words.startswith(mutation.violated) for words in found)


@pytest.fixture(scope="module")
def results_of_mutants(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, list[Result]]:
    """The results of each mutant's cases, MUTANTS_AT_ONCE mutants at a time."""
    folder = tmp_path_factory.mktemp("mutants")

    async def all_results() -> dict[str, list[Result]]:
        slots = asyncio.Semaphore(MUTANTS_AT_ONCE)

        async def results(name: str, mutation: Mutation) -> list[Result]:
            tree = mutant(mutation, folder / name.replace(" ", "-"))
            async with slots:
                found: list[Result] = []
                for _ in range(TRIES):
                    if not noticed(found, mutation):
                        chosen = [*HEALTHY, *cases("mutant", 2000, mutation.cases)]
                        found = await Campaign(tree=tree).run(chosen)
                return found

        found = await asyncio.gather(*(results(*each) for each in MUTATIONS.items()))
        return dict(zip(MUTATIONS, found, strict=True))

    return asyncio.run(all_results())


@pytest.mark.timeout(400)
@pytest.mark.parametrize("name", MUTATIONS)
def test_the_campaign_notices_each_mutant(
    name: str, results_of_mutants: Mapping[str, list[Result]]
) -> None:
    """Without a rule, the campaign finds a violation that the rule prevents."""
    results = results_of_mutants[name]
    healthy = [result for result in results if result.case in HEALTHY]
    assert [(each.first and each.first.code, each.violations) for each in healthy] == [
        ("OK", []),
        ("OK", []),
    ]
    details = "\n".join([*report.table(results), *report.details(results, "mutant", 2000)])
    assert noticed(results, MUTATIONS[name]), details


def test_a_mutant_differs_by_one_change(tmp_path: Path) -> None:
    """A mutant has one change; missing words or an undefined name raise ValueError."""

    def made(old: str, new: str) -> Path:
        mutation = Mutation(file="settings.py", old=old, new=new, cases=(), violated=())
        return mutant(mutation, tmp_path / new[:10])

    tree = made("graph_timeout_s: float = ", "graph_timeout_s: int = ")
    assert "graph_timeout_s: int = " in (tree / "attachment_gateway/settings.py").read_text()
    assert Settings.__module__ == "attachment_gateway.settings"
    with pytest.raises(ValueError, match=r"0 times in settings\.py"):
        made("no such words", "")
    with pytest.raises(ValueError, match=r"Undefined name `uuid4`"):
        made('log_level: str = _setting("info"', "log_level: str = _setting(uuid4()")


def test_a_seed_makes_the_same_cases() -> None:
    """A seed makes the same cases in a campaign of any size, and each can be selected alone."""
    made = {one.id: str(one) for one in cases("7", 300)}
    again = {one.id: str(one) for one in cases("7", 2000)}
    assert len(again) >= 2000
    assert {id_: again[id_] for id_ in made} == made
    assert [one.id for one in cases("7", 300, ["wire/0003"])] == ["wire/0003"]
    assert {one.family for one in cases("7", 300, ["lag/*", "kill/*"])} == {"lag", "kill"}
    assert case("7", "wire", 3).content() == case("7", "wire", 3).content()
    assert case("7", "wire", 3).content() != case("8", "wire", 3).content()


# The count.

FILE = Content(name="a", data=b"bytes")
OK = Ended(code="OK", attachment_id="", began_at=0, ended_at=1)
NO = Ended(code="UNAVAILABLE", reason="GRAPH_UNAVAILABLE", began_at=0, ended_at=1)
UNKNOWN = Ended(code="UNKNOWN", reason="OUTCOME_UNKNOWN", began_at=0, ended_at=1)
BARE = Ended(code="UNAVAILABLE", began_at=0, ended_at=1)
BUSY = Ended(code="ABORTED", reason="REQUEST_IN_PROGRESS", began_at=2, ended_at=3)
LATER_NO = Ended(code="NOT_FOUND", reason="GRAPH_NOT_FOUND", began_at=2, ended_at=3)


def on_the_post(*names: str, data: bytes = b"bytes") -> list[StoredAttachment]:
    return [
        stored(AttachmentDraft(kind="file", name=name, content=data), Post(), datetime.now(UTC))
        for name in names
    ]


def counted(ends: list[Ended], there: list[StoredAttachment]) -> list[str]:
    """Return the violations for a call with these ends; `OK` gets the first attachment's id."""
    named = [
        Ended(code="OK", attachment_id=there[0].id, ended_at=end.ended_at) if end is OK else end
        for end in ends
    ]
    return violations([Intent(content=FILE, request_id="", ends=named)], [], there)


@pytest.mark.parametrize(
    ("ends", "count", "found"),
    [
        ([OK], 1, []),
        ([OK], 2, ["duplicate: 2 stored, callers know of: created"]),
        ([NO], 0, []),
        ([NO], 1, ["denied: 1 stored, callers know of: nothing"]),
        ([UNKNOWN], 0, []),
        ([UNKNOWN], 1, []),
        ([UNKNOWN], 2, ["duplicate: 2 stored, callers know of: unclear"]),
        ([BARE], 1, []),
        ([BARE, BUSY], 1, []),
        ([UNKNOWN, LATER_NO], 1, ["denied: 1 stored, callers know of: nothing"]),
        ([UNKNOWN, OK], 1, []),
        ([BUSY], 1, ["denied: 1 stored, callers know of: nothing"]),
    ],
)
def test_the_number_stored_must_fit_the_ends(
    ends: list[Ended], count: int, found: list[str]
) -> None:
    """The number of stored attachments must fit what callers were told."""
    assert counted(ends, on_the_post(*["a"] * count)) == found


def test_an_id_must_be_of_its_own_attachment() -> None:
    """An id must be that of a stored attachment with the content and the name."""
    lost = [Ended(code="OK", attachment_id="gone")]
    assert violations([Intent(content=FILE, request_id="", ends=lost)], [], []) == [
        "lost: 0 stored, callers know of: created",
        "an id that is nobody's, or another's",
    ]
    assert counted([OK], on_the_post("b")) == [
        "altered: a file of 5 bytes, 'b'",
        "the id of 'b' for 'a'",
    ]
    assert counted([OK], on_the_post("a", data=b"byte")) == ["altered: a file of 4 bytes, 'a'"]


def test_twins_are_not_counted() -> None:
    """A twin isn't counted, and its id isn't a correct result."""
    twin, ours = on_the_post("a", "a")
    answered = Intent(content=FILE, request_id="", ends=[Ended(code="OK", attachment_id=ours.id)])
    mistaken = Intent(content=FILE, request_id="", ends=[Ended(code="OK", attachment_id=twin.id)])
    assert violations([answered], [twin.id], [twin, ours]) == []
    assert violations([mistaken], [twin.id], [twin, ours]) == [
        "an id that is nobody's, or another's"
    ]
    assert violations([answered, answered], [], [twin, ours]) == ["one id for two intents"]


@pytest.mark.parametrize(
    ("sent", "effects", "held"),
    [
        ([0.0], [0.9], True),
        ([0.0], [1.1], False),
        ([0.0, 1.1], [0.9, 1.2], True),
        ([0.0, 1.1], [1.3, 1.2], False),
        ([0.0, 2.5], [2.6], True),
        ([], [0.1], False),
    ],
)
def test_each_effect_needs_its_own_request(
    sent: list[float], effects: list[float], held: bool
) -> None:
    """Every effect needs its own request, sent at most `settle_s` before it."""
    assert in_time(sent, effects, settle_s=1.0) is held


def test_growth_over_the_tolerance_is_told() -> None:
    """Files and memory may grow by their tolerances and not by more."""
    before = Usage(files=10, rss_bytes=50_000_000)
    bursts = [Usage(files=90, rss_bytes=mb * 1_000_000) for mb in (90, 120, 130, 140)]
    assert list(grown((before, Usage(files=14, rss_bytes=99_000_000)), bursts)) == []
    leaky = [Usage(files=90, rss_bytes=mb * 1_000_000) for mb in (80, 110, 140, 170)]
    assert list(grown((before, Usage(files=90, rss_bytes=0)), leaky)) == [
        "10 files became 90",
        "110,000,000 bytes of memory became 140,000,000",
    ]
