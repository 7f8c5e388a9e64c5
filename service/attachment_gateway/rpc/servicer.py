"""The methods of the service: assemble a request, deliver it, answer."""

import asyncio
from collections.abc import AsyncIterable, Awaitable
from dataclasses import dataclass
from functools import partial

from attachment_gateway.admission import Admission, CallAdmission
from attachment_gateway.delivery.runner import Runner
from attachment_gateway.errors import NotSent
from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import FILE, ITEM, GraphRequest, Sender
from attachment_gateway.rpc.active_calls import ActiveCalls
from attachment_gateway.rpc.call import Call, Context
from attachment_gateway.rpc.deserialization import check_understood
from attachment_gateway.rpc.response_size import fit_response
from attachment_gateway.translation.create import graph_request_of
from attachment_gateway.translation.upload import UploadAssembly
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    CreateAttachmentResponse,
    UploadFileAttachmentRequest,
    UploadFileAttachmentResponse,
)
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceServicer

# The memory of a CreateAttachment message, as a multiple of its size: the message (1), and the
# request that is made from it, in base64 (4/3).
WHOLE_MESSAGE_FACTOR = 7 / 3

# Larger items are translated in a thread: an item may have an element in every 2 bytes, and each
# takes 1 µs to be written as JSON, which would block the event loop.
LARGE_ITEM_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """The limits of requests.

    `max_request_bytes`: the largest REST request. `stream_window_bytes`: how much of an upload gRPC
    may receive before memory is reserved for it. `stream_idle_s`: an upload's idle timeout.
    """

    max_request_bytes: int
    stream_window_bytes: int
    stream_idle_s: float


class Servicer(AttachmentServiceServicer):
    """The service of the contract."""

    def __init__(
        self,
        *,
        calls: ActiveCalls,
        admission: Admission,
        runner: Runner,
        root: GraphRoot,
        limits: RequestLimits,
    ) -> None:
        self._calls = calls
        self._admission = admission
        self._runner = runner
        self._root = root
        self._limits = limits

    async def UploadFileAttachment(  # noqa: N802 the contract's name
        self, _: AsyncIterable[UploadFileAttachmentRequest], context: Context
    ) -> UploadFileAttachmentResponse:
        """Reserve memory for a stream of messages, assemble them, and deliver the result.

        The messages are read from the context, not from the iterator.
        """
        return await self._calls.run(context, "UploadFileAttachment", self._upload)

    async def CreateAttachment(  # noqa: N802 the contract's name
        self, request: CreateAttachmentRequest, context: Context
    ) -> CreateAttachmentResponse:
        """Deliver an attachment that is in one message."""
        return await self._calls.run(context, "CreateAttachment", partial(self._create, request))

    async def _upload(self, call: Call) -> UploadFileAttachmentResponse:
        assembly = UploadAssembly(self._sender(call))
        prefetch = None
        with CallAdmission(self._admission, call.deadline) as admission:
            kept_bytes = self._limits.stream_window_bytes

            def take(request: UploadFileAttachmentRequest) -> Awaitable[None] | None:
                nonlocal prefetch
                assembly.feed(request)
                if admission.reservation is not None:
                    return None
                prefetch = self._runner.prefetch(assembly.head, assembly.request_id, FILE)
                return admission.admit(assembly.memory_bytes, kept_bytes=kept_bytes)

            try:
                await call.read(take, idle_s=self._limits.stream_idle_s, is_whole=assembly.is_whole)
                attachment = await self._runner.deliver(
                    assembly.finish(), call.deadline, admission.reservation, prefetch
                )
            finally:
                if prefetch is not None:
                    prefetch.cancel()
        return UploadFileAttachmentResponse(attachment=fit_response(attachment))

    async def _create(
        self, request: CreateAttachmentRequest, call: Call
    ) -> CreateAttachmentResponse:
        check_understood(request)
        size_bytes = request.ByteSize()
        with CallAdmission(self._admission, call.deadline) as admission:
            waiting = admission.admit(
                round(size_bytes * WHOLE_MESSAGE_FACTOR), kept_bytes=size_bytes
            )
            if waiting is not None:
                await waiting
            graph_request = await self._graph_request(request, size_bytes, call)
            attachment = await self._runner.deliver(
                graph_request, call.deadline, admission.reservation
            )
        return CreateAttachmentResponse(attachment=fit_response(attachment))

    async def _graph_request(
        self, request: CreateAttachmentRequest, size_bytes: int, call: Call
    ) -> GraphRequest:
        """Return the REST request, made in a thread if that may take long. Raises CallerError."""
        sender = self._sender(call)
        if size_bytes <= LARGE_ITEM_BYTES or request.attachment.WhichOneof("kind") != ITEM:
            return graph_request_of(request, sender)
        return await call.deadline.in_time(
            asyncio.to_thread(graph_request_of, request, sender), late=NotSent
        )

    def _sender(self, call: Call) -> Sender:
        return Sender(
            root=self._root,
            token=call.token,
            ids=call.ids,
            max_request_bytes=self._limits.max_request_bytes,
        )
