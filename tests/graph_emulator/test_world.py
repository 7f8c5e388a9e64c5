"""world: posts and attachments."""

from datetime import UTC, datetime, timedelta

import pytest

from graph_emulator.refusals import Refused
from graph_emulator.world import (
    GROUP_ID,
    THREAD_ID,
    AttachmentDraft,
    Post,
    StoredAttachment,
    World,
    new_id,
    stored,
)

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
    world = World(Post())
    first, second = stored(DRAFT, Post(), NOON), stored(DRAFT, Post(), NOON + SECOND)
    elsewhere = stored(DRAFT, Post(post_id="other"), NOON)
    for attachment in (first, second, elsewhere):
        world.store(attachment)

    assert world.visible(Post(), NOON + SECOND, 0) == [first, second]
    assert world.visible(Post(), NOON + SECOND, 1) == [first]
    assert world.visible(Post(), NOON, 1) == []

    world.delete(first.id, NOON)
    assert world.visible(Post(), NOON + SECOND, 0) == [second]
    assert [one.deleted_at for one in world.record()] == [NOON, None, None]


def test_an_attachment_is_found_on_its_post_only() -> None:
    """An attachment is found on its own post and not on another."""
    world = World(Post())
    attachment = stored(DRAFT, Post(), NOON)
    world.store(attachment)

    assert world.attachment(Post(), attachment.id, NOON, 0) == attachment
    with pytest.raises(Refused):
        world.attachment(Post(post_id="other"), attachment.id, NOON, 0)


def test_a_post_is_found_once_it_was_added() -> None:
    """A post is found once it was added, and not with another conversation."""
    world = World(Post())
    post = Post(group_id="G", conversation_id="c", thread_id="t", post_id="p")
    with pytest.raises(Refused):
        world.post("G", None, "t", "p")

    world.add_post(post)

    assert world.post("g", None, "t", "p") == world.post("G", "c", "t", "p") == post
    with pytest.raises(Refused):
        world.post("G", "other", "t", "p")


def test_an_emptied_world_keeps_only_the_posts() -> None:
    """An emptied world has the same posts, and no attachments of the old one, even later ones."""
    world = World(Post())
    world.add_post(Post(post_id="p"))
    world.store(stored(DRAFT, Post(post_id="p"), NOON))

    other = world.emptied()
    world.store(stored(DRAFT, Post(post_id="p"), NOON))

    assert other.record() == []
    assert other.post(GROUP_ID, None, THREAD_ID, "p") == Post(post_id="p")
