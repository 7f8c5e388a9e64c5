"""The first checks of a request, which Graph's front end makes."""

from collections.abc import Mapping

from graph_emulator.refusals import TOKEN_MISSING, TOO_LARGE, Refused

CHALLENGE = (
    'Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize"'
    ', client_id="00000003-0000-0000-c000-000000000000"'  # Graph itself
)


def bearer_token(headers: Mapping[str, str]) -> str:
    """Return the token, which is not verified. Raises `Refused` if there is none."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Refused(TOKEN_MISSING, {"WWW-Authenticate": CHALLENGE})
    return token.strip()


def check_declared_length(headers: Mapping[str, str], max_request_bytes: int) -> None:
    """Raise `Refused` if the body alone is too large; its reading checks the whole request."""
    if int(headers.get("content-length", "0")) > max_request_bytes:
        raise Refused(TOO_LARGE)
