"""The content of attachments: unique files and items, as messages and as Graph stores them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from google.protobuf.message import Message as ProtobufMessage

from graph_emulator.posts import AttachmentDraft, StoredAttachment
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment
from graphattachments.v1.contact_pb2 import Contact
from graphattachments.v1.event_pb2 import Event
from graphattachments.v1.message_pb2 import Message
from graphattachments.v1.outlook_pb2 import (
    BodyType,
    DateTimeTimeZone,
    EmailAddress,
    ItemBody,
    Recipient,
)

Kind = Literal["file", "message", "event", "contact"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A file's bytes, or an item as the message that is sent and as Graph's JSON."""

    name: str
    data: bytes = b""
    item: ProtobufMessage | None = None
    item_json: Mapping[str, Any] | None = None

    def described(self) -> Attachment:
        """Return the attachment without its content."""
        return Attachment(name=self.name)

    def whole(self) -> Attachment:
        """Return the attachment with its content."""
        if self.item is None:
            file = FileAttachment(content_bytes=self.data)
            return Attachment(name=self.name, file_attachment=file)
        held: dict[str, Any] = {self.item.DESCRIPTOR.name.lower(): self.item}
        return Attachment(name=self.name, item_attachment=ItemAttachment(**held))

    def is_in(self, stored: StoredAttachment) -> bool:
        """Return whether this content was stored, under any name."""
        if self.item is None:
            return stored.kind == "file" and stored.content == self.data
        return stored.kind == "item" and stored.item == self.item_json

    def draft(self, name: str) -> AttachmentDraft:
        """Return the same content under a name, as a draft for the emulator."""
        if self.item is None:
            return AttachmentDraft(kind="file", name=name, content=self.data)
        return AttachmentDraft(kind="item", name=name, item=self.item_json)


def made(kind: Kind, random: Random, *, size_bytes: int, rich: bool) -> Content:
    """Make unique content; `rich` includes what Graph rewrites."""
    mark = random.randbytes(6).hex()
    if kind == "file":
        return Content(name=f"{mark}.bin", data=random.randbytes(size_bytes))
    item, json = _ITEMS[kind, rich](mark)
    return Content(name=mark, item=item, item_json=json)


_Made = tuple[ProtobufMessage, Mapping[str, Any]]

_ADA = EmailAddress(address="ada@contoso.com")
_ADA_JSON = {"emailAddress": {"address": "ada@contoso.com"}}


def _message(mark: str) -> _Made:
    message = Message(subject=f"Minutes {mark}", categories=["red"])
    return message, {
        "@odata.type": "#microsoft.graph.message",
        "categories": ["red"],
        "subject": f"Minutes {mark}",
    }


def _rich_message(mark: str) -> _Made:
    message, json = _message(mark)
    body = ItemBody(content_type=BodyType.BODY_TYPE_HTML, content=f"<p>{mark}</p>")
    message.MergeFrom(Message(body=body, to_recipients=[Recipient(email_address=_ADA)]))
    return message, {
        **json,
        "body": {"contentType": "html", "content": f"<p>{mark}</p>"},
        "toRecipients": [_ADA_JSON],
    }


def _event(mark: str) -> _Made:
    event = Event(subject=f"Planning {mark}", is_all_day=False)
    return event, {
        "@odata.type": "#microsoft.graph.event",
        "isAllDay": False,
        "subject": f"Planning {mark}",
    }


def _rich_event(mark: str) -> _Made:
    event, json = _event(mark)
    body = ItemBody(content_type=BodyType.BODY_TYPE_TEXT, content=f"On {mark}")
    nine = DateTimeTimeZone(date_time="2026-03-02T09:00:00", time_zone="Europe/Berlin")
    event.MergeFrom(Event(body=body, start=nine, end=nine))
    nine_json = {"dateTime": "2026-03-02T09:00:00", "timeZone": "Europe/Berlin"}
    return event, {
        **json,
        "body": {"contentType": "text", "content": f"On {mark}"},
        "start": nine_json,
        "end": nine_json,
    }


def _contact(mark: str) -> _Made:
    contact = Contact(given_name="Ada", surname=f"Lovelace {mark}")
    return contact, {
        "@odata.type": "#microsoft.graph.contact",
        "givenName": "Ada",
        "surname": f"Lovelace {mark}",
    }


def _rich_contact(mark: str) -> _Made:
    contact, json = _contact(mark)
    contact.MergeFrom(Contact(email_addresses=[_ADA], personal_notes=f"<b>{mark}</b>"))
    return contact, {
        **json,
        "emailAddresses": [{"address": "ada@contoso.com"}],
        "personalNotes": f"<b>{mark}</b>",
    }


_ITEMS: Mapping[tuple[Kind, bool], Callable[[str], _Made]] = {
    ("message", False): _message,
    ("message", True): _rich_message,
    ("event", False): _event,
    ("event", True): _rich_event,
    ("contact", False): _contact,
    ("contact", True): _rich_contact,
}
