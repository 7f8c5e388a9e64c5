"""What identifies a request and its post, the same for both RPCs and both routes."""

import hashlib

import orjson

from attachment_gateway.graph.base64_encoder import decoded
from attachment_gateway.graph.paths import percent_encoded
from attachment_gateway.graph.request import FILE, GraphRequest
from graphattachments.v1.attachment_pb2 import PostRef

# Part of every fingerprint; change it whenever the computation below changes.
VERSION = b"1"


def post_key(post: PostRef) -> str:
    """Return a post's key, the same for both routes. Case counts in a post id, not in a GUID."""
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
    """Return the SHA-256 of a request's post, description and content."""
    if graph_request.kind == FILE:
        described, content = graph_request.body[0], file_sha256(graph_request)
    else:
        described, content = _sorted(b"".join(graph_request.body)), b""
    digest = hashlib.sha256()
    for part in (VERSION, post_key(graph_request.head.post).encode(), described, content):
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def _sorted(body: bytes) -> bytes:
    """Sort an item's properties, because a protobuf map has no order."""
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_SORT_KEYS)
