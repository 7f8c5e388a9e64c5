"""The record of what is being sent, by which call, and how it ended; processes may share it.

A ledger keeps a queue of leases for each post, whose head may write until it releases its lease,
and an entry for each request id: its holder and its result. A holder that dies loses both when its
lease expires.

All times in arguments and results are spans in seconds; each ledger reads a clock of its own.
"""

from dataclasses import dataclass
from typing import ClassVar, Protocol

from attachment_gateway.errors import LedgerUnavailable as LedgerUnavailable

# A holder renews its lease every RENEW_EVERY_S; a holder that has died is passed over LEASE_S after
# its last renewal.
LEASE_S = 10.0
RENEW_EVERY_S = 2.5


@dataclass(slots=True, kw_only=True)
class Lease:
    """A call's lease. `holder` is a new id for each lease; `post` names the post to write to.

    `request_id` is "" if the caller gave none. Equal requests have the same `fingerprint`.
    """

    holder: str
    post: str
    request_id: str = ""
    fingerprint: bytes = b""


# Results of `acquire`.


@dataclass(frozen=True, slots=True, kw_only=True)
class Unsettled:
    """A request that an earlier holder of the request id sent, and whose outcome is unknown.

    The sending began `began_ago_s` ago. Graph may act on it for another `settles_in_s`, which is
    negative once that time is over. `created`: Graph has reported a success, but not the id.
    """

    began_ago_s: float
    settles_in_s: float
    created: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquired:
    """The lease is the head of the post's queue, and holds its request id."""

    unsettled: Unsettled | None = None


@dataclass(frozen=True, slots=True)
class Queued:
    """Other leases are before this one: call `acquire` again, several times in LEASE_S."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InProgress:
    """Another holder has the request id; its lease expires in `lease_left_s` unless renewed."""

    lease_left_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Created:
    """The attachment of the request id was created, `ago_s` ago."""

    attachment_id: str
    ago_s: float


@dataclass(frozen=True, slots=True)
class Reused:
    """The request id belongs to a different request."""


Standing = Acquired | Queued | InProgress | Created | Reused


# Results with which a lease ends.


@dataclass(frozen=True, slots=True)
class EndedCreated:
    """The lease has created the attachment, which no other call can claim from now on."""

    word: ClassVar = "created"
    attachment_id: str


@dataclass(frozen=True, slots=True)
class EndedAbsent:
    """The lease has certainly created nothing."""

    word: ClassVar = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedUnknown:
    """The outcome is unknown: Graph may act on the request for `settles_in_s`.

    `created` is as in Unsettled.
    """

    word: ClassVar = "unknown"
    settles_in_s: float
    created: bool = False


@dataclass(frozen=True, slots=True)
class EndedUnchanged:
    """The lease has sent nothing; what an earlier holder left, if anything, stays as it is."""

    word: ClassVar = "unchanged"


End = EndedCreated | EndedAbsent | EndedUnknown | EndedUnchanged


class Ledger(Protocol):
    """A ledger. Every method may raise LedgerUnavailable, with all of its changes made or none."""

    async def acquire(self, lease: Lease, *, settles_in_s: float | None = None) -> Standing:
        """Take the request id and join the post's queue, and return the lease's standing.

        With `settles_in_s`, a lease that is Acquired with nothing unsettled is recorded as sending
        in the same step, as by `record_sending` with `is_new_attempt`.

        Call it again while Queued, several times in LEASE_S; every call renews the lease. A lease
        that is neither Acquired nor Queued is in no queue. If the lease of the request id's holder
        has expired, this lease takes over the request id and the holder's position in the queue.
        """

    async def find(self, lease: Lease) -> Created | Reused | InProgress | None:
        """Return the standing of the request id without changing it.

        None if `acquire` would return Acquired or Queued.
        """

    async def renew(self, lease: Lease) -> bool:
        """Renew the lease, and return whether it is still held."""

    async def record_sending(
        self, lease: Lease, *, settles_in_s: float, is_new_attempt: bool
    ) -> bool:
        """Record that a request is about to be sent, and return whether the lease is still held.

        Graph may act on the request for `settles_in_s`. `is_new_attempt`: nothing that was sent
        before can still take effect. Renews the lease.
        """

    async def release(self, lease: Lease, end: End) -> None:
        """Leave the queue, release the request id, and record the result `end`.

        If the lease is no longer held, only an EndedCreated attachment is recorded. An EndedUnknown
        lease stays in the queue until its outcome is settled.
        """

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids of the post's attachments that deliveries have created."""

    async def close(self) -> None:
        """Close files and connections."""
