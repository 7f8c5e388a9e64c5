"""The state of a delivery: a table of states, and of the events that lead from one to another.

The state determines whether the delivery may have an effect, which error the caller gets when
its time is over, and what is recorded in the ledger. An event without a row in the state's table is
a bug in this program and raises IllegalTransitionError.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from attachment_gateway.delivery.baseline import NOTHING, Baseline
from attachment_gateway.delivery.stamps import SendClocks
from attachment_gateway.errors import GatewayError
from attachment_gateway.ledger import End, EndedAbsent, EndedCreated, EndedUnknown
from graphattachments.v1.attachment_pb2 import Attachment


class State(Enum):
    """What is known of one delivery."""

    JOINING = "joining"  # another call of this process may be working on the request id
    QUEUED = "queued"  # waits for the post, the lease or the mailbox; this call has sent nothing
    REPLAYING = "replaying"  # an earlier call has created the attachment; Graph is asked to show it
    SENDING = "sending"  # the first attempt runs; its last piece hasn't been offered
    WAITING = "waiting"  # the attempts so far created nothing; another may follow
    RESENDING = "resending"  # as SENDING, for a later attempt
    OFFERED = "offered"  # the last piece was offered: Graph may act on it
    UNCLEAR = "unclear"  # an attempt of this call ended, and its outcome isn't known
    INHERITED = "inherited"  # as UNCLEAR, for an attempt of an earlier call with the request id
    UNNAMED = "unnamed"  # Graph reported a success that doesn't identify the attachment
    CREATED = "created"  # the attachment is known


class Event(Enum):
    """What happens to a delivery."""

    JOIN = "join"  # no other call of this process works on the request id
    REPLAY = "replay"  # the ledger says that an earlier call created the attachment
    INHERIT = "inherit"  # an earlier call has left an unclear attempt
    INHERIT_UNNAMED = "inherit unnamed"  # an earlier call got a success without an id
    SEND = "send"  # an attempt begins
    OFFER = "offer"  # the attempt's last piece is offered
    REFUSE = "refuse"  # the attempt ended and created nothing
    LOSE = "lose"  # the attempt ended, and its outcome isn't known
    LOSE_NAME = "lose name"  # the attempt got a success that identifies no attachment
    SUCCEED = "succeed"  # the attempt got a success with the attachment
    FIND = "find"  # a look-up found the attachment
    RULE_OUT = "rule out"  # it is settled that the unclear attempt created nothing
    REOPEN = "reopen"  # a later list puts in doubt what was ruled out


TRANSITIONS: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {
        State.JOINING: {Event.JOIN: State.QUEUED},
        State.QUEUED: {
            Event.REPLAY: State.REPLAYING,
            Event.INHERIT: State.INHERITED,
            Event.INHERIT_UNNAMED: State.UNNAMED,
            Event.SEND: State.SENDING,
            Event.REOPEN: State.INHERITED,
        },
        State.REPLAYING: {},  # what Graph shows is the answer; nothing is sent
        State.SENDING: {Event.OFFER: State.OFFERED, Event.REFUSE: State.WAITING},
        State.WAITING: {Event.SEND: State.RESENDING, Event.REOPEN: State.UNCLEAR},
        State.RESENDING: {Event.OFFER: State.OFFERED, Event.REFUSE: State.WAITING},
        State.OFFERED: {
            Event.SUCCEED: State.CREATED,
            Event.REFUSE: State.WAITING,
            Event.LOSE: State.UNCLEAR,
            Event.LOSE_NAME: State.UNNAMED,
        },
        State.UNCLEAR: {Event.FIND: State.CREATED, Event.RULE_OUT: State.WAITING},
        State.INHERITED: {Event.FIND: State.CREATED, Event.RULE_OUT: State.QUEUED},
        # The attachment exists, so it is never ruled out, and nothing is sent again.
        State.UNNAMED: {Event.FIND: State.CREATED},
        State.CREATED: {},
    }
)

# The states in which a request was offered that may have created an attachment. If such a
# delivery is cancelled, its outcome must be settled later, from what the ledger records.
_MAY_HAVE_EFFECT = {
    State.OFFERED,
    State.UNCLEAR,
    State.INHERITED,
    State.UNNAMED,
    State.CREATED,
}


class IllegalTransitionError(Exception):
    """An event that can't happen in a state."""

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(f"{event.value!r} can't happen to a delivery that is {state.value}")
        self.state = state
        self.event = event


