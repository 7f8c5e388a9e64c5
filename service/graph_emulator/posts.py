"""The posts of one Graph, and every attachment that was ever stored on them.

The time is passed in, and nothing here depends on HTTP. Deleted attachments stay on record, so that
a test can count all attachments that were ever created.
"""

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Literal
from urllib.parse import quote

from graph_emulator.refusals import ITEM_NOT_FOUND, Refused

Kind = Literal["file", "item", "reference"]

# Outlook's ids are case-sensitive and hold `=`, `-` and `_`.
GROUP_ID = "4c6f5a2e-9d3b-4e71-8a5c-2f1b0e7d9a63"
CONVERSATION_ID = "AAQkAGRjYmQ3ZWY1LTc4NGQtNGE2Yi05-zFkLWRmNmU_NzBhOQAQAKx3_tb5-0pDkW8="
THREAD_ID = "AAQkAGRjYmQ3ZWY1LTc4NGQtNGE2Yi05-zFkLWRmNmU_NzBhOQMkABAArHf-1vn7SkORbw==EAAtQ2_9"
POST_ID = "AAMkAGRjYmQ3ZWY1LTc4NGQtNGE2Yi05-zFkLWRmNmU_NzBhOQBGAAAAAAB8YL-0eS5mTI_AAA="


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """A post, as the ids of its path."""

    group_id: str = GROUP_ID
    conversation_id: str = CONVERSATION_ID
    thread_id: str = THREAD_ID
    post_id: str = POST_ID

    def path(self, *, with_conversation: bool = False) -> str:
        """Return the path of its attachments below `/v1.0`, by the short or the long route."""
        conversation = f"/conversations/{quote(self.conversation_id, safe='')}"
        return (
            f"/groups/{quote(self.group_id, safe='')}{conversation if with_conversation else ''}"
            f"/threads/{quote(self.thread_id, safe='')}"
            f"/posts/{quote(self.post_id, safe='')}/attachments"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachmentDraft:
    """The attachment that a create describes, after the checks."""

    kind: Kind
    name: str
    content_type: str | None = None
    is_inline: bool = False
    content_id: str | None = None
    content: bytes = b""
    """A file's bytes, or the JSON of an item as it was sent."""
    item: Mapping[str, object] | None = None

    @property
    def sha256(self) -> str:
        """The content's SHA-256, in hexadecimal."""
        return hashlib.sha256(self.content).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAttachment(AttachmentDraft):
    """An attachment of a post, possibly deleted."""

    id: str
    post: Post
    stored_at: datetime
    deleted_at: datetime | None = None


def stored(draft: AttachmentDraft, post: Post, now: datetime) -> StoredAttachment:
    """Return an attachment of that post, with a new id."""
    asked_for = {field.name: getattr(draft, field.name) for field in fields(draft)}
    return StoredAttachment(id=new_id(), post=post, stored_at=now, **asked_for)


def new_id() -> str:
    """Return an id that looks like Outlook's; 42 random bytes are 56 characters without padding."""
    return f"AAMkAG-{urlsafe_b64encode(secrets.token_bytes(42)).decode()}_BEgAQAA="


class Posts:
    """Posts and attachments. Raises `Refused` for what doesn't exist."""

    def __init__(self, *posts: Post) -> None:
        self._posts: dict[tuple[str, str, str], Post] = {}
        self._attachments: dict[str, StoredAttachment] = {}
        for post in posts:
            self.add_post(post)

    def add_post(self, post: Post) -> None:
        """Add a post; a second time changes nothing."""
        self._posts[_key(post.group_id, post.thread_id, post.post_id)] = post

    def post(
        self, group_id: str, conversation_id: str | None, thread_id: str, post_id: str
    ) -> Post:
        """Return the post with these ids; the short route has no conversation id."""
        post = self._posts.get(_key(group_id, thread_id, post_id))
        if post is None or conversation_id not in (None, post.conversation_id):
            raise Refused(ITEM_NOT_FOUND)
        return post

    def store(self, attachment: StoredAttachment) -> None:
        """Store an attachment, and put it on record."""
        self._attachments[attachment.id] = attachment

    def delete(self, attachment_id: str, now: datetime) -> None:
        """Hide an attachment from reads; it stays on record."""
        attachment = self._attachments[attachment_id]
        self._attachments[attachment_id] = replace(attachment, deleted_at=now)

    def visible(self, post: Post, now: datetime, lag_s: float) -> list[StoredAttachment]:
        """Return what a read sees, in the order of storing: attachments at least `lag_s` old."""
        newest = now - timedelta(seconds=lag_s)
        return [
            attachment
            for attachment in self._attachments.values()
            if attachment.post == post
            and attachment.deleted_at is None
            and attachment.stored_at <= newest
        ]

    def attachment(self, post: Post, id_: str, now: datetime, lag_s: float) -> StoredAttachment:
        """Return the visible attachment with a case-sensitive id."""
        for attachment in self.visible(post, now, lag_s):
            if attachment.id == id_:
                return attachment
        raise Refused(ITEM_NOT_FOUND)

    def record(self, post_id: str | None = None) -> list[StoredAttachment]:
        """Return all attachments ever stored, or those of one post, in the order of storing."""
        attachments = self._attachments.values()
        return [one for one in attachments if post_id in (None, one.post.post_id)]

    def emptied(self) -> "Posts":
        """Return the posts without attachments; pending effects still change the old object."""
        return Posts(*self._posts.values())


def _key(group_id: str, thread_id: str, post_id: str) -> tuple[str, str, str]:
    """Return a post's key: group ids, which are GUIDs, ignore case; Outlook's ids don't."""
    return group_id.lower(), thread_id, post_id
