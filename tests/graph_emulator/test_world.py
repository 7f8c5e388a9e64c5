"""Posts and attachments, by themselves."""

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


def test_ids() -> None:
    """Every id is new, and holds what clients must encode."""
    ids = {new_id() for _ in range(100)}

    assert len(ids) == 100
    assert all({"=", "-", "_"} <= set(id_) and len(id_) == 72 for id_ in ids)


def test_paths() -> None:
    """A post's path is encoded, by either route."""
    post = Post(group_id="g", conversation_id="c=", thread_id="t/", post_id="p_-=")

    assert post.path() == "/groups/g/threads/t%2F/posts/p_-%3D/attachments"
    assert post.path(with_conversation=True) == (
        "/groups/g/conversations/c%3D/threads/t%2F/posts/p_-%3D/attachments"
    )


def test_stored_keeps_the_draft() -> None:
    """An attachment is its draft, somewhere and at some time."""
    attachment = stored(DRAFT, Post(), NOON)

    assert attachment == StoredAttachment(
        kind="file", name="n", content=b"hello", id=attachment.id, post=Post(), stored_at=NOON
    )
    assert attachment.sha256 == "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"


def test_visible() -> None:
    """A read sees the post's own, once the lag is over, until deleted."""
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


def test_one_by_id() -> None:
    """An attachment is found on its own post alone."""
    world = World(Post())
    attachment = stored(DRAFT, Post(), NOON)
    world.store(attachment)

    assert world.attachment(Post(), attachment.id, NOON, 0) == attachment
    with pytest.raises(Refused):
        world.attachment(Post(post_id="other"), attachment.id, NOON, 0)


def test_added_posts() -> None:
    """A post is there once it was added, and only by its own conversation."""
    world = World(Post())
    post = Post(group_id="G", conversation_id="c", thread_id="t", post_id="p")
    with pytest.raises(Refused):
        world.post("G", None, "t", "p")

    world.add_post(post)

    assert world.post("g", None, "t", "p") == world.post("G", "c", "t", "p") == post
    with pytest.raises(Refused):
        world.post("G", "other", "t", "p")


def test_emptied() -> None:
    """Another world has the same posts and nothing on them, whatever comes true in the old one."""
    world = World(Post())
    world.add_post(Post(post_id="p"))
    world.store(stored(DRAFT, Post(post_id="p"), NOON))

    other = world.emptied()
    world.store(stored(DRAFT, Post(post_id="p"), NOON))

    assert other.record() == []
    assert other.post(GROUP_ID, None, THREAD_ID, "p") == Post(post_id="p")
