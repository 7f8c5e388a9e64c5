"""Where a delivery stands: a table of states and of what leads from one to another.

What may have taken effect, what a caller is told whose time is over, and what is written to the
ledger, are read off the state alone. An event that has no row in a state's table is a fault of this
program, and raises.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from attachment_gateway.errors import GatewayError, OutcomeUnknown, RequestInProgress
from attachment_gateway.ledger import End, EndedAbsent, EndedCreated, EndedUnknown
from graphattachments.v1.attachment_pb2 import Attachment

# When to ask again for what is being worked on in the same process.
IN_PROGRESS_RETRY_S = 1.0


class State(Enum):
    """What is known of one delivery."""

    JOINING = "joining"  # another call of this process may be working on the request id
    QUEUED = "queued"  # waits for the post, the lease or the mailbox; this call has sent nothing
    REPLAYING = "replaying"  # the ledger has the attachment; Graph is asked to show it
    SENDING = "sending"  # the first attempt is under way, its last piece isn't offered
    WAITING = "waiting"  # nothing came of the attempts so far; another may follow
    RESENDING = "resending"  # as SENDING, of a later attempt
    OFFERED = "offered"  # the last piece was offered: Graph may act on it
    UNCLEAR = "unclear"  # an attempt of this call has ended, and it isn't known what it did
    INHERITED = "inherited"  # the same of an attempt of an earlier call with the request id
    UNNAMED = "unnamed"  # Graph told of a success, but not of which attachment
    CREATED = "created"  # the attachment is known


class Event(Enum):
    """What happens to a delivery."""

    JOIN = "join"  # it alone works on the request id in this process
    REPLAY = "replay"  # the ledger says that an earlier call has created it
    INHERIT = "inherit"  # an earlier call has left an unclear attempt
    INHERIT_UNNAMED = "inherit unnamed"  # an earlier call was told of a success without a name
    SEND = "send"  # an attempt begins
    OFFER = "offer"  # its last piece is handed over
    REFUSE = "refuse"  # the attempt has created nothing
    LOSE = "lose"  # the attempt ended, and it isn't known what it did
    LOSE_NAME = "lose name"  # a success that names no attachment
    SUCCEED = "succeed"  # a success that names the attachment
    FIND = "find"  # a look-up found the attachment
    RULE_OUT = "rule out"  # it is settled that no unclear attempt took effect


TRANSITIONS: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {
        State.JOINING: {Event.JOIN: State.QUEUED},
        State.QUEUED: {
            Event.REPLAY: State.REPLAYING,
            Event.INHERIT: State.INHERITED,
            Event.INHERIT_UNNAMED: State.UNNAMED,
            Event.SEND: State.SENDING,
        },
        State.REPLAYING: {},  # Graph's word is the answer; nothing is ever sent
        State.SENDING: {Event.OFFER: State.OFFERED, Event.REFUSE: State.WAITING},
        State.WAITING: {Event.SEND: State.RESENDING},
        State.RESENDING: {Event.OFFER: State.OFFERED, Event.REFUSE: State.WAITING},
        State.OFFERED: {
            Event.SUCCEED: State.CREATED,
            Event.REFUSE: State.WAITING,
            Event.LOSE: State.UNCLEAR,
            Event.LOSE_NAME: State.UNNAMED,
        },
        State.UNCLEAR: {Event.FIND: State.CREATED, Event.RULE_OUT: State.WAITING},
        State.INHERITED: {Event.FIND: State.CREATED, Event.RULE_OUT: State.QUEUED},
        # It exists, so it is looked for but never ruled out, and nothing is sent again.
        State.UNNAMED: {Event.FIND: State.CREATED},
        State.CREATED: {},
    }
)

# Something was sent of which it isn't settled that nothing came: whoever cancels such a delivery
# leaves its truth to the ledger.
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
    """What has to be settled, on the loop's clock: when it was offered, and when it is settled."""

    offered_at: float
    settled_at: float


