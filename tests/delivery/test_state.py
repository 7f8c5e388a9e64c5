"""Tests of delivery/state.py: a delivery's states, its errors and its ends in the ledger."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.delivery.state import (
    TRANSITIONS,
    Event,
    IllegalTransitionError,
    Progress,
    State,
    UnclearAttempt,
)
from attachment_gateway.delivery.told_when_late import told_when_late
from attachment_gateway.errors import GatewayDraining, GraphUnavailable, OutcomeUnknown, Reason
from attachment_gateway.ledger import EndedAbsent, EndedCreated, EndedUnknown
from graphattachments.v1.attachment_pb2 import Attachment

# The legal transitions, repeated here so that a change of the table is noticed.
LEGAL = {
    (State.JOINING, Event.JOIN): State.QUEUED,
    (State.QUEUED, Event.REPLAY): State.REPLAYING,
    (State.QUEUED, Event.INHERIT): State.INHERITED,
    (State.QUEUED, Event.INHERIT_UNNAMED): State.UNNAMED,
    (State.QUEUED, Event.SEND): State.SENDING,
    (State.QUEUED, Event.REOPEN): State.INHERITED,
    (State.WAITING, Event.REOPEN): State.UNCLEAR,
    (State.SENDING, Event.OFFER): State.OFFERED,
    (State.SENDING, Event.REFUSE): State.WAITING,
    (State.WAITING, Event.SEND): State.RESENDING,
    (State.RESENDING, Event.OFFER): State.OFFERED,
    (State.RESENDING, Event.REFUSE): State.WAITING,
    (State.OFFERED, Event.SUCCEED): State.CREATED,
    (State.OFFERED, Event.REFUSE): State.WAITING,
    (State.OFFERED, Event.LOSE): State.UNCLEAR,
    (State.OFFERED, Event.LOSE_NAME): State.UNNAMED,
    (State.UNCLEAR, Event.FIND): State.CREATED,
    (State.UNCLEAR, Event.RULE_OUT): State.WAITING,
    (State.INHERITED, Event.FIND): State.CREATED,
    (State.INHERITED, Event.RULE_OUT): State.QUEUED,
    (State.UNNAMED, Event.FIND): State.CREATED,
}

# The events that lead to each state from the beginning of a delivery.
WAYS = {
    State.JOINING: [],
    State.QUEUED: [Event.JOIN],
    State.REPLAYING: [Event.JOIN, Event.REPLAY],
    State.SENDING: [Event.JOIN, Event.SEND],
    State.WAITING: [Event.JOIN, Event.SEND, Event.REFUSE],
    State.RESENDING: [Event.JOIN, Event.SEND, Event.REFUSE, Event.SEND],
    State.OFFERED: [Event.JOIN, Event.SEND, Event.OFFER],
    State.UNCLEAR: [Event.JOIN, Event.SEND, Event.OFFER, Event.LOSE],
    State.INHERITED: [Event.JOIN, Event.INHERIT],
    State.UNNAMED: [Event.JOIN, Event.SEND, Event.OFFER, Event.LOSE_NAME],
    State.CREATED: [Event.JOIN, Event.SEND, Event.OFFER, Event.SUCCEED],
}

DRAINING = GatewayDraining(retry_delay_s=1)
UNAVAILABLE = GraphUnavailable("x", retry_delay_s=1)
ATTEMPT = UnclearAttempt(settled_at=115.0, clocks=None)


def reached(state: State) -> Progress:
    """Return the progress of a delivery that has reached a state by the events in WAYS."""
    progress = Progress(joins=True)
    for event in WAYS[state]:
        progress.advance(event)
    return progress


def test_a_delivery_with_a_request_id_begins_by_joining() -> None:
    """A delivery begins as JOINING if it has a request id, and otherwise as QUEUED."""
    assert Progress(joins=True).state is State.JOINING
    assert Progress(joins=False).state is State.QUEUED


def test_every_state_can_be_reached() -> None:
    """WAYS has all states and leads to each of them."""
    assert {state: reached(state).state for state in State} == {state: state for state in State}
    assert set(TRANSITIONS) == set(State)


@pytest.mark.parametrize(
    ("state", "event"), list(itertools.product(State, Event)), ids=lambda each: each.value
)
def test_only_legal_transitions_are_possible(state: State, event: Event) -> None:
    """A legal event leads to its state; any other raises and leaves the state as it is."""
    progress = reached(state)
    if (state, event) in LEGAL:
        progress.advance(event)
        assert progress.state is LEGAL[state, event]
        return
    with pytest.raises(IllegalTransitionError) as caught:
        progress.advance(event)
    assert (caught.value.state, caught.value.event) == (state, event)
    assert str(caught.value) == f"{event.value!r} can't happen to a delivery that is {state.value}"
    assert progress.state is state


@pytest.mark.parametrize(
    ("state", "may_have_effect", "reason"),
    [
        (State.JOINING, False, Reason.REQUEST_IN_PROGRESS),
        (State.QUEUED, False, Reason.GATEWAY_DRAINING),
        (State.REPLAYING, False, Reason.OUTCOME_UNKNOWN),
        (State.SENDING, False, Reason.GATEWAY_DRAINING),
        (State.WAITING, False, Reason.GRAPH_UNAVAILABLE),
        (State.RESENDING, False, Reason.GRAPH_UNAVAILABLE),
        (State.OFFERED, True, Reason.OUTCOME_UNKNOWN),
        (State.UNCLEAR, True, Reason.OUTCOME_UNKNOWN),
        (State.INHERITED, True, Reason.OUTCOME_UNKNOWN),
        (State.UNNAMED, True, Reason.OUTCOME_UNKNOWN),
        (State.CREATED, True, Reason.OUTCOME_UNKNOWN),
    ],
)
def test_each_state_has_its_error_at_the_deadline(
    state: State, may_have_effect: bool, reason: Reason
) -> None:
    """At the deadline the error says that nothing was created only if that is certain."""
    progress = reached(state)
    if state in {State.WAITING, State.RESENDING}:
        progress.last_error = UNAVAILABLE
    assert progress.may_have_effect is may_have_effect
    told = told_when_late(progress, DRAINING)
    assert told.reason is reason
    if isinstance(told, OutcomeUnknown):
        assert told.created is (state in {State.REPLAYING, State.UNNAMED, State.CREATED})


def test_a_delivery_without_effect_ends_as_absent() -> None:
    """A delivery whose requests can't have had an effect is written as EndedAbsent."""
    for state in State:
        progress = reached(state)
        if not progress.may_have_effect:
            assert progress.ledger_end(now=100.0, may_act_s=75.0) == EndedAbsent()


