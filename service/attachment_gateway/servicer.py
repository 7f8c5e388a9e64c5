"""Each RPC as a sentence: assemble, deliver, answer."""

from collections.abc import AsyncIterable
from dataclasses import dataclass

from attachment_gateway.answer import fitted
from attachment_gateway.assembly import Assembly
from attachment_gateway.calls import Call, Calls, Context
from attachment_gateway.creation import envelope_of
from attachment_gateway.delivery import Delivery
from attachment_gateway.envelope import GraphRoot, Sender
from attachment_gateway.malformed import understood
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    CreateAttachmentResponse,
    UploadFileAttachmentRequest,
    UploadFileAttachmentResponse,
)
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceServicer


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """`max_request_bytes` of REST request; how long an upload may be quiet."""

    max_request_bytes: int
    stream_idle_s: float


class Servicer(AttachmentServiceServicer):
    """The service of the contract."""

    def __init__(
        self, *, calls: Calls, delivery: Delivery, root: GraphRoot, limits: RequestLimits
    ) -> None:
        self._calls = calls
        self._delivery = delivery
        self._root = root
        self._limits = limits

    async def UploadFileAttachment(  # noqa: N802 the contract's name
        self, request_iterator: AsyncIterable[UploadFileAttachmentRequest], context: Context
    ) -> UploadFileAttachmentResponse:
        """Assemble a stream of requests and deliver it."""
        async with self._calls.begin(context, "UploadFileAttachment") as call:
            assembly = Assembly(self._sender(call))
            await call.read(request_iterator, assembly.feed, idle_s=self._limits.stream_idle_s)
            attachment = await self._delivery.deliver(assembly.finish(), call)
            return UploadFileAttachmentResponse(attachment=fitted(attachment))

    async def CreateAttachment(  # noqa: N802 the contract's name
        self, request: CreateAttachmentRequest, context: Context
    ) -> CreateAttachmentResponse:
        """Deliver an attachment that came whole."""
        async with self._calls.begin(context, "CreateAttachment") as call:
            understood(request)
            envelope = envelope_of(request, self._sender(call))
            attachment = await self._delivery.deliver(envelope, call)
            return CreateAttachmentResponse(attachment=fitted(attachment))

    def _sender(self, call: Call) -> Sender:
        return Sender(
            root=self._root,
            token=call.token,
            client_request_id=call.client_request_id,
            max_request_bytes=self._limits.max_request_bytes,
        )
