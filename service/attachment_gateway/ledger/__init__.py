"""What is being sent, by whom, and what became of it: shared by all that shares a ledger.

Two things are kept. A queue of writers for each post: its head may write, until it releases its
lease. And an entry for each request id: who holds it, and how it ended. Both are leases: a holder
that dies without a word is passed over when its lease ends.

All times that go in or come out are spans in seconds; each ledger reads a clock of its own.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from attachment_gateway.errors import LedgerUnavailable as LedgerUnavailable

# A holder renews its lease several times within it; one that died is passed over after it.
LEASE_S = 10.0
RENEW_EVERY_S = 2.5


@dataclass(slots=True, kw_only=True)
class Lease:
    """A call's lease. `holder` is new for each; `post` names the post that is written to.

    `request_id` is "" without one; `fingerprint` tells whether two requests are the same.
    """

    holder: str
    post: str
    request_id: str = ""
    fingerprint: bytes = b""


# What `acquire` finds.


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """What an earlier holder of the request id sent, and nobody knows what became of it.

    The sending began `began_ago_s` ago; in `settles_in_s` (negative if that is past) Graph no
    longer acts on it. `created` says that Graph has told of a success, without telling the id.
    """

    began_ago_s: float
    settles_in_s: float
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquired:
    """The lease is at the head of the post's queue, and holds its request id."""

    unsettled: Unsettled | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """Others are before it: `acquire` again, several times a lease."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InProgress:
    """Another holder has the request id, for `lease_left_s` unless it renews."""

    lease_left_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The request id's attachment was created."""

    attachment_id: str
    ago_s: float


@dataclass(frozen=True, slots=True)
class Reused:
    """The request id was given to another request."""


Standing = Acquired | Queued | InProgress | Created | Reused


# How a lease ends.


@dataclass(frozen=True, slots=True)
class EndedCreated:
    """With an attachment, which isn't anybody else's from now on."""

    word: ClassVar = "created"
    attachment_id: str


@dataclass(frozen=True, slots=True)
class EndedAbsent:
    """With nothing: it is certain that nothing was created."""

    word: ClassVar = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedUnknown:
    """Not knowing: for `settles_in_s` Graph may act on what was sent. `created` as in Unsettled."""

    word: ClassVar = "unknown"
    settles_in_s: float
    created: bool = False


@dataclass(frozen=True, slots=True)
class EndedUnchanged:
    """With what an earlier holder left, if any: this one has sent nothing."""

    word: ClassVar = "unchanged"


End = EndedCreated | EndedAbsent | EndedUnknown | EndedUnchanged


class Ledger(Protocol):
    """Every method raises LedgerUnavailable, and then has changed everything or nothing."""

    async def acquire(self, lease: Lease, *, settles_in_s: float | None = None) -> Standing:
        """Take the request id and join the post's queue, or look how it stands there.

        If `settles_in_s` is given, what is Acquired with nothing unsettled is written ahead at
        once, as by `record_sending`.

        Acquire again while Queued, several times a lease. A lease that is neither Acquired nor
        Queued is in no queue. The request id of a holder whose lease has ended is taken over, and
        with it the dead holder's position in the queue.
        """

    async def find(self, lease: Lease) -> Created | Reused | InProgress | None:
        """Look the request id up, and take nothing; None if `acquire` would have it join."""

    async def renew(self, lease: Lease) -> bool:
        """Renew the lease; whether the lease is still held."""

    async def record_sending(
        self, lease: Lease, *, settles_in_s: float, is_new_attempt: bool
    ) -> bool:
        """Write ahead that a request is about to be sent; whether the lease is still held.

        For `settles_in_s` Graph may act on it. `is_new_attempt` says that nothing of what was sent
        before can take effect any more. Renews the lease.
        """

    async def release(self, lease: Lease, end: End) -> None:
        """Leave the queue and give the request id back, with what became of it.

        Nothing happens if the lease is no longer held, except that an EndedCreated attachment
        is remembered. An EndedUnknown lease stays in the queue until that is settled.
        """

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids of the post's attachments that calls have answered with."""

    async def close(self) -> None:
        """Close files and connections."""