@dataclass(frozen=True, slots=True, kw_only=True)
class UnclearAttempt:
    """An attempt whose outcome was not known when it ended.

    `settled_at`: when Graph stops acting on it, on the loop's clock. `clocks`: when it was sent;
    None if that was on another machine, or before this one's last start. `baseline`: None without.
    `seen`: attachments that an earlier call has seen, and that may be its own.
    """

    settled_at: float
    clocks: SendClocks | None
    baseline: Baseline | None = None
    seen: Baseline = NOTHING


class Progress:
    """One delivery's state, and the data that belongs to it.

    `attachment`: what was created, None unless CREATED. `last_error`: the error of this call's last
    attempt that created nothing; None if there is none. `unclear`: the attempts that were unclear
    when they ended, the earliest first. `seen`: the attachments that were listed and may be ours.
    """

    def __init__(self, *, joins: bool) -> None:
        self.state = State.JOINING if joins else State.QUEUED
        self.attachment: Attachment | None = None
        self.last_error: GatewayError | None = None
        self.unclear: list[UnclearAttempt] = []
        self.seen = NOTHING

    def advance(self, event: Event) -> None:
        """Go to the state that an event leads to. Raises IllegalTransitionError."""
        following = TRANSITIONS[self.state].get(event)
        if following is None:
            raise IllegalTransitionError(self.state, event)
        self.state = following

    def refuse(self, error: GatewayError) -> None:
        """Note that the attempt created nothing and ended with `error`."""
        self.advance(Event.REFUSE)
        self.last_error = error

    def lose(self, attempt: UnclearAttempt, *, created: bool) -> None:
        """Note that this call's attempt is unclear; `created` if Graph reported a success."""
        self.advance(Event.LOSE_NAME if created else Event.LOSE)
        self.unclear.append(attempt)

    def inherit(self, attempts: Iterable[UnclearAttempt], *, created: bool) -> None:
        """Note an earlier call's unclear attempts; `created` if Graph reported a success."""
        self.advance(Event.INHERIT_UNNAMED if created else Event.INHERIT)
        self.unclear.extend(attempts)

    def rule_out(self, error: GatewayError | None = None) -> None:
        """Note that an unclear attempt created nothing; `error` if it was this call's attempt."""
        self.advance(Event.RULE_OUT)
        self.last_error = error

    def create(self, attachment: Attachment, *, found: bool = False) -> None:
        """Note the attachment, from Graph's response or `found` by a look-up."""
        self.advance(Event.FIND if found else Event.SUCCEED)
        self.attachment = attachment

    @property
    def may_have_effect(self) -> bool:
        """Whether a request was offered that may have created an attachment."""
        return self.state in _MAY_HAVE_EFFECT

    def ledger_end(self, *, now: float, may_act_s: float) -> End:
        """Return what to record in the ledger if the delivery ends in this state.

        `may_act_s`: for how long Graph may act on an offered request without a response.
        """
        match self.state:
            case State.OFFERED:
                return EndedUnknown(settles_in_s=may_act_s)
            case State.UNCLEAR | State.INHERITED | State.UNNAMED:
                return EndedUnknown(
                    settles_in_s=self.unclear[-1].settled_at - now,
                    created=self.state is State.UNNAMED,
                    seen=self.seen.packed() if self.seen.digests else b"",
                )
            case State.CREATED if self.attachment is not None and self.attachment.id:
                return EndedCreated(self.attachment.id)
            case State.CREATED:  # Graph's description has no id
                return EndedUnknown(settles_in_s=0.0, created=True)
        return EndedAbsent()
