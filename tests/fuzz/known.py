"""Violations that are known and not mended yet; they are counted apart, and don't fail a run.

Each row is a pattern of what is reported, and what is at fault. `test_known` repeats each by a
literal input, and fails as soon as a row isn't needed any more.
"""

import re
from collections.abc import Mapping

KNOWN: Mapping[str, str] = {
    r"takes no connections any more": (
        "grpc.aio's server ends its loop at a :path that isn't UTF-8"
    ),
    r"not JSON on standard error: .*_server_main_loop": "the same",
    r"not JSON on standard error: .*Invalid encoding on b'": (
        "grpc.aio logs a header that isn't UTF-8, which may be the caller's token"
    ),
    r"the canary is in the log: Invalid encoding on b'": "the same",
    r"not JSON on standard error: .*raised by servicer method \[/grpc\.": (
        "health and reflection log bytes that are no message"
    ),
    r"a bare UNKNOWN: \"Unexpected <class 'google\.protobuf\.message\.DecodeError'>": (
        "health and reflection tell an exception's text"
    ),
}


def is_known(what: str) -> bool:
    """Return whether a violation is a known one."""
    return any(re.match(pattern, what, re.DOTALL) for pattern in KNOWN)