class Progress:
    """One delivery's state, and what goes with it.

    `attachment`: what was created, None unless CREATED. `last_error`: what the last attempt of this
    call came to that created nothing; None if there is none. `unclear`: the attempts that were
    unclear when they ended, the earliest first.
    """

    def __init__(self, *, joins: bool) -> None:
        self.state = State.JOINING if joins else State.QUEUED
        self.attachment: Attachment | None = None
        self.last_error: GatewayError | None = None
        self.unclear: list[UnclearAttempt] = []

    def advance(self, event: Event) -> None:
        """Go to the state that an event leads to; raises IllegalTransitionError."""
        following = TRANSITIONS[self.state].get(event)
        if following is None:
            raise IllegalTransitionError(self.state, event)
        self.state = following

    def refuse(self, error: GatewayError) -> None:
        """Note that the attempt has created nothing, and what it came to."""
        self.advance(Event.REFUSE)
        self.last_error = error

    def lose(self, attempt: UnclearAttempt, *, created: bool) -> None:
        """Note that this call's attempt is unclear; `created` if Graph told of a success."""
        self.advance(Event.LOSE_NAME if created else Event.LOSE)
        self.unclear.append(attempt)

    def inherit(self, attempt: UnclearAttempt, *, created: bool) -> None:
        """Note that an earlier call's attempt is unclear; `created` if Graph told of a success."""
        self.advance(Event.INHERIT_UNNAMED if created else Event.INHERIT)
        self.unclear.append(attempt)

    def rule_out(self, error: GatewayError | None = None) -> None:
        """Note that the unclear attempt took no effect, and what that comes to for this call."""
        self.advance(Event.RULE_OUT)
        self.last_error = error

    def create(self, attachment: Attachment, *, found: bool = False) -> None:
        """Note the attachment, told by Graph or `found` by a look-up."""
        self.advance(Event.FIND if found else Event.SUCCEED)
        self.attachment = attachment

    @property
    def may_have_effect(self) -> bool:
        """Whether something was sent, and it isn't settled that nothing came of it."""
        return self.state in _MAY_HAVE_EFFECT

    def told_when_late(self, expired: GatewayError) -> GatewayError:
        """Return what a caller is told whose time is over.

        `expired` is what ended the time, and is told where this call has sent nothing.
        """
        return _TOLD_WHEN_LATE[self.state](self, expired)

    def ledger_end(self, *, now: float, may_act_s: float) -> End:
        """Return what is written to the ledger if the delivery ends in this state.

        `may_act_s`: for how long Graph may act on what is offered and was never answered.
        """
        match self.state:
            case State.OFFERED:
                return EndedUnknown(settles_in_s=may_act_s)
            case State.UNCLEAR | State.INHERITED | State.UNNAMED:
                return EndedUnknown(
                    settles_in_s=max(self.unclear[-1].settled_at - now, 0.0),
                    created=self.state is State.UNNAMED,
                )
            case State.CREATED if self.attachment is not None and self.attachment.id:
                return EndedCreated(self.attachment.id)
            case State.CREATED:  # it was described without an id
                return EndedUnknown(settles_in_s=0.0, created=True)
        return EndedAbsent()


_Told = Callable[[Progress, GatewayError], GatewayError]


def _in_progress(_: Progress, __: GatewayError) -> GatewayError:
    return RequestInProgress(retry_delay_s=IN_PROGRESS_RETRY_S)


def _expired(_: Progress, expired: GatewayError) -> GatewayError:
    return expired


def _last_error(progress: Progress, expired: GatewayError) -> GatewayError:
    return progress.last_error or expired


def _unknown(_: Progress, __: GatewayError) -> GatewayError:
    return OutcomeUnknown("time ran out before it was settled")


def _unnamed(_: Progress, __: GatewayError) -> GatewayError:
    return OutcomeUnknown("time ran out before Graph showed it", created=True)


_TOLD_WHEN_LATE: Mapping[State, _Told] = MappingProxyType(
    {
        State.JOINING: _in_progress,
        State.QUEUED: _expired,
        State.REPLAYING: _unnamed,
        State.SENDING: _expired,
        State.WAITING: _last_error,
        State.RESENDING: _last_error,
        State.OFFERED: _unknown,
        State.UNCLEAR: _unknown,
        State.INHERITED: _unknown,
        State.UNNAMED: _unnamed,
        State.CREATED: _unnamed,  # an attachment that is known is answered with, so this isn't told
    }
)
