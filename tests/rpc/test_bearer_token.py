"""credentials: whose token."""

import pytest

from attachment_gateway.errors import TokenMissing
from attachment_gateway.rpc.bearer_token import bearer_token


@pytest.mark.parametrize(
    "value", ["Bearer a.b-c_~+/==", "bearer a.b-c_~+/==", "BEARER  a.b-c_~+/=="]
)
def test_the_callers_token(value: str) -> None:
    """The scheme is written in any case; the token comes as it is."""
    metadata = (("user-agent", "x"), ("authorization", value))
    assert bearer_token(metadata) == "a.b-c_~+/=="


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ((), "no authorization metadata"),
        ((("authorization", ""),), "no bearer token"),
        ((("authorization", "Bearer "),), "no bearer token"),
        ((("authorization", "Basic dTpw"),), "no bearer token"),
        ((("authorization", "Bearer a b"),), "no bearer token"),
        ((("authorization", "Bearer a "),), "no bearer token"),
        ((("authorization", "Bearer a\r\nx: y"),), "no bearer token"),
        ((("authorization", "Bearer é"),), "no bearer token"),
        ((("authorization", "Bearer \ud800"),), "no bearer token"),
        ((("authorization", b"Bearer a"),), "no bearer token"),
        ((("authorization", "Bearer a"), ("authorization", "Bearer b")), "2 authorization values"),
    ],
)
def test_what_is_no_token(metadata: tuple[tuple[str, str | bytes], ...], words: str) -> None:
    """Anything but one token that fits into a header is refused, with what to send instead."""
    with pytest.raises(TokenMissing, match=words):
        bearer_token(metadata)


def test_a_token_is_never_in_the_sentence() -> None:
    """The sentence of the error goes into logs; the token doesn't."""
    with pytest.raises(TokenMissing) as caught:
        bearer_token((("authorization", "Bearer secret secret"),))
    assert "secret" not in str(caught.value)
