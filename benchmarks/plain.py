"""The simplest gateway: grpc.aio, the chunks joined, base64, JSON, and httpx's client.

It keeps its connections, doesn't block, and is correct as long as nothing fails; nothing in it is
slow on purpose. It has no limits, no retries, no ledger, and no errors except gRPC's UNKNOWN.
"""

import argparse
import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterable
from typing import Any
from urllib.parse import quote

import grpc.aio
import httpx

from graphattachments.v1.attachment_pb2 import Attachment, PostRef
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    CreateAttachmentResponse,
    UploadFileAttachmentRequest,
    UploadFileAttachmentResponse,
)
from graphattachments.v1.attachment_service_pb2_grpc import (
    AttachmentServiceServicer,
    add_AttachmentServiceServicer_to_server,
)

TIMEOUT_S = 60.0


class Plain(AttachmentServiceServicer):
    """The service."""

    def __init__(self, graph_url: str, client: httpx.AsyncClient) -> None:
        self._graph_url = graph_url
        self._client = client

    async def UploadFileAttachment(  # noqa: N802 the contract's name
        self,
        request_iterator: AsyncIterable[UploadFileAttachmentRequest],
        context: grpc.aio.ServicerContext[Any, Any],
    ) -> UploadFileAttachmentResponse:
        """Read the stream, encode the file, and post it."""
        chunks = []
        async for request in request_iterator:
            if request.HasField("header"):
                header = request.header
            else:
                chunks.append(request.chunk)
        body = {
            "@odata.type": "#microsoft.graph.fileAttachment",
            "name": header.attachment.name,
            "contentType": header.attachment.content_type,
            "contentBytes": b64encode(b"".join(chunks)).decode(),
        }
        metadata = dict(context.invocation_metadata() or ())
        response = await self._client.post(
            self._graph_url + _path(header.post),
            content=json.dumps(body),
            headers={
                "Authorization": str(metadata["authorization"]),
                "Content-Type": "application/json",
            },
        )
        response.raise_for_status()
        created = response.json()
        return UploadFileAttachmentResponse(
            attachment=Attachment(id=created["id"], name=created["name"], size=created["size"])
        )

    async def CreateAttachment(  # noqa: N802 the contract's name
        self, _request: CreateAttachmentRequest, context: Any
    ) -> CreateAttachmentResponse:
        """Abort with UNIMPLEMENTED: it isn't measured."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "uploads only")
        raise NotImplementedError


def _path(post: PostRef) -> str:
    thread, name = quote(post.thread_id, safe=""), quote(post.post_id, safe="")
    return f"/groups/{post.group_id}/threads/{thread}/posts/{name}/attachments"


async def serve(graph_url: str) -> None:
    """Serve until killed."""
    async with httpx.AsyncClient(timeout=TIMEOUT_S) as client:
        server = grpc.aio.server()
        add_AttachmentServiceServicer_to_server(Plain(graph_url, client), server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        print(f"listening on 127.0.0.1:{port}", flush=True)
        await server.wait_for_termination()


def main() -> None:
    """Read the flags and serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graph-url", required=True)
    asyncio.run(serve(parser.parse_args().graph_url))


if __name__ == "__main__":
    main()
