"""Tests of rpc/bearer_token.py: reading the caller's token from the metadata."""

import pytest

from attachment_gateway.errors import TokenMissing
from attachment_gateway.rpc.bearer_token import bearer_token


@pytest.mark.parametrize(
    "value", ["Bearer a.b-c_~+/==", "bearer a.b-c_~+/==", "BEARER  a.b-c_~+/=="]
)
def test_the_callers_token_is_read_as_it_is(value: str) -> None:
    """The token is returned as it is, after a scheme in any case."""
    metadata = (("user-agent", "x"), ("authorization", value))
    assert bearer_token(metadata) == "a.b-c_~+/=="


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ((), "no authorization metadata"),
        ((("authorization", ""),), "not a bearer token"),
        ((("authorization", "Bearer "),), "not a bearer token"),
        ((("authorization", "Basic dTpw"),), "not a bearer token"),
        ((("authorization", "Bearer a b"),), "not a bearer token"),
        ((("authorization", "Bearer a "),), "not a bearer token"),
        ((("authorization", "Bearer a\r\nx: y"),), "not a bearer token"),
        ((("authorization", "Bearer é"),), "not a bearer token"),
        ((("authorization", "Bearer \ud800"),), "not a bearer token"),
        ((("authorization", b"Bearer a"),), "not a bearer token"),
        ((("authorization", "Bearer a"), ("authorization", "Bearer b")), "2 authorization values"),
    ],
)
def test_anything_but_one_token_is_refused(
    metadata: tuple[tuple[str, str | bytes], ...], words: str
) -> None:
    """Metadata without exactly one token that fits into a header is refused."""
    with pytest.raises(TokenMissing, match=words):
        bearer_token(metadata)


def test_a_token_is_never_in_an_error() -> None:
    """The error for a malformed token doesn't have the token, because errors are logged."""
    with pytest.raises(TokenMissing) as caught:
        bearer_token((("authorization", "Bearer secret secret"),))
    assert "secret" not in str(caught.value)
