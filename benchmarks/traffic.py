"""The traffic of all contestants: the same file, ids and token, as long as Graph's own."""

import json
import os
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from urllib.parse import quote
from uuid import uuid4

NAME = "quarterly report.pdf"
CONTENT_TYPE = "application/pdf"

# The path of Graph's root, at every stand-in for Graph.
ROOT = "/v1.0"

# Like a token of Entra: three parts, some 1,800 characters, with the app's id in the claims.
_CLAIMS = {
    "aud": "https://graph.microsoft.com",
    "appid": "5d1c3c5e-8a54-4f0a-9c57-2a1f0c8a7b11",
    "scp": "Group.ReadWrite.All",
    "xms": "0" * 800,
}
_SIGNATURE_BYTES = 256

_GROUPS = 16


def _part(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


TOKEN = ".".join(
    (
        _part(json.dumps({"typ": "JWT", "alg": "RS256", "kid": "k" * 27}).encode()),
        _part(json.dumps(_CLAIMS).encode()),
        _part(bytes(_SIGNATURE_BYTES)),
    )
)


@dataclass(frozen=True, slots=True)
class Post:
    """A post's ids, by the short route."""

    group_id: str
    thread_id: str
    post_id: str

    @property
    def path(self) -> str:
        """The path of its attachments, below Graph's root."""
        thread, post = quote(self.thread_id, safe=""), quote(self.post_id, safe="")
        return f"/groups/{self.group_id}/threads/{thread}/posts/{post}/attachments"


def posts() -> Iterator[Post]:
    """Yield endless different posts, since only one call at a time writes to a post."""
    seed = uuid4().hex
    for number in count():
        group = f"4c6f5a2e-9d3b-4e71-8a5c-2f1b0e7d9a{number % _GROUPS:02x}"
        yield Post(group, f"AAQk{seed:A<96}=", f"AAMk{seed}{number:A>112}=")


@cache
def content(size_bytes: int) -> bytes:
    """Return a file of random bytes; cached, so that making it isn't measured."""
    return os.urandom(size_bytes)
