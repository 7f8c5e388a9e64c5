"""Messages that are small for what they become, as bytes."""

import gzip
import zlib
from functools import cache

from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from graphattachments.v1.event_pb2 import Event
from tests.abuse.traffic import MIB, post

# Protobuf's wire type of messages, strings and bytes.
_LENGTH_DELIMITED = 2


def _field(number: int, content: bytes) -> bytes:
    """Return a field of protobuf's wire format with this content."""
    return _varint(number << 3 | _LENGTH_DELIMITED) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    groups = bytearray()
    while number >= 128:
        groups.append(number % 128 | 128)
        number //= 128
    return bytes([*groups, number])


def request_of(event: bytes, *, behaviour: str = "plain") -> bytes:
    """Return a CreateAttachmentRequest of an event, which is given as its bytes."""
    item = _field(ItemAttachment.EVENT_FIELD_NUMBER, event)
    attachment = Attachment(name="a").SerializeToString()
    attachment += _field(Attachment.ITEM_ATTACHMENT_FIELD_NUMBER, item)
    request = CreateAttachmentRequest(post=post(behaviour)).SerializeToString()
    return request + _field(CreateAttachmentRequest.ATTACHMENT_FIELD_NUMBER, attachment)


@cache
def empty_messages() -> bytes:
    """Return 2,000,000 empty attendees, of 2 bytes each."""
    return _field(Event.ATTENDEES_FIELD_NUMBER, b"") * 2_000_000


@cache
def values() -> bytes:
    """Return 600,000 nulls in a list of additional properties, and lists in lists."""
    null = _field(1, b"\x08\x00")
    nested = b""
    for _ in range(40):
        nested = _field(1, _field(6, nested))
    listed = null * 600_000 + nested * (600_000 // len(nested))
    return _field(Event.ADDITIONAL_PROPERTIES_FIELD_NUMBER, _struct("many", _field(6, listed)))


def _struct(key: str, value: bytes) -> bytes:
    """Return a Struct with one field, whose Value is given as its bytes."""
    return _field(1, _field(1, key.encode()) + _field(2, value))


@cache
def unknown_fields() -> bytes:
    """Return 2,700,000 fields of unknown numbers, of 3 bytes each."""
    return (_varint(1999 << 3) + b"\x00") * 2_700_000


@cache
def zeros(size_bytes: int) -> bytes:
    """Return zeros in gzip."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    parts = [packer.compress(bytes(MIB)) for _ in range(size_bytes // MIB)]
    return b"".join([*parts, packer.flush()])


@cache
def large_file() -> bytes:
    """Return a request for a file of zeros that nearly fills a message, in gzip."""
    request = CreateAttachmentRequest(post=post(), attachment=Attachment(name="a"))
    request.attachment.file_attachment.content_bytes = bytes(8 * MIB - 1000)
    return gzip.compress(request.SerializeToString())
