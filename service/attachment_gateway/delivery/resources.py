"""The resources that all deliveries share."""

from dataclasses import dataclass, field
from secrets import token_bytes

from attachment_gateway.delivery.baseline_policy import BaselinePolicy, BaselineSetting
from attachment_gateway.delivery.keyed_locks import KeyedLocks
from attachment_gateway.delivery.post_reader import PostReader
from attachment_gateway.delivery.retry_budget import RetryBudget
from attachment_gateway.graph.client import GraphClient
from attachment_gateway.graph.request import RequestHead
from attachment_gateway.ledger import Ledger
from attachment_gateway.mailbox import Mailboxes
from attachment_gateway.mailbox.identities import Identities
from attachment_gateway.mailbox.senders import SenderMailbox

# How far Graph's stamps may lag behind its `Date`, unless a setting says otherwise.
CLOCK_SKEW_S = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The resources that all deliveries of one process share.

    `settle_s`: how long Graph may still act on a request that it hasn't answered; `timeout_s`: how
    long to wait for one response; `clock_skew_s`: how far Graph's stamps may lag its `Date`.
    `locks` are by post and by request id, within this process.
    """

    graph: GraphClient
    ledger: Ledger
    mailboxes: Mailboxes
    settle_s: float
    timeout_s: float
    clock_skew_s: float = CLOCK_SKEW_S
    identities: Identities = field(default_factory=lambda: Identities(token_bytes(16)))
    baselines: BaselinePolicy = field(default_factory=lambda: BaselinePolicy(BaselineSetting.AUTO))
    retries: RetryBudget = field(default_factory=RetryBudget)
    locks: KeyedLocks = field(default_factory=KeyedLocks)

    def mailbox(self, head: RequestHead) -> SenderMailbox:
        """Return the mailbox of a request's token and group."""
        return SenderMailbox(
            self.mailboxes,
            self.identities,
            token=head.sender.token,
            group_id=head.post.group_id,
        )

    def reader(self, head: RequestHead) -> PostReader:
        """Return the reader of a request's post, with its caller's token."""
        return PostReader(
            graph=self.graph,
            mailbox=self.mailbox(head),
            head=head,
            within_s=self.settle_s,
        )
