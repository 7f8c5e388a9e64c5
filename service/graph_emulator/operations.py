"""Graph's operations on attachments: each returns a response, and the effect of a write.

An operation changes nothing: only a call of the outcome's `effect` does. Faults can act between the
two.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import quote

from graph_emulator import rendering
from graph_emulator.answers import Answer, json_answer
from graph_emulator.config import EmulatorConfig
from graph_emulator.listing import age_header, in_order, page_end
from graph_emulator.oddities import listed_id, shown_content
from graph_emulator.posts import Post, Posts, StoredAttachment, stored
from graph_emulator.query import Query
from graph_emulator.refusals import ITEM_NOT_FOUND, METHOD_NOT_ALLOWED, Refused
from graph_emulator.validation import parse_attachment

Effect = Callable[[datetime], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request that has passed the first checks."""

    post: Post
    attachment_id: str | None
    base_url: str
    """`http://HOST:PORT/v1.0`"""
    url: str
    """The requested URL, without the query."""
    query: Query
    content_type: str | None
    body: bytes
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The response without a fault; `effect` makes the change, at the time that it is given."""

    answer: Answer
    effect: Effect | None = None


Operation = Callable[[Posts, EmulatorConfig, Call], Outcome]


def create(posts: Posts, config: EmulatorConfig, call: Call) -> Outcome:
    """Create an attachment from the body."""
    attachment = stored(parse_attachment(call.content_type, call.body), call.post, call.now)
    document = rendering.full(attachment, config, with_content=config.echo_content_bytes)
    location = f"{call.url}/{quote(attachment.id, safe='')}"
    return Outcome(
        answer=json_answer(
            config.created_status,
            {"@odata.context": _context(call, entity=True), **document},
            {"Location": location},
        ),
        effect=lambda now: posts.store(replace(attachment, stored_at=now)),
    )


def list_all(posts: Posts, config: EmulatorConfig, call: Call) -> Outcome:
    """List one page of the visible attachments."""
    rendering.check_select(call.query.select)
    lag_s = max(config.lag_s, config.list_lag_s)
    attachments = in_order(posts.visible(call.post, call.now, lag_s), config)
    end = page_end(call.query, config.page_size)
    document: dict[str, object] = {
        "@odata.context": _context(call, entity=False),
        "value": [
            {**_read(config, call.query, one), "id": listed_id(one, config)}
            for one in attachments[call.query.skip : end]
        ],
    }
    if end is not None and end < len(attachments):
        document["@odata.nextLink"] = f"{call.url}?{call.query.skipping(end)}"
    return Outcome(answer=json_answer(200, document, age_header(config.list_age_s)))


def get(posts: Posts, config: EmulatorConfig, call: Call) -> Outcome:
    """Read one attachment."""
    rendering.check_select(call.query.select)
    attachment = _named(posts, config, call, content=call.query.expand_item)
    document = _read(config, call.query, attachment)
    return Outcome(
        answer=json_answer(200, {"@odata.context": _context(call, entity=True), **document})
    )


def get_value(posts: Posts, config: EmulatorConfig, call: Call) -> Outcome:
    """Read a file's bytes."""
    attachment = _named(posts, config, call, content=True)
    if attachment.kind != "file":  # Graph returns items as MIME; that isn't imitated
        raise Refused(METHOD_NOT_ALLOWED)
    content_type = attachment.content_type or "application/octet-stream"
    content = shown_content(attachment, config)
    return Outcome(answer=Answer(status=200, headers={"Content-Type": content_type}, body=content))


def delete(posts: Posts, config: EmulatorConfig, call: Call) -> Outcome:
    """Delete one attachment."""
    attachment = _named(posts, config, call)
    return Outcome(answer=Answer(status=204), effect=lambda now: posts.delete(attachment.id, now))


# The operations of each path by method; any other method gets a 405.
COLLECTION: Mapping[str, Operation] = {"GET": list_all, "POST": create}
ENTITY: Mapping[str, Operation] = {"GET": get, "DELETE": delete}
VALUE: Mapping[str, Operation] = {"GET": get_value}

WRITES = frozenset({"POST", "DELETE"})


def _named(
    posts: Posts, config: EmulatorConfig, call: Call, *, content: bool = False
) -> StoredAttachment:
    """Return the attachment of the path; `content` tells of a read of its bytes or its item."""
    if content and config.value_missing:
        raise Refused(ITEM_NOT_FOUND)
    return posts.attachment(call.post, call.attachment_id or "", call.now, config.lag_s)


def _read(config: EmulatorConfig, query: Query, attachment: StoredAttachment) -> dict[str, object]:
    document = rendering.selected(attachment, config, query.select)
    if query.expand_item and attachment.item is not None:
        document["item"] = rendering.item_of(attachment, config)
    return document


def _context(call: Call, *, entity: bool) -> str:
    post = call.post
    path = f"groups('{post.group_id}')/threads('{post.thread_id}')/posts('{post.post_id}')"
    return f"{call.base_url}/$metadata#{path}/attachments{'/$entity' if entity else ''}"
