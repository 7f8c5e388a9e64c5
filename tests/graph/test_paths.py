"""Tests of graph/paths.py: a PostRef becomes a REST path."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.errors import InvalidRequest, Violations
from attachment_gateway.graph.paths import GraphRoot, attachments_path
from graphattachments.v1.attachment_pb2 import PostRef


def path_of(post: PostRef) -> str:
    """Return the path of a post; raises InvalidRequest."""
    violations = Violations()
    path = attachments_path(post, violations, within="post")
    violations.check()
    return path


def test_the_short_route_has_no_conversation() -> None:
    """Without a conversation the path is the short route."""
    post = PostRef(group_id="g", thread_id="t", post_id="p")
    assert path_of(post) == "/groups/g/threads/t/posts/p/attachments"


def test_the_long_route_has_the_conversation() -> None:
    """With a conversation the path is the long route."""
    post = PostRef(group_id="g", conversation_id="c", thread_id="t", post_id="p")
    assert path_of(post) == "/groups/g/conversations/c/threads/t/posts/p/attachments"


def test_ids_are_encoded_whole() -> None:
    """Every character of an id that could change the path is encoded."""
    post = PostRef(group_id="a/b?c#d%e f", thread_id="é=", post_id="AAMk-_.~")
    assert (
        path_of(post)
        == "/groups/a%2Fb%3Fc%23d%25e%20f/threads/%C3%A9%3D/posts/AAMk-_.~/attachments"
    )


@pytest.mark.parametrize(
    ("ids", "field", "words"),
    [
        ({}, "post.group_id", "empty"),
        ({"group_id": "g"}, "post.thread_id", "empty"),
        ({"group_id": "g", "thread_id": "t"}, "post.post_id", "empty"),
        ({"group_id": "."}, "post.group_id", "'.' and '..'"),
        ({"group_id": "g", "thread_id": ".."}, "post.thread_id", "'.' and '..'"),
        ({"group_id": "g\r\nHost: x"}, "post.group_id", "control character"),
        ({"group_id": "g\x7f"}, "post.group_id", "control character"),
        ({"group_id": "g\x85"}, "post.group_id", "control character"),
        ({"group_id": "g" * 1025}, "post.group_id", "1,025 characters"),
        (
            {"group_id": "g", "thread_id": "t", "post_id": "p", "conversation_id": ".."},
            "post.conversation_id",
            "'.' and '..'",
        ),
    ],
)
def test_a_malformed_id_is_refused_by_its_field(
    ids: dict[str, str], field: str, words: str
) -> None:
    """An id that is empty, too long, dots only or with control characters is refused."""
    with pytest.raises(InvalidRequest) as caught:
        path_of(PostRef(**ids))
    descriptions = {each.field: each.description for each in caught.value.violations}
    assert words in descriptions[field]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=50))
def test_any_id_is_one_segment(value: str) -> None:
    """Any id is one segment of the path, which is ASCII without a query or a fragment."""
    if value in {".", ".."}:
        return
    path = path_of(PostRef(group_id=value, thread_id=value, post_id=value))
    segments = path.split("/")
    assert segments[1::2] == ["groups", "threads", "posts", "attachments"]
    assert len({segments[2], segments[4], segments[6]}) == 1
    assert path.isascii()
    assert not set(path) & set("?# \\")


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("https://graph.microsoft.com/v1.0", ("https", "graph.microsoft.com", "/v1.0")),
        ("https://graph.microsoft.com/v1.0/", ("https", "graph.microsoft.com", "/v1.0")),
        ("http://127.0.0.1:8080", ("http", "127.0.0.1:8080", "")),
    ],
)
def test_a_root_is_scheme_host_and_path(url: str, root: tuple[str, str, str]) -> None:
    """A root is a scheme, a host with its port, and a path without a slash at its end."""
    parsed = GraphRoot.parse(url)
    assert (parsed.origin.scheme, parsed.origin.authority, parsed.path) == root