def test_an_unclear_delivery_ends_as_unknown() -> None:
    """An unclear delivery is written with its settling time and whether Graph told of a success."""
    assert reached(State.OFFERED).ledger_end(now=100.0, may_act_s=75.0) == EndedUnknown(
        settles_in_s=75.0
    )
    for created in (False, True):
        own, inherited = reached(State.OFFERED), reached(State.QUEUED)
        own.lose(ATTEMPT, created=created)
        inherited.inherit([ATTEMPT], created=created)
        for progress in (own, inherited):
            ended = progress.ledger_end(now=105.0, may_act_s=75.0)
            assert ended == EndedUnknown(settles_in_s=10.0, created=created)
            ended = progress.ledger_end(now=200.0, may_act_s=75.0)
            assert ended == EndedUnknown(settles_in_s=-85.0, created=created)


def test_a_created_attachment_ends_with_its_id() -> None:
    """A created attachment is written with its id; without one it is an unknown success."""
    progress = reached(State.OFFERED)
    progress.create(Attachment(id="A", name="n"))
    assert progress.ledger_end(now=1.0, may_act_s=1.0) == EndedCreated("A")
    progress = reached(State.OFFERED)
    progress.create(Attachment(name="n"))
    assert progress.ledger_end(now=1.0, may_act_s=1.0) == EndedUnknown(
        settles_in_s=0.0, created=True
    )


def test_an_unclear_attempt_is_kept_after_a_later_success() -> None:
    """An unclear attempt is kept when a later one succeeds, so that a surplus can be looked for."""
    progress = reached(State.OFFERED)
    progress.lose(ATTEMPT, created=False)
    progress.rule_out(UNAVAILABLE)
    assert (progress.state, progress.last_error) == (State.WAITING, UNAVAILABLE)
    progress.advance(Event.SEND)
    progress.advance(Event.OFFER)
    progress.create(Attachment(id="A"))
    assert (progress.unclear, progress.may_have_effect) == ([ATTEMPT], True)


def test_an_inherited_attempt_without_effect_leaves_nothing_sent() -> None:
    """After an earlier call's attempt is ruled out, this call has sent nothing."""
    progress = reached(State.QUEUED)
    progress.inherit([ATTEMPT], created=False)
    progress.rule_out()
    assert (progress.state, progress.last_error) == (State.QUEUED, None)
    assert told_when_late(progress, DRAINING) is DRAINING


@given(st.lists(st.sampled_from(Event), max_size=30))
def test_only_a_refusal_or_a_settled_absence_ends_a_possible_effect(
    events: list[Event],
) -> None:
    """Only a refusal or a settled absence ends a possible effect; only four events begin one."""
    progress = Progress(joins=True)
    for event in events:
        before = progress.may_have_effect
        try:
            progress.advance(event)
        except IllegalTransitionError:
            continue
        if before and not progress.may_have_effect:
            assert event in {Event.REFUSE, Event.RULE_OUT}
        if not before and progress.may_have_effect:
            assert event in {
                Event.OFFER,
                Event.INHERIT,
                Event.INHERIT_UNNAMED,
                Event.REOPEN,
            }
