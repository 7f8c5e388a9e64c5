"""Gateways with one thing wrong, to see whether the campaign notices."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import attachment_gateway

PACKAGE = Path(attachment_gateway.__file__).parent


@dataclass(frozen=True, slots=True)
class Mutation:
    """In one file of the package these words become those; `cases` are what should notice."""

    file: str
    old: str
    new: str
    cases: tuple[str, ...]


def mutant(mutation: Mutation, folder: Path) -> Path:
    """Copy the package with that change; the folder that goes on the import path."""
    copy = folder / PACKAGE.name
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / mutation.file
    text = file.read_text()
    if text.count(mutation.old) != 1:
        raise ValueError(f"{mutation.old!r} is {text.count(mutation.old)} times in {mutation.file}")
    file.write_text(text.replace(mutation.old, mutation.new))
    return folder


# What the promise rests on, each taken away.
MUTATIONS: Mapping[str, Mutation] = {
    "no look-up": Mutation(
        "sending.py",
        "sight = await self._search.settle(unclear, awaited=lambda: not self._call.expired.done())",
        "sight = None",
        ("late/000?", "status/00??"),
    ),
    "no settling": Mutation(
        "sending.py",
        "settled_at=ended_at + self._world.settle_s",
        "settled_at=ended_at",
        ("late/000?", "late/001?"),
    ),
    "uncertainty not sticky": Mutation(
        "sending.py",
        "if isinstance(sight, Doubt) or (self.unnamed and not isinstance(sight, Found)):",
        "if self.unnamed and not isinstance(sight, Found):",
        ("sticky/000?", "sticky/001?", "sticky/002?", "sticky/003?"),
    ),
    "no write-ahead": Mutation(
        "tenure.py",
        "self._ledger.enter(self._place, settled_in_s=settled_in_s)",
        "self._ledger.enter(self._place)",
        ("kill/000?",),
    ),
    "no writer per post": Mutation(
        "errand.py",
        "post=post_key(envelope.head.post),",
        "post=uuid4().hex,",
        ("together/000?", "together/001?"),
    ),
}
