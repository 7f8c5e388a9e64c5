"""Attachments in Graph's JSON."""

from base64 import b64encode
from collections.abc import Mapping, Sequence

from graph_emulator.config import EmulatorConfig
from graph_emulator.odd_items import odd_item
from graph_emulator.odd_types import odd_type, odd_typed_item
from graph_emulator.oddities import shown_content, shown_name, shown_stamp, with_offset
from graph_emulator.posts import StoredAttachment
from graph_emulator.refusals import UNKNOWN_SELECT, Refused
from graph_emulator.rewrites import rewritten

# According to a report, Graph gave a file of 816 bytes the size 1053.
SIZE_OVERHEAD_BYTES = 1053 - 816

# The properties of microsoft.graph.attachment, the type of a list's elements. `$select` may name
# only these.
BASE_PROPERTIES = frozenset(
    {"id", "lastModifiedDateTime", "name", "contentType", "size", "isInline"}
)


def full(
    attachment: StoredAttachment, config: EmulatorConfig, *, with_content: bool
) -> dict[str, object]:
    """Return all properties but an item attachment's item; a file's bytes only `with_content`."""
    content = shown_content(attachment, config)
    document = {
        "@odata.type": f"#microsoft.graph.{attachment.kind}Attachment",
        "@odata.mediaContentType": attachment.content_type or "application/octet-stream",
        "id": attachment.id,
        **shown_stamp(attachment, config),
        "name": shown_name(attachment, config),
        "contentType": attachment.content_type,
        "size": len(content) + SIZE_OVERHEAD_BYTES,
        "isInline": attachment.is_inline,
    }
    if attachment.kind == "file":
        document |= {"contentId": attachment.content_id, "contentLocation": None}
    if attachment.kind == "file" and with_content:
        document["contentBytes"] = b64encode(content).decode()
    return odd_type(document, attachment.id) if config.odd_types else document


def selected(
    attachment: StoredAttachment, config: EmulatorConfig, select: Sequence[str] | None
) -> dict[str, object]:
    """Return the selected base properties, or all properties without `$select`."""
    if select is None:
        return full(attachment, config, with_content=True)
    document = full(attachment, config, with_content=False)
    kept = {"id", *select}
    return {
        name: value
        for name, value in document.items()
        if name in kept or name.startswith("@odata.")
    }


def item_of(attachment: StoredAttachment, config: EmulatorConfig) -> Mapping[str, object] | None:
    """Return an item attachment's item as it is read back; None if there is none."""
    item = attachment.item
    if item is None:
        return None
    if config.rewrite_items:
        item = rewritten(item, with_offset(attachment, config).stored_at)
    if config.odd_items:
        item = odd_item(item, attachment.id)
    if config.odd_types:
        item = odd_typed_item(item, attachment.id)
    return item


def check_select(select: Sequence[str] | None) -> None:
    """Raise `Refused` for a name that isn't of the base type, such as contentId."""
    for name in select or ():
        if name not in BASE_PROPERTIES:
            raise Refused(UNKNOWN_SELECT, name=name)
