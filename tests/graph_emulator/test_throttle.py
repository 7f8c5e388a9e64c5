"""throttle: the slots of a mailbox and of a post."""

from base64 import urlsafe_b64encode
from contextlib import ExitStack

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graph_emulator.config import EmulatorConfig
from graph_emulator.posts import Post
from graph_emulator.refusals import Refused
from graph_emulator.throttle import Peaks, Throttle, app_id

TWO = EmulatorConfig(concurrent_requests_per_group=2, retry_after_s=1.5)
A, B, C = (Post(group_id="G", post_id=id_) for id_ in "abc")


def token(claims: object) -> str:
    """Return a JWT with these claims and an unchecked signature."""
    payload = urlsafe_b64encode(orjson.dumps(claims)).rstrip(b"=").decode()
    return f"e30.{payload}.c2ln"


def test_a_request_over_the_limit_is_throttled() -> None:
    """The third request at once is refused with Retry-After, until one has ended."""
    throttle = Throttle()
    with throttle.place(TWO, "app", A, write=True):
        with (
            throttle.place(TWO, "app", B, write=True),
            pytest.raises(Refused) as caught,
            throttle.place(TWO, "app", C, write=True),
        ):
            pytest.fail("there was a third place")
        with throttle.place(TWO, "app", C, write=True):
            pass

    assert caught.value.refusal.code == "ApplicationThrottled"
    assert caught.value.headers == {"Retry-After": "1.5"}


def test_reads_take_slots_too() -> None:
    """A read counts against the mailbox as a write does."""
    throttle = Throttle()
    with (
        throttle.place(TWO, "app", A, write=False),
        throttle.place(TWO, "app", A, write=False),
        pytest.raises(Refused),
        throttle.place(TWO, "app", A, write=False),
    ):
        pytest.fail("there was a third place")


def test_each_app_and_group_has_its_own_slots() -> None:
    """The limit is per app and group, and a group's case doesn't matter."""
    throttle = Throttle()
    other_group = Post(group_id="H", post_id="d")
    lower = Post(group_id="g", post_id="e")
    with ExitStack() as slots:
        for app, post in [("app", A), ("app", B), ("other", C), ("app", other_group)]:
            slots.enter_context(throttle.place(TWO, app, post, write=True))
        with pytest.raises(Refused):
            slots.enter_context(throttle.place(TWO, "app", lower, write=True))


def test_a_second_write_to_a_post_conflicts() -> None:
    """A second write to a post conflicts, from any app, and a read doesn't."""
    throttle = Throttle()
    with throttle.place(TWO, "app", A, write=True):
        with throttle.place(TWO, "app", A, write=False):
            pass
        with pytest.raises(Refused) as caught, throttle.place(TWO, "other", A, write=True):
            pytest.fail("there was a second write")

    assert caught.value.refusal.code == "ErrorIrresolvableConflict"


def test_peaks_include_refused_requests() -> None:
    """The peaks include refused requests, and `forget_peaks` clears them."""
    throttle = Throttle()
    with ExitStack() as slots:
        for post in (A, B):
            slots.enter_context(throttle.place(TWO, "app", post, write=True))
        with pytest.raises(Refused):
            slots.enter_context(throttle.place(TWO, "app", A, write=True))

    assert throttle.peaks == Peaks(groups={"g": 3}, posts={"a": 2, "b": 1})
    throttle.forget_peaks()
    assert throttle.peaks == Peaks()


@pytest.mark.parametrize(
    ("given_token", "app"),
    [
        (token({"appid": "one", "azp": "two"}), "one"),
        (token({"azp": "two"}), "two"),
        (token({}), token({})),
        (token([]), token([])),
        ("opaque", "opaque"),
        ("a.b.c", "a.b.c"),
    ],
)
def test_the_app_is_that_of_the_claims_or_the_token(given_token: str, app: str) -> None:
    """The app is the token's `appid` or `azp`, or else the token itself."""
    assert app_id(given_token) == app


@given(st.text())
def test_any_token_has_an_app(text: str) -> None:
    """Any token has an app."""
    assert app_id(f"a.{text}.c")
