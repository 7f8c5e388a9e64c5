"""What every delivery works with."""

from dataclasses import dataclass, field

from attachment_gateway.graph.client import Graph
from attachment_gateway.ledger import Ledger
from attachment_gateway.mailbox import Mailboxes
from attachment_gateway.delivery.retry_budget import RetryBudget
from attachment_gateway.delivery.keyed_locks import Turns


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """`settle_s`: how long Graph may act on a request; `timeout_s`: for one answer of Graph's."""

    graph: Graph
    ledger: Ledger
    mailboxes: Mailboxes
    settle_s: float
    timeout_s: float
    retries: RetryBudget = field(default_factory=RetryBudget)
    turns: Turns = field(default_factory=Turns)
