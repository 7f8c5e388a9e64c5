"""PostRef -> REST path."""

import string
import unicodedata
from urllib.parse import quote

from attachment_gateway.errors import InvalidRequest
from graphattachments.v1.attachment_pb2 import PostRef

# Graph's ids have some 150 characters, the longest seen under 300.
MAX_ID_CHARS = 1024

# What a URL's path takes for "here" and "up", whatever stands around it.
_DOTS = {".", ".."}

# RFC 3986, section 2.3: what a path holds as it is. Graph's ids have nothing else but "=".
_UNRESERVED = f"{string.ascii_letters}{string.digits}-._~".encode()


def attachments_path(post: PostRef, *, within: str) -> str:
    """Return the path of the post's attachments, below Graph's root.

    Every id is percent-encoded whole, so none can leave its place in the path. Raises
    InvalidRequest, naming the field as a path that begins with `within`.
    """
    group = _segment(post, "group_id", within)
    thread = _segment(post, "thread_id", within)
    last = _segment(post, "post_id", within)
    conversation = (
        f"/conversations/{_segment(post, 'conversation_id', within)}"
        if post.conversation_id
        else ""
    )
    return f"/groups/{group}{conversation}/threads/{thread}/posts/{last}/attachments"


def _segment(post: PostRef, name: str, within: str) -> str:
    value: str = getattr(post, name)
    if fault := _fault(value):
        raise InvalidRequest(f"{within}.{name}", fault)
    return percent_encoded(value)


def percent_encoded(value: str) -> str:
    """Return an id as one segment of a path; what is common at a tenth of what `quote` takes."""
    reserved = value.encode().translate(None, _UNRESERVED)
    return quote(value, safe="") if reserved.strip(b"=") else value.replace("=", "%3D")


def _fault(value: str) -> str:
    """Return what is wrong with an id, "" if nothing is."""
    if not value:
        return "empty; Graph's id is required"
    if len(value) > MAX_ID_CHARS:
        return f"{len(value):,} characters; an id has at most {MAX_ID_CHARS:,}"
    if value in _DOTS:
        return "'.' and '..' are no ids: they lead elsewhere in a path"
    # Most can be printed, and then none is a control character: Unicode's category Cc.
    if not value.isprintable() and any(unicodedata.category(each) == "Cc" for each in value):
        return "holds a control character; Graph's ids hold none"
    return ""
