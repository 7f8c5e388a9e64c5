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
from attachment_gateway.rpc.deserialization import create_request
from attachment_gateway.rpc.response_size import CREATED_BYTES, UPLOADED_BYTES, fit_response
from attachment_gateway.translation.create import graph_request_of
from attachment_gateway.translation.upload import UploadAssembly
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentResponse,
    UploadFileAttachmentRequest,
    UploadFileAttachmentResponse,
)
from graphattachments.v1.attachment_service_pb2_grpc import AttachmentServiceServicer

# Larger messages of CreateAttachment are translated in a thread, for the sake of the event loop: an
# item may have tens of thousands of elements, and each takes 1 µs or more.
LARGE_BYTES = 64 * 1024

# The memory of an item, as a multiple of its request's size: the request itself (1), Graph's
# response, which may echo it (1), that as JSON values (1), as a message (1), and that message as
# bytes, for gRPC (1) and in gRPC (1).
ITEM_FACTOR = 6

# The memory of a response while it is sent: as a message, as bytes, and in gRPC.
ANSWER_FACTOR = 3

# The memory of a file in one message, likewise: the request, in base64 (1), and the message (3/4).
FILE_FACTOR = 7 / 4


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLimits:
    """The limits of requests.

    `max_request_bytes`: the largest REST request. `max_message_bytes`: the largest message, of
    which gRPC may have received all but the end while it is read. `stream_window_bytes`: how much
    of a stream gRPC may receive while none is read.
    """

    max_request_bytes: int
    max_message_bytes: int
    stream_window_bytes: int


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

    async def CreateAttachment(  # type: ignore[override]  # noqa: N802 served as a stream
        self, _: AsyncIterable[bytes], context: Context
    ) -> None:
        """Reserve memory for a message, read it, deliver its attachment, and answer.

        It is served as a stream, so that its message isn't received before it is admitted.
        """
        await self._calls.run(context, "CreateAttachment", self._create)

    async def _upload(self, call: Call) -> UploadFileAttachmentResponse:
        limits = self._limits
        assembly = UploadAssembly(self._sender(call))
        prefetch = None
        with CallAdmission(self._admission, call.caller, call.deadline) as admission:
            await self._admit(admission)

            def take(request: UploadFileAttachmentRequest) -> Awaitable[None] | None:
                nonlocal prefetch
                began = assembly.has_begun
                assembly.feed(request)
                if began:
                    return None
                prefetch = self._runner.prefetch(assembly.head, assembly.request_id, FILE)
                return admission.grow(
                    assembly.memory_bytes + limits.max_message_bytes, kept_bytes=request.ByteSize()
                )

            try:
                await call.read(take, admission, is_whole=assembly.is_whole)
                admission.shrink(assembly.memory_bytes)
                attachment = await self._runner.deliver(
                    assembly.finish(), call.deadline, admission.reservation, prefetch
                )
            finally:
                if prefetch is not None:
                    prefetch.cancel()
        return UploadFileAttachmentResponse(attachment=fit_response(attachment, UPLOADED_BYTES))

    async def _create(self, call: Call) -> None:
        with CallAdmission(self._admission, call.caller, call.deadline) as admission:
            await self._admit(admission)
            response = await self._created(call, admission)
            admission.shrink(ANSWER_FACTOR * response.ByteSize())
            await call.answer(response, admission)

    async def _created(self, call: Call, admission: CallAdmission) -> CreateAttachmentResponse:
        """Return the response of a call; what was made for it is freed with this function."""
        graph_request = await self._graph_request(call, admission)
        admission.shrink(create_memory_bytes(graph_request))
        attachment = await self._runner.deliver(graph_request, call.deadline, admission.reservation)
        return CreateAttachmentResponse(attachment=fit_response(attachment, CREATED_BYTES))

    async def _graph_request(self, call: Call, admission: CallAdmission) -> GraphRequest:
        """Read the message of a call, and return the REST request. Raises CallerError."""
        message = await call.read_one(admission)
        waiting = admission.grow(ITEM_FACTOR * len(message), kept_bytes=len(message))
        if waiting is not None:
            await waiting
        work = partial(_translated, message, self._sender(call))
        if len(message) <= LARGE_BYTES:
            return work()
        working = asyncio.get_running_loop().run_in_executor(None, work)
        admission.share_with(working)
        return await call.deadline.in_time(_result(working), late=NotSent)

    async def _admit(self, admission: CallAdmission) -> None:
        """Reserve memory before a call's first message is read. Raises GatewayOverloaded."""
        limits = self._limits
        waiting = admission.reserve(limits.max_message_bytes, kept_bytes=limits.stream_window_bytes)
        if waiting is not None:
            await waiting

    def _sender(self, call: Call) -> Sender:
        return Sender(
            root=self._root,
            token=call.token,
            ids=call.ids,
            max_request_bytes=self._limits.max_request_bytes,
        )


def _translated(message: bytes, sender: Sender) -> GraphRequest:
    return graph_request_of(create_request(message), sender)


async def _result(working: "asyncio.Future[GraphRequest]") -> GraphRequest:
    return await working


def create_memory_bytes(graph_request: GraphRequest) -> int:
    """Return the most memory that a CreateAttachment call needs while it is delivered."""
    factor = ITEM_FACTOR if graph_request.kind == ITEM else FILE_FACTOR
    return round(graph_request.size_bytes * factor)
