"""The payloads of attacks are valid messages, so that the gateway has to work on them."""

import gzip

from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from tests.abuse.payloads import (
    empty_messages,
    large_file,
    request_of,
    unknown_fields,
    values,
    zeros,
)
from tests.abuse.traffic import MIB

LIMIT_BYTES = 8 * MIB


def parsed(event: bytes) -> CreateAttachmentRequest:
    """Return the request of an event, which fits the limit of messages."""
    request = request_of(event)
    assert len(request) < LIMIT_BYTES
    return CreateAttachmentRequest.FromString(request)


def test_empty_messages_are_attendees() -> None:
    """2 bytes are an attendee."""
    event = parsed(empty_messages()).attachment.item_attachment.event
    assert len(event.attendees) == 2_000_000


def test_values_are_additional_properties() -> None:
    """4 bytes are a null, and lists are nested as deep as protobuf reads them."""
    event = parsed(values()).attachment.item_attachment.event
    listed = event.additional_properties.fields["many"].list_value.values
    assert listed[599_999].WhichOneof("kind") == "null_value"
    innermost = listed[-1]
    for _ in range(39):
        innermost = innermost.list_value.values[0]
    assert len(listed) > 600_000
    assert not innermost.list_value.values


def test_unknown_fields_are_none_of_the_contract() -> None:
    """An event of unknown fields has nothing that the contract knows."""
    request = parsed(unknown_fields())
    assert not request.attachment.item_attachment.event.ListFields()
    assert request.ByteSize() > 8_000_000


def test_packed_messages_are_small() -> None:
    """What expands to 8 or 20 MiB has some KB."""
    assert len(large_file()) < 10_000
    request = CreateAttachmentRequest.FromString(gzip.decompress(large_file()))
    assert len(request.attachment.file_attachment.content_bytes) == LIMIT_BYTES - 1000
    assert len(zeros(20 * MIB)) < 30_000
    assert len(gzip.decompress(zeros(20 * MIB))) == 20 * MIB
