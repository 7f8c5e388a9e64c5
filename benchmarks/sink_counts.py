"""The counts of the sink."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """The counts since the last call: requests, their bytes, and the most that waited at once."""

    created: int
    body_bytes: int
    waited_at_once: int


def counts(graph: str) -> Counts:
    """Return and reset the counts of the sink at HOST:PORT."""
    connection = HTTPConnection(graph, timeout=10)
    try:
        connection.request("GET", "/sink")
        return Counts(**json.loads(connection.getresponse().read()))
    finally:
        connection.close()
