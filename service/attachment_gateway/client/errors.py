"""The error of a call, from the gateway or from gRPC."""

from typing import cast

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

# The retry delay if the gateway can't be reached: a restart takes 1 or 2 seconds. The outcome of
# the call is unknown then, but its request id makes a repeat safe.
GONE_RETRY_DELAY_S = 1.0


class AttachmentError(Exception):
    """A call failed, by an error of the gateway or of gRPC itself.

    `code` is gRPC's. `reason` and `metadata` are those of the gateway's ErrorInfo; if gRPC itself
    failed, they are empty, and the attachment may or may not exist. `retry_delay_s` is None if
    a repeat with the same request id isn't known to help.
    """

    def __init__(self, error: grpc.RpcError) -> None:
        call = cast("grpc.Call", error)  # the error that a stub raises is also the call
        self.code = call.code()
        self.reason = ""
        self.metadata: dict[str, str] = {}
        self.retry_delay_s: float | None = None
        self._read(call)
        if self.code is grpc.StatusCode.UNAVAILABLE and not self.reason:
            self.retry_delay_s = GONE_RETRY_DELAY_S
        super().__init__(f"{self.reason or self.code.name}: {call.details()}")

    def _read(self, call: grpc.Call) -> None:
        try:
            status = rpc_status.from_call(call)
        except ValueError:  # the deadline passed as the status came, and gRPC mixed both
            status = None
        for detail in status.details if status is not None else ():
            info, retry = ErrorInfo(), RetryInfo()
            if detail.Unpack(info):
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(retry):
                self.retry_delay_s = retry.retry_delay.ToNanoseconds() / 1e9
