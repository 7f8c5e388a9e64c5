"""Attachments in Graph's JSON."""

from base64 import b64encode
from collections.abc import Sequence

from graph_emulator.posts import StoredAttachment
from graph_emulator.refusals import UNKNOWN_SELECT, Refused
from graph_emulator.times import graph_time

# According to a report, Graph gave a file of 816 bytes the size 1053.
SIZE_OVERHEAD_BYTES = 1053 - 816

# The properties of microsoft.graph.attachment, the type of a list's elements. `$select` may name
# only these.
BASE_PROPERTIES = frozenset(
    {"id", "lastModifiedDateTime", "name", "contentType", "size", "isInline"}
)


def full(attachment: StoredAttachment, *, with_content: bool) -> dict[str, object]:
    """Return all properties but an item attachment's item; a file's bytes only `with_content`."""
    document = {
        "@odata.type": f"#microsoft.graph.{attachment.kind}Attachment",
        "@odata.mediaContentType": attachment.content_type or "application/octet-stream",
        "id": attachment.id,
        "lastModifiedDateTime": graph_time(attachment.stored_at),
        "name": attachment.name,
        "contentType": attachment.content_type,
        "size": len(attachment.content) + SIZE_OVERHEAD_BYTES,
        "isInline": attachment.is_inline,
    }
    return {**document, **_file_properties(attachment, with_content=with_content)}


def _file_properties(attachment: StoredAttachment, *, with_content: bool) -> dict[str, object]:
    if attachment.kind != "file":
        return {}
    document: dict[str, object] = {"contentId": attachment.content_id, "contentLocation": None}
    if with_content:
        document["contentBytes"] = b64encode(attachment.content).decode()
    return document


def selected(attachment: StoredAttachment, select: Sequence[str] | None) -> dict[str, object]:
    """Return the selected base properties, or all properties without `$select`."""
    if select is None:
        return full(attachment, with_content=True)
    document = full(attachment, with_content=False)
    kept = {"id", *select}
    return {
        name: value
        for name, value in document.items()
        if name in kept or name.startswith("@odata.")
    }


def check_select(select: Sequence[str] | None) -> None:
    """Raise `Refused` for a name that isn't of the base type, such as contentId."""
    for name in select or ():
        if name not in BASE_PROPERTIES:
            raise Refused(UNKNOWN_SELECT, name=name)
