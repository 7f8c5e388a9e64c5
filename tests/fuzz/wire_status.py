"""A status as a caller gets it, and the rules that hold for it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import grpc
from google.rpc.error_details_pb2 import ErrorInfo
from google.rpc.status_pb2 import Status

from attachment_gateway.errors import Reason
from tests.fuzz.refusals import MAX_TRAILERS_BYTES, has_canary, trailers_bytes
from tests.fuzz.target import ACCEPTED, Outcome

DETAILS = "grpc-status-details-bin"

# What gRPC's core and its Python server answer by themselves, without a handler of ours.
BARE: Sequence[tuple[str, str, str]] = (
    ("CANCELLED", ".*", "the caller has cancelled, or its connection ended"),
    ("DEADLINE_EXCEEDED", ".*", "the caller's own deadline"),
    ("UNIMPLEMENTED", "Method not found!", "no such method"),
    ("RESOURCE_EXHAUSTED", "(?i).*larger than max.*", "a message over the limit of gRPC"),
    ("RESOURCE_EXHAUSTED", "received metadata size exceeds.*", "too many bytes of metadata"),
    (
        "INTERNAL",
        "Compression bit set but no.*|Decompression failed.*",
        "a message's flag is wrong",
    ),
    ("INTERNAL", "Duplicate ':[a-z]+' header received", "headers that aren't gRPC's"),
    (
        "INTERNAL",
        "Error parsing '[a-z:-]+' metadata.*|Illegal header key.*|Metadata keys.*",
        "headers that aren't gRPC's",
    ),
    ("UNAVAILABLE", "|Too many pings", "the connection has ended for what the caller sent"),
    ("UNAVAILABLE", "Socket closed.*", "the caller has closed its connection or sent GOAWAY"),
    ("UNAVAILABLE|INTERNAL", r"Failed parsing HTTP/2 \(.*", "frames that aren't HTTP/2's"),
)

# gRPC's core ends the calls of a caller that sends GOAWAY, and quotes that frame to it.
_ECHO = " (GOAWAY received; "

# The refusals that are decided before anything is sent, unless Graph's answer was the reason.
_BEFORE_SENDING = {
    Reason.INVALID_REQUEST,
    Reason.STREAM_PROTOCOL,
    Reason.ATTACHMENT_TOO_LARGE,
    Reason.SIZE_MISMATCH,
    Reason.CHECKSUM_MISMATCH,
    Reason.TOKEN_MISSING,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A status with its sentence and trailers."""

    code: str
    message: str
    trailers: tuple[tuple[str, str | bytes], ...] = ()

    @property
    def info(self) -> ErrorInfo | None:
        """The ErrorInfo, None without one."""
        for name, value in self.trailers:
            if name == DETAILS and isinstance(value, bytes):
                for packed in Status.FromString(value).details:
                    info = ErrorInfo()
                    if packed.Unpack(info):
                        return info
        return None

    @property
    def is_refusal(self) -> bool:
        """Whether it was refused before anything was sent to Graph."""
        info = self.info
        return (
            info is not None
            and info.reason in _BEFORE_SENDING
            and "http_status" not in info.metadata
        )

    def judged(self) -> Outcome:
        """Return how the call ended, with the rules that its status breaks."""
        if self.code == grpc.StatusCode.OK.name:
            return Outcome(ACCEPTED)
        info = self.info
        outcome = Outcome(info.reason if info else f"{self.code}, gRPC's own")
        if info is None:
            outcome.expect(f"a bare {self.code}: {self.message!r}", holds=self._is_cores())
        elif info.reason == Reason.GATEWAY_ERROR:
            status = info.metadata["http_status"]
            outcome.expect("an error of the gateway's own", holds=bool(re.match("3|407", status)))
        size_bytes = trailers_bytes([*self.trailers, ("grpc-message", self.message)])
        outcome.expect(f"{size_bytes} bytes of trailers", holds=size_bytes <= MAX_TRAILERS_BYTES)
        is_told = has_canary(self.message, self.trailers)
        is_echo = info is None and _ECHO in self.message
        outcome.expect("the canary is in a status", holds=is_echo or not is_told)
        return outcome

    def _is_cores(self) -> bool:
        return any(
            re.fullmatch(code, self.code) and re.fullmatch(words, self.message, re.DOTALL)
            for code, words, _ in BARE
        )
