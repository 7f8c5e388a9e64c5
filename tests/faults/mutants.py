"""Gateways with one rule removed, to check that the campaign notices."""

import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import attachment_gateway

PACKAGE = Path(attachment_gateway.__file__).parent

# F821: undefined name, F822: one in __all__, F823: a local used before its assignment.
_UNDEFINED_NAMES = "F821,F822,F823"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """A change of the words `old` to `new` in one file of the package.

    `cases` should notice it by a violation that begins with one of `violated`.
    """

    file: str
    old: str
    new: str
    cases: tuple[str, ...]
    violated: tuple[str, ...]


def mutant(mutation: Mutation, folder: Path) -> Path:
    """Copy the package with a change; return the folder to put on the import path.

    Raises ValueError if `old` isn't there exactly once, or if the change uses an undefined name,
    with which the mutant would fail for another reason.
    """
    copy = folder / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / mutation.file
    text = file.read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.old!r} is {text.count(mutation.old)} times in {mutation.file}")
    file.write_text(text.replace(mutation.old, mutation.new))
    if undefined := _undefined_names(file):
        raise ValueError(f"{mutation.new!r} in {mutation.file}: {undefined}")
    return folder


def _undefined_names(file: Path) -> str:
    checked = subprocess.run(
        [
            *(sys.executable, "-m", "ruff", "check", "--isolated", "--quiet"),
            *("--output-format=concise", "--select", _UNDEFINED_NAMES, str(file)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return checked.stdout + checked.stderr


# The rules that the promise rests on, each removed.
MUTATIONS: Mapping[str, Mutation] = {
    "no look-up": Mutation(
        file="delivery/reconciliation.py",
        old="finding = await self.judge(attempts, listing)",
        new="finding: Finding = Absent(listing)",
        cases=("late/000?", "status/000?", "status/001?", "status/002?"),
        violated=("duplicate",),
    ),
    "a difference means another": Mutation(
        file="delivery/candidates.py",
        old="Place.STAMPED: {True: _row(_OURS, _CANT, _CANT), False: _row(_CANT, _CANT, _NOT)},",
        new="Place.STAMPED: {True: _row(_OURS, _CANT, _CANT), False: _row(_NOT, _NOT, _NOT)},",
        cases=("odd/000?", "odd/001?", "odd/002?"),
        violated=("duplicate",),
    ),
    "any list proves absence": Mutation(
        file="delivery/reconciliation.py",
        old="if isinstance(finding, Absent) and not listing.is_whole:",
        new="if False and not listing.is_whole:",
        cases=("lists/000?", "lists/0033", "lists/0076"),
        violated=("duplicate",),
    ),
    "a success of a proxy counts": Mutation(
        file="delivery/response_judgement.py",
        old="if attachment is None or not (attachment.id or is_graphs):",
        new="if attachment is None:",
        cases=(
            "proxies/000?",
            "proxies/001?",
            "proxies/002?",
        ),
        violated=("lost", "an id that is nobody's"),
    ),
    "leases by the wall clock": Mutation(
        file="ledger/boot_clock.py",
        old="read = partial(time.clock_gettime, time.CLOCK_BOOTTIME)",
        new="read = lambda: time.time()",
        cases=("steps/00??",),
        violated=("duplicate",),
    ),
    "a ledger that is gone goes on": Mutation(
        file="ledger/sqlite_watch.py",
        old="""        if self.why_gone:
            return self.why_gone
""",
        new="""        return None
""",
        cases=("vanished/000?",),
        violated=("the ledger is gone", "duplicate"),
    ),
    "no settling": Mutation(
        file="delivery/settlement.py",
        old="settled_at=self._loop.time() + self._resources.settle_s",
        new="settled_at=self._loop.time()",
        cases=(
            "status/000?",
            "status/001?",
            "status/002?",
        ),
        violated=("duplicate",),
    ),
    "uncertainty not sticky": Mutation(
        file="delivery/reconciliation.py",
        old="return CannotTell(error.response)",
        new="return Absent(Listing(listed=(), clocks=None, is_whole=True))",
        cases=("sticky/000?", "sticky/001?", "sticky/002?", "sticky/003?"),
        violated=("denied", "duplicate"),
    ),
    "no write-ahead": Mutation(
        file="ledger/rules.py",
        old="return entry._replace(attempts=_bounded((*_absent(entry.attempts), attempt)))",
        new="return entry._replace(attempts=_absent((*entry.attempts, attempt)))",
        cases=("kill/000?",),
        violated=("duplicate",),
    ),
    "no writer per post": Mutation(
        file="delivery/delivery.py",
        old="post=post_key(graph_request.head.post),",
        new="post=graph_request.head.sender.ids.client_request_id,",
        cases=("together/000?", "together/001?"),
        violated=("one id for two intents", "lost"),
    ),
}
