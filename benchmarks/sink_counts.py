"""What the sink says that has come to it."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Since the last time: requests, their bytes, and how many waited for their answer at once."""

    created: int
    body_bytes: int
    waited_at_once: int


def counts(graph: str) -> Counts:
    """Ask the sink at HOST:PORT."""
    connection = HTTPConnection(graph, timeout=10)
    try:
        connection.request("GET", "/sink")
        return Counts(**json.loads(connection.getresponse().read()))
    finally:
        connection.close()
