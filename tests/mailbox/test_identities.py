"""mailbox.identities: what Graph's responses say of a token, and how long it is remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.mailbox import identities as module
from attachment_gateway.mailbox.identities import Identities, Standing, takes_nothing

NEW, ACCEPTED, REFUSED = Standing.NEW, Standing.ACCEPTED, Standing.REFUSED
REFUSED_S, MAX_IDENTITIES = module.REFUSED_S, module.MAX_IDENTITIES

# Graph decides these by the head of a request or its size, whoever sends it.
UNREAD = [301, 302, 401, 403, 404, 405, 407, 410, 413, 414, 421, 425, 429, 431]
# These may come after Graph has read the upload, if it has authenticated the request.
READ = [400, 402, 409, 412, 415, 422, 423]
# These may come after Graph has stored the attachment.
UNCLEAR = [200, 201, 408, 500, 501, 502, 503, 504, 507, 509]


@pytest.mark.parametrize(
    ("statuses", "of_accepted", "of_others"),
    [(UNREAD, True, True), (READ, False, True), (UNCLEAR, False, False)],
)
def test_which_responses_say_that_nothing_was_taken(
    statuses: list[int],
    of_accepted: bool,
    of_others: bool,
) -> None:
    """A refusal takes nothing if Graph sends it unread, or before it has authenticated."""
    for status in statuses:
        assert takes_nothing(status, ACCEPTED) is of_accepted, status
        assert takes_nothing(status, NEW) is of_others, status
        assert takes_nothing(status, REFUSED) is of_others, status


@pytest.mark.parametrize(
    ("responses", "standing"),
    [
        ([], NEW),
        ([201], ACCEPTED),
        ([200], ACCEPTED),
        ([401], REFUSED),
        ([201, 401], REFUSED),
        ([401, 201], ACCEPTED),
        ([403], NEW),
        ([201, 403], ACCEPTED),
        ([401, 403], REFUSED),
        ([400, 404, 409, 413, 429, 500, 503], NEW),
        ([301], NEW),
    ],
)
def test_a_2xx_accepts_and_a_401_refuses(responses: list[int], standing: Standing) -> None:
    """A 2XX accepts an identity, a 401 refuses it, and nothing else changes its standing."""
    identities = Identities(b"key")
    for status in responses:
        identities.note("one", status, 0.0)
    assert identities.standing("one", 1.0) is standing
    assert identities.standing("other", 1.0) is NEW


def test_a_refusal_is_remembered_for_its_time() -> None:
    """A refusal lasts for REFUSED_S from the last 401."""
    identities = Identities(b"key")
    identities.note("one", 401, 0.0)
    identities.note("one", 401, 10.0)
    assert identities.standing("one", REFUSED_S + 9.0) is REFUSED
    assert identities.standing("one", REFUSED_S + 10.0) is NEW


def test_an_identity_is_a_token_with_a_mailbox() -> None:
    """The hash differs by token, mailbox and key, and shows nothing of a token."""
    identities = Identities(b"key")
    hashes = {
        identities.identity_of("token", "a/g"),
        identities.identity_of("token", "a/h"),
        identities.identity_of("other", "a/g"),
        Identities(b"another").identity_of("token", "a/g"),
    }
    assert len(hashes) == 4
    assert {len(each) for each in hashes} == {16}
    assert identities.identity_of("token", "a/g") in hashes


@given(st.text())
def test_any_token_has_an_identity(token: str) -> None:
    """Any text as a token has an identity, also one that can't be encoded."""
    assert int(Identities(b"key").identity_of(token, "a/g"), 16) >= 0
    assert Identities(b"key").identity_of("\ud800", "a/g")


def test_many_refused_identities_displace_no_accepted_one() -> None:
    """However many identities Graph refuses, those that it accepted stay accepted."""
    identities = Identities(b"key")
    identities.note("honest", 201, 0.0)
    for number in range(2 * MAX_IDENTITIES):
        identities.note(f"forged {number}", 401, 0.0)
    assert identities.standing("honest", 1.0) is ACCEPTED
    assert identities.standing(f"forged {MAX_IDENTITIES - 1}", 1.0) is NEW
    assert identities.standing(f"forged {MAX_IDENTITIES}", 1.0) is REFUSED
    assert len(identities._refused) == MAX_IDENTITIES


def test_the_least_recently_used_identity_is_forgotten() -> None:
    """Of MAX_IDENTITIES accepted identities the least recently used makes room for the next."""
    identities = Identities(b"key")
    for number in range(MAX_IDENTITIES):
        identities.note(str(number), 201, 0.0)
    assert identities.standing("0", 1.0) is ACCEPTED
    identities.note("next", 201, 1.0)
    standings = [identities.standing(each, 1.0) for each in ("0", "1", "2", "next")]
    assert standings == [ACCEPTED, NEW, ACCEPTED, ACCEPTED]


@pytest.mark.parametrize("status", [201, 401])
def test_watchers_are_told_once_and_in_order(status: int) -> None:
    """Those who watch an identity are told once, in order, when it is accepted or refused."""
    identities, told = Identities(b"key"), list[str]()
    with (
        identities.watched("one", lambda: told.append("first")),
        identities.watched("one", lambda: told.append("second")),
        identities.watched("other", lambda: told.append("never")),
    ):
        with identities.watched("one", lambda: told.append("gone")):
            pass
        identities.note("one", 429, 0.0)
        assert told == []
        identities.note("one", status, 0.0)
        identities.note("one", status, 0.0)
        with identities.watched("one", lambda: told.append("later")):
            pass
    assert told == ["first", "second"]
    assert identities._watchers == {}
