"""What holds for every error that a caller gets, whatever it sent."""

from grpc import StatusCode
from grpc_status import rpc_status

from attachment_gateway.errors import GatewayError, Reason
from attachment_gateway.rpc import status
from tests.fuzz.draws import CANARY
from tests.fuzz.target import Outcome

# The contract: all trailers of an answer together, as HPACK counts them.
MAX_TRAILERS_BYTES = 7 * 1024

_IDS = {"client_request_id": "0" * 36, "graph_request_id": "0" * 36}


def refused(error: GatewayError) -> Outcome:
    """Return how an input ended that raised an error, with the rules that the error breaks."""
    outcome = Outcome(error.reason)
    made = rpc_status.to_status(status.to_status(error, _IDS))
    trailers = (*made.trailing_metadata, *status.id_trailers(_IDS), *status.pushback(error))
    size_bytes = trailers_bytes([*trailers, ("grpc-message", made.details), ("grpc-status", "14")])
    outcome.expect(f"{size_bytes} bytes of trailers", holds=size_bytes <= MAX_TRAILERS_BYTES)
    outcome.expect("the canary is in an error", holds=not has_canary(made.details, trailers))
    outcome.expect("an error of the gateway's own", holds=error.reason is not Reason.GATEWAY_ERROR)
    outcome.expect("no code", holds=isinstance(made.code, StatusCode))
    return outcome


def trailers_bytes(trailers: list[tuple[str, str | bytes]]) -> int:
    """Return the size of trailers as HPACK counts it: name, value and 32 bytes each."""
    return sum(len(name) + 32 + _value_bytes(value) for name, value in trailers)


def _value_bytes(value: str | bytes) -> int:
    """Return a value's size: bytes in base64 without padding, and text percent-encoded."""
    if isinstance(value, bytes):
        return -(-len(value) * 4 // 3)
    return sum(1 if 0x20 <= byte <= 0x7E and byte != 0x25 else 3 for byte in value.encode())


def has_canary(message: str, trailers: tuple[tuple[str, str | bytes], ...]) -> bool:
    """Return whether the canary is in an error's sentence or trailers."""
    values = [value if isinstance(value, bytes) else value.encode() for _, value in trailers]
    return any(CANARY.encode() in each for each in (message.encode(), *values))
