"""Whose token: the caller's own, from the call's metadata."""

import re
from collections.abc import Iterable

from attachment_gateway.errors import TokenMissing

# RFC 6750, section 2.1: "Bearer" 1*SP b64token. Nothing else can break a header or hide in one.
_BEARER = re.compile(r"(?i:bearer) +([A-Za-z0-9\-._~+/]+=*)")


def bearer_token(metadata: Iterable[tuple[str, str | bytes]]) -> str:
    """Return the token of the one `authorization: Bearer …` in a call's metadata."""
    values = [value for key, value in metadata if key == "authorization"]
    if not values:
        raise TokenMissing("no authorization metadata; send `authorization: Bearer <token>`")
    if len(values) > 1:
        raise TokenMissing(f"{len(values)} authorization values; send one")
    match = _BEARER.fullmatch(values[0]) if isinstance(values[0], str) else None
    if match is None:
        raise TokenMissing(
            "the authorization metadata is no bearer token of RFC 6750; send "
            "`authorization: Bearer <token>`"
        )
    return match[1]
