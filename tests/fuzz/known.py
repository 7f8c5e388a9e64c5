"""Violations that are known and not mended yet: they are counted apart, and don't fail a run.

`test_known` repeats each by a literal input, and fails as soon as its row isn't needed any more.
"""

import re
from collections.abc import Mapping

_PATH = "a :path that isn't UTF-8 ends the loop of grpc.aio's server, or crashes the process"
_HEADER = "grpc.aio logs a header that isn't UTF-8, also the caller's token"

# A pattern of what is reported, and what is at fault.
KNOWN: Mapping[str, str] = {
    r"takes no connections any more.*codec can't decode byte.*NoneType: None": _PATH,
    r"not JSON on standard error: 'utf-8' codec can't decode byte.*NoneType: None": _PATH,
    r"not JSON on standard error: Task exception was never.*UnicodeDecodeError\('utf-8'": _PATH,
    r"a bare UNAVAILABLE: 'Cancelling all calls'": _PATH,
    r"not JSON on standard error: Invalid encoding on b'": _HEADER,
    r"the canary is in the log: Invalid encoding on b'": _HEADER,
    r"not JSON on standard error: .*raised by servicer method \[/grpc\.": (
        "health and reflection log bytes that are no message"
    ),
    r"a bare UNKNOWN: \"Unexpected <class 'google\.protobuf\.message\.DecodeError'>": (
        "health and reflection tell an exception's text"
    ),
}


def known_fault(what: str) -> str:
    """Return what is at fault for a violation that is known; "" for any other."""
    found = (fault for pattern, fault in KNOWN.items() if re.match(pattern, what, re.DOTALL))
    return next(found, "")
