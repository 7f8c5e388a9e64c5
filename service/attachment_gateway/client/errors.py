"""How a call fails: what the gateway said, or gRPC."""

from typing import cast

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from grpc_status import rpc_status

# When to come back to a gateway that is gone: a restart takes a second or two. What became of the
# call nobody has told, but the request id makes it safe to ask.
GONE_RETRY_DELAY_S = 1.0


class AttachmentError(Exception):
    """The gateway's, or gRPC's, no.

    `code` is gRPC's; `reason` and `metadata` are those of the gateway's ErrorInfo, "" and empty if
    gRPC itself failed, which tells nothing of what became of the attachment. `retry_delay_s` is
    None where sending it again, with the same request id, isn't known to help.
    """

    def __init__(self, error: grpc.RpcError) -> None:
        call = cast("grpc.Call", error)  # what a stub raises is the call, too
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
        except ValueError:  # the deadline passed as the gateway's status came: gRPC mixed the two
            status = None
        for detail in status.details if status is not None else ():
            info, retry = ErrorInfo(), RetryInfo()
            if detail.Unpack(info):
                self.reason, self.metadata = info.reason, dict(info.metadata)
            elif detail.Unpack(retry):
                self.retry_delay_s = retry.retry_delay.ToNanoseconds() / 1e9
