"""Requests to Graph for tests: who sends them, and to which post."""

from attachment_gateway.graph.paths import GraphRoot
from attachment_gateway.graph.request import RequestHead, Sender, SupportIds


def sender(
    root: str = "https://graph.example/v1.0",
    *,
    token: str = "tok",
    support_id: str = "id",
    max_request_bytes: int = 4194304,
) -> Sender:
    """Return the sender of a caller with this token, by default with Graph's limit."""
    return Sender(
        root=GraphRoot.parse(root),
        token=token,
        ids=SupportIds(support_id),
        max_request_bytes=max_request_bytes,
    )


HEAD = RequestHead(sender(), "/groups/g/threads/t/posts/p/attachments")
