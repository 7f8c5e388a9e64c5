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


@dataclass(slots=True, kw_only=True)
class Sending:
    """What is recorded before an attempt is sent.

    Graph may act on the attempt for `settles_in_s`. `wall_s`: the wall clock now, in seconds since
    the epoch. `baseline`: the attachments on the post before, as `delivery.baseline` packs them;
    None without one. `turn`, from `look`: the baseline counts only if no other lease was in the
    post's queue since; None if it was read while this lease was the head.
    """

    settles_in_s: float
    wall_s: float
    baseline: bytes | None = None
    turn: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SentAttempt:
    """An attempt of a request id whose outcome was not known when it was recorded last.

    It was recorded `began_ago_s` ago. Graph may act on it for another `settles_in_s`, which is
    negative once that time is over. `wall_s`: the wall clock when it was recorded; None if that was
    on another machine or before its last start. `created`: Graph has reported a success, but not
    the id. `absent`: it was settled that it created nothing. `seen`: the attachments that may be
    its own, as far as they were listed, as `delivery.baseline` packs them.
    """

    began_ago_s: float
    settles_in_s: float
    wall_s: float | None
    baseline: bytes | None
    created: bool = False
    absent: bool = False
    seen: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What `look` found: whether the request id is known, and the post's turn.

    `turn` is the number of the last lease in the post's queue, 0 if none was there lately, and
    NOT_FREE while a lease may write to the post.
    """

    is_known: bool
    turn: int


NOT_FREE = -1


# Results of `acquire`.


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquired:
    """The lease is the head of the post's queue, and holds its request id.

    `attempts` are those of earlier holders of the request id, the earliest first; only the last can
    be unsettled. `is_sending`: the `sending` that was passed is recorded.
    """

    attempts: tuple[SentAttempt, ...] = ()
    is_sending: bool = False

    @property
    def unsettled(self) -> SentAttempt | None:
        """The attempt whose outcome is not settled, if there is one."""
        return self.attempts[-1] if self.attempts and not self.attempts[-1].absent else None


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
    """The lease's last attempt has certainly created nothing.

    Attempts that `record_absent` has marked stay in the entry.
    """

    word: ClassVar = "absent"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndedUnknown:
    """The outcome is unknown: Graph may act on the request for `settles_in_s`, if that isn't over.

    `created` and `seen` are as in SentAttempt. An attempt that was marked as absent no longer is.
    """

    word: ClassVar = "unknown"
    settles_in_s: float
    created: bool = False
    seen: bytes = b""


@dataclass(frozen=True, slots=True)
class EndedUnchanged:
    """The lease has sent nothing; what an earlier holder left, if anything, stays as it is."""

    word: ClassVar = "unchanged"


End = EndedCreated | EndedAbsent | EndedUnknown | EndedUnchanged


class Ledger(Protocol):
    """A ledger. Every method may raise LedgerUnavailable, with all of its changes made or none."""

    async def acquire(self, lease: Lease, *, sending: Sending | None = None) -> Standing:
        """Take the request id and join the post's queue, and return the lease's standing.

        A lease that is Acquired without earlier attempts records `sending` in the same step, as
        `record_sending` does, unless its `turn` shows that the baseline doesn't count.

        Call it again while Queued, several times in LEASE_S; every call renews the lease. A lease
        that is neither Acquired nor Queued is in no queue. If the lease of the request id's holder
        has expired, this lease takes over the request id and the holder's position in the queue.
        """

    async def look(self, lease: Lease) -> Look:
        """Return what is known of the request id and the post, without changing it."""

    async def find(self, lease: Lease) -> Created | Reused | InProgress | None:
        """Return the standing of the request id without changing it.

        None if `acquire` would return Acquired or Queued.
        """

    async def renew(self, lease: Lease, *, settles_in_s: float | None = None) -> bool:
        """Renew the lease, and return whether it is still held.

        With `settles_in_s`, an attempt is being sent: Graph may act on it for that time from now.
        """

    async def record_sending(self, lease: Lease, sending: Sending) -> bool:
        """Record that an attempt is about to be sent, and return whether the lease is still held.

        It replaces an attempt that isn't marked as absent, which has therefore created nothing.
        Renews the lease.
        """

    async def record_absent(self, lease: Lease) -> bool:
        """Mark the last attempt as absent, and return whether the lease is still held."""

    async def release(self, lease: Lease, end: End) -> None:
        """Leave the queue, release the request id, and record the result `end`.

        If the lease is no longer held, only an EndedCreated attachment is recorded. An EndedUnknown
        lease stays in the queue until its outcome is settled.
        """

    async def claimed(self, post: str) -> frozenset[str]:
        """Return the ids of the post's attachments that deliveries have created."""

    async def close(self) -> None:
        """Close files and connections."""
