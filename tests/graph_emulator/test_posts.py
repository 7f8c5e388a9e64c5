"""posts: posts and attachments."""

from datetime import UTC, datetime, timedelta

import pytest

from graph_emulator.posts import (
    GROUP_ID,
    THREAD_ID,
    AttachmentDraft,
    Post,
    Posts,
    StoredAttachment,
    new_id,
    stored,
)
from graph_emulator.refusals import Refused

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
DRAFT = AttachmentDraft(kind="file", name="n", content=b"hello")
SECOND = timedelta(seconds=1)


def test_ids_are_new_and_need_encoding() -> None:
    """Every id is new and has characters that clients must encode."""
    ids = {new_id() for _ in range(100)}

    assert len(ids) == 100
    assert all({"=", "-", "_"} <= set(id_) and len(id_) == 72 for id_ in ids)


def test_a_posts_path_is_encoded() -> None:
    """A post's path is percent-encoded, with and without the conversation."""
    post = Post(group_id="g", conversation_id="c=", thread_id="t/", post_id="p_-=")

    assert post.path() == "/groups/g/threads/t%2F/posts/p_-%3D/attachments"
    assert post.path(with_conversation=True) == (
        "/groups/g/conversations/c%3D/threads/t%2F/posts/p_-%3D/attachments"
    )


def test_stored_keeps_the_draft() -> None:
    """A stored attachment has its draft's properties, a post, a time and a hash."""
    attachment = stored(DRAFT, Post(), NOON)

    assert attachment == StoredAttachment(
        kind="file", name="n", content=b"hello", id=attachment.id, post=Post(), stored_at=NOON
    )
    assert attachment.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def test_visible_attachments_of_a_post() -> None:
    """A read sees the post's attachments that are older than the lag and not deleted."""
    posts = Posts(Post())
    first, second = stored(DRAFT, Post(), NOON), stored(DRAFT, Post(), NOON + SECOND)
    elsewhere = stored(DRAFT, Post(post_id="other"), NOON)
    for attachment in (first, second, elsewhere):
        posts.store(attachment)

    assert posts.visible(Post(), NOON + SECOND, 0) == [first, second]
    assert posts.visible(Post(), NOON + SECOND, 1) == [first]
    assert posts.visible(Post(), NOON, 1) == []

    posts.delete(first.id, NOON)
    assert posts.visible(Post(), NOON + SECOND, 0) == [second]
    assert [one.deleted_at for one in posts.record()] == [NOON, None, None]


def test_an_attachment_is_found_on_its_post_only() -> None:
    """An attachment is found on its own post and not on another."""
    posts = Posts(Post())
    attachment = stored(DRAFT, Post(), NOON)
    posts.store(attachment)

    assert posts.attachment(Post(), attachment.id, NOON, 0) == attachment
    with pytest.raises(Refused):
        posts.attachment(Post(post_id="other"), attachment.id, NOON, 0)


def test_a_post_is_found_once_it_was_added() -> None:
    """A post is found once it was added, and not with another conversation."""
    posts = Posts(Post())
    post = Post(group_id="G", conversation_id="c", thread_id="t", post_id="p")
    with pytest.raises(Refused):
        posts.post("G", None, "t", "p")

    posts.add_post(post)

    assert posts.post("g", None, "t", "p") == posts.post("G", "c", "t", "p") == post
    with pytest.raises(Refused):
        posts.post("G", "other", "t", "p")


def test_an_emptied_world_keeps_only_the_posts() -> None:
    """An emptied posts has the same posts, and no attachments of the old one, even later ones."""
    posts = Posts(Post())
    posts.add_post(Post(post_id="p"))
    posts.store(stored(DRAFT, Post(post_id="p"), NOON))

    other = posts.emptied()
    posts.store(stored(DRAFT, Post(post_id="p"), NOON))

    assert other.record() == []
    assert other.post(GROUP_ID, None, THREAD_ID, "p") == Post(post_id="p")
