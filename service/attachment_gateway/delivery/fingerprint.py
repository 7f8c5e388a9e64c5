"""Which request is this? The same for both RPCs and both routes."""

import hashlib

import orjson

from attachment_gateway.graph.base64_encoder import decoded
from attachment_gateway.graph.paths import percent_encoded
from attachment_gateway.graph.request import FILE, GraphRequest
from graphattachments.v1.attachment_pb2 import PostRef

# Goes into every fingerprint; another one whenever what stands below changes.
VERSION = b"1"


def post_key(post: PostRef) -> str:
    """Return what names a post by every route: a GUID has no case, Outlook's ids have."""
    return f"{percent_encoded(post.group_id.lower())}/{percent_encoded(post.post_id)}"


def file_sha256(graph_request: GraphRequest) -> bytes:
    """Return the SHA-256 of a file's bytes."""
    if graph_request.sha256:
        return graph_request.sha256
    computed = hashlib.sha256()
    for piece in decoded(graph_request.body[1:-1]):
        computed.update(piece)
    return computed.digest()


def fingerprint(graph_request: GraphRequest) -> bytes:
    """Return what tells a request from others: a SHA-256 of post, description and content."""
    if graph_request.kind == FILE:
        described, content = graph_request.body[0], file_sha256(graph_request)
    else:
        described, content = _sorted(b"".join(graph_request.body)), b""
    told = hashlib.sha256()
    for part in (VERSION, post_key(graph_request.head.post).encode(), described, content):
        told.update(b"%d:" % len(part))
        told.update(part)
    return told.digest()


def _sorted(body: bytes) -> bytes:
    """Put an item's properties into an order; a protobuf map has none."""
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
