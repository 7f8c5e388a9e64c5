"""PostRef -> REST path."""

import re
from urllib.parse import quote

from attachment_gateway.errors import InvalidRequest
from graphattachments.v1.attachment_pb2 import PostRef

# Graph's ids have some 150 characters, the longest seen under 300.
MAX_ID_CHARS = 1024

# What a URL's path takes for "here" and "up", whatever stands around it.
_DOTS = {".", ".."}

# Unicode's control characters, category Cc.
_CONTROL = r"\x00-\x1f\x7f-\x9f"

# Tells what is right in one go; `_fault` then finds what is wrong.
_ID = re.compile(rf"(?!\.\.?\Z)[^{_CONTROL}]{{1,{MAX_ID_CHARS}}}", re.DOTALL)

# What `quote` makes of ASCII: ids are nothing else as a rule, and this way costs a sixth.
_ENCODED = {code: quote(chr(code), safe="") for code in range(128)}


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
    if not _ID.fullmatch(value):
        raise InvalidRequest(f"{within}.{name}", _fault(value))
    return percent_encoded(value)


def percent_encoded(value: str) -> str:
    """Return an id as one segment of a path."""
    return value.translate(_ENCODED) if value.isascii() else quote(value, safe="")


def _fault(value: str) -> str:
    if not value:
        return "empty; Graph's id is required"
    if len(value) > MAX_ID_CHARS:
        return f"{len(value):,} characters; an id has at most {MAX_ID_CHARS:,}"
    if value in _DOTS:
        return "'.' and '..' are no ids: they lead elsewhere in a path"
    return "holds a control character; Graph's ids hold none"
