"""Tests of delivery/baseline_policy.py: when a baseline is asked for."""

import pytest

from attachment_gateway.delivery.baseline_policy import BaselinePolicy, BaselineSetting
from attachment_gateway.graph.request import FILE, ITEM

AUTO = BaselineSetting.AUTO


def test_always_and_never_decide_alone() -> None:
    """The settings `always` and `never` don't depend on what was seen."""
    always, never = BaselinePolicy(BaselineSetting.ALWAYS), BaselinePolicy(BaselineSetting.NEVER)
    never.note_attempt("m", 0.0, unclear=True)
    never.note_stamp(0.0, identifies=False)
    assert always.wants(FILE, "m", 1.0)
    assert not never.wants(ITEM, "m", 1.0)


def test_auto_asks_for_items_only_while_all_goes_well() -> None:
    """Without anything unclear, `auto` asks for a baseline for items and not for files."""
    policy = BaselinePolicy(AUTO)
    for at in range(100):
        policy.note_attempt("m", float(at), unclear=False)
        policy.note_stamp(float(at), identifies=True)
    assert policy.wants(ITEM, "m", 100.0)
    assert not policy.wants(FILE, "m", 100.0)


def test_auto_asks_for_a_mailbox_with_an_unclear_attempt() -> None:
    """An unclear attempt to a mailbox counts for 10 minutes, for this mailbox."""
    policy = BaselinePolicy(AUTO)
    for _ in range(1000):
        policy.note_attempt("other", 0.0, unclear=False)
    policy.note_attempt("m", 0.0, unclear=True)
    assert policy.wants(FILE, "m", 599.0)
    assert not policy.wants(FILE, "other", 599.0)
    assert not policy.wants(FILE, "m", 601.0)


@pytest.mark.parametrize(("clear", "wants"), [(98, True), (99, False)])
def test_auto_asks_while_more_than_one_in_a_hundred_is_unclear(clear: int, wants: bool) -> None:
    """More than 1 % of unclear attempts makes every call ask."""
    policy = BaselinePolicy(AUTO)
    for _ in range(clear):
        policy.note_attempt("m", 0.0, unclear=False)
    policy.note_attempt("n", 0.0, unclear=True)
    assert policy.wants(FILE, "m", 100.0) is wants


@pytest.mark.parametrize(("good", "wants"), [(0, True), (98, True), (99, False)])
def test_auto_asks_while_stamps_would_not_identify(good: int, wants: bool) -> None:
    """More than 1 % of creates with a stamp that shows nothing make every call ask."""
    policy = BaselinePolicy(AUTO)
    for _ in range(good):
        policy.note_attempt("m", 0.0, unclear=False)
        policy.note_stamp(0.0, identifies=True)
    policy.note_attempt("m", 1.0, unclear=False)
    policy.note_stamp(1.0, identifies=False)
    assert policy.wants(FILE, "m", 599.0) is wants
    assert not policy.wants(FILE, "m", 661.0)


def test_old_attempts_are_forgotten() -> None:
    """Attempts of more than 10 minutes ago don't count, to a minute."""
    policy = BaselinePolicy(AUTO)
    policy.note_attempt("n", 0.0, unclear=True)
    assert policy.wants(FILE, "m", 599.0)
    assert not policy.wants(FILE, "m", 661.0)
