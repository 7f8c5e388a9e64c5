"""The resources that all deliveries share."""

from dataclasses import dataclass, field

from attachment_gateway.delivery.keyed_locks import KeyedLocks
from attachment_gateway.delivery.retry_budget import RetryBudget
from attachment_gateway.graph.client import GraphClient
from attachment_gateway.ledger import Ledger
from attachment_gateway.mailbox import Mailboxes


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """The resources that all deliveries of one process share.

    `settle_s`: how long Graph may still act on a request that it hasn't answered; `timeout_s`: how
    long to wait for one response. `locks` are by post and by request id, within this process.
    """

    graph: GraphClient
    ledger: Ledger
    mailboxes: Mailboxes
    settle_s: float
    timeout_s: float
    retries: RetryBudget = field(default_factory=RetryBudget)
    locks: KeyedLocks = field(default_factory=KeyedLocks)
