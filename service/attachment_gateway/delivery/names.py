"""Whether an attachment that Graph lists has the name of one that was sent.

Graph and the programs on its way change names: they compose characters, remove blanks, control
characters and what file systems forbid, and cut names at 255 characters.
"""

import unicodedata
from collections.abc import Iterable
from enum import Enum
from functools import lru_cache

# What is left out of a comparison, beside blanks and control characters.
_FORBIDDEN = frozenset('\\/:*?"<>|_')

# Outlook cuts at 255 characters. A beginning that is shorter than this is more likely a name of its
# own: "a" is not a cut "agenda.pdf".
CUT_CHARS = 100

# What is compared of a name: more than Outlook's 255 characters tell nothing. Without a limit, a
# list of 10,000 long names would take seconds.
COMPARED_CHARS = 256

_DROPPED = str.maketrans("", "", " " + "".join(_FORBIDDEN))


class Name(Enum):
    """The comparison of two names."""

    SAME = "same"
    PERHAPS = "perhaps"  # one is missing, or a short beginning of the other
    OTHER = "other"


def compare_names(sent: Iterable[object], shown: object) -> Name:
    """Compare the name that Graph shows with each that was sent, and return the best result."""
    results = {_compare(each, shown) for each in sent} or {Name.PERHAPS}
    return next(name for name in Name if name in results)


def _compare(sent: object, shown: object) -> Name:
    one, other = _normal(sent), _normal(shown)
    if not one or not other:
        return Name.PERHAPS
    if one == other:
        return Name.SAME
    if not (one.startswith(other) or other.startswith(one)):
        return Name.OTHER
    return Name.SAME if min(len(one), len(other)) >= CUT_CHARS else Name.PERHAPS


def _normal(name: object) -> str:
    """Return the beginning of a name without what is changed on its way; "" if there is none."""
    if not isinstance(name, str):
        return ""
    if len(name) <= COMPARED_CHARS:
        return _folded(name)
    return _folded(name[:COMPARED_CHARS])[:-1]  # without a character whose accents were cut off


@lru_cache(maxsize=64)  # a name that was sent is compared with each that is listed
def _folded(name: str) -> str:
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    if folded.isprintable():  # no blank but " ", and no control character
        return folded.translate(_DROPPED)
    return "".join(each for each in folded if each not in _FORBIDDEN and not _is_blank(each))


def _is_blank(char: str) -> bool:
    return char.isspace() or unicodedata.category(char)[0] == "C"
