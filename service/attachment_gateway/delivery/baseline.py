"""The baseline of an attempt: which attachments were on the post before it was sent."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Self

from attachment_gateway.graph.paths import MAX_ID_CHARS
from attachment_gateway.graph.values import JsonObject

# A larger list is no baseline: never a part of one.
MAX_PAGES = 3
MAX_IDS = 1000

# Two of 1,000 ids have the same 64 bits once in 10^13 posts.
DIGEST_BYTES = 8

_WITHOUT_ID = struct.Struct("<I")


def id_of(listed: JsonObject) -> str:
    """Return an attachment's id, "" if it has none that can be used in a path."""
    found = listed.get("id")
    is_usable = isinstance(found, str) and len(found) <= MAX_ID_CHARS and found.isprintable()
    return str(found) if is_usable else ""


def digest(attachment_id: str) -> bytes:
    """Return the digest by which a baseline knows an id."""
    return blake2b(attachment_id.encode(), digest_size=DIGEST_BYTES).digest()


@dataclass(frozen=True, slots=True)
class Baseline:
    """The digests of the ids on the post, and the number of attachments without a usable id."""

    digests: frozenset[bytes]
    without_id: int = 0

    @classmethod
    def of(cls, listed: Iterable[JsonObject]) -> Self | None:
        """Return the baseline that a whole list gives; None if the list is too large."""
        ids = [id_of(each) for each in listed]
        if len(ids) > MAX_IDS:
            return None
        return cls(frozenset(map(digest, filter(None, ids))), ids.count(""))

    @classmethod
    def unpacked(cls, packed: bytes) -> Self:
        """Read what `packed` has written."""
        [without_id] = _WITHOUT_ID.unpack_from(packed)
        digests = range(_WITHOUT_ID.size, len(packed), DIGEST_BYTES)
        return cls(frozenset(packed[at : at + DIGEST_BYTES] for at in digests), without_id)

    @classmethod
    def of_digests(cls, digests: Iterable[bytes]) -> Self:
        """Return the first MAX_IDS digests."""
        return cls(frozenset(sorted(digests)[:MAX_IDS]))

    def packed(self) -> bytes:
        """Return it as the ledger keeps it."""
        return _WITHOUT_ID.pack(self.without_id) + b"".join(sorted(self.digests))

    def __contains__(self, attachment_id: str) -> bool:
        return digest(attachment_id) in self.digests

    def counts(self, ids: Iterable[str]) -> bool:
        """Return whether it counts beside a later list with these ids.

        It doesn't if none of its ids is listed any more: then Graph may have renamed them.
        """
        return not self.digests or any(each in self for each in ids)


NOTHING = Baseline(frozenset())
