"""A caller with Microsoft's own SDK, which sends to Graph directly and does all the work itself.

The SDK has its defaults, except for the address of Graph, plain http as for all contestants, and a
credential with a fixed token.
"""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

from azure.core.credentials import AccessToken
from kiota_authentication_azure.azure_identity_authentication_provider import (
    AzureIdentityAuthenticationProvider,
)
from kiota_http.kiota_client_factory import KiotaClientFactory
from msgraph.generated.models.file_attachment import FileAttachment
from msgraph.graph_request_adapter import GraphRequestAdapter, options
from msgraph.graph_service_client import GraphServiceClient
from msgraph_core import GraphClientFactory

from benchmarks.jobs import Job, Upload, work
from benchmarks.traffic import CONTENT_TYPE, NAME, TOKEN, Post, content, posts

_POSTS = posts()
_EXPIRES_ON = 4102444800  # in 2100


class FixedToken:
    """A credential with a fixed token."""

    def get_token(self, *_scopes: str, **_options: Any) -> AccessToken:
        """Return the token."""
        return AccessToken(TOKEN, _EXPIRES_ON)


def prepared(job: Job) -> Sequence[Upload]:
    """Return a job's uploads; the SDK has no chunks."""
    client, file = _client(job.target), content(job.size_bytes)
    made = [_attachment(file) for _ in range(job.uploads)]
    return [partial(_create, client, next(_POSTS), attachment) for attachment in made]


def _attachment(file: bytes) -> FileAttachment:
    return FileAttachment(
        odata_type="#microsoft.graph.fileAttachment",
        name=NAME,
        content_type=CONTENT_TYPE,
        content_bytes=file,
    )


async def _create(client: GraphServiceClient, post: Post, attachment: FileAttachment) -> None:
    threads = client.groups.by_group_id(post.group_id).threads
    at = threads.by_conversation_thread_id(post.thread_id).posts.by_post_id(post.post_id)
    created = await at.attachments.post(attachment)
    if created is None or not created.id:
        raise RuntimeError("no id")


@cache
def _client(graph_url: str) -> GraphServiceClient:
    http = KiotaClientFactory.get_default_client()
    adapter = GraphRequestAdapter(
        AzureIdentityAuthenticationProvider(FixedToken()),
        GraphClientFactory.create_with_default_middleware(client=http, options=options),
    )
    adapter.base_url = graph_url
    return GraphServiceClient(request_adapter=adapter)


if __name__ == "__main__":
    work(prepared)
