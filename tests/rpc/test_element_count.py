"""Tests of rpc/element_count.py: the elements of a message, counted on the wire."""

import pytest
from google.protobuf.json_format import ParseDict
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from attachment_gateway.errors import InvalidRequest
from attachment_gateway.rpc.element_count import (
    MAX_ELEMENTS,
    check_elements,
    has_more_elements,
)
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, ItemAttachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from graphattachments.v1.event_pb2 import (
    DayOfWeek,
    Event,
    PatternedRecurrence,
    RecurrencePattern,
)
from graphattachments.v1.message_pb2 import Message as OutlookMessage
from graphattachments.v1.outlook_pb2 import Recipient

KIND = CreateAttachmentRequest.DESCRIPTOR


def request(item: Message) -> CreateAttachmentRequest:
    held = {item.DESCRIPTOR.name.lower(): item}
    attachment = Attachment(item_attachment=ItemAttachment(**held))  # type: ignore[arg-type]
    return CreateAttachmentRequest(attachment=attachment)


def counted(message: bytes) -> int:
    """Return the number of elements, found by bisection."""
    low, high = 0, 10_000_000
    while low < high:
        middle = (low + high) // 2
        low, high = (
            (middle + 1, high) if has_more_elements(message, KIND, middle) else (low, middle)
        )
    return low


@pytest.mark.parametrize(
    ("made", "count"),
    [
        (CreateAttachmentRequest(), 0),
        (CreateAttachmentRequest(request_id="x" * 1000), 1),
        (request(OutlookMessage(subject="s")), 4),
        (request(OutlookMessage(to_recipients=[Recipient()] * 7)), 3 + 7),
        (
            CreateAttachmentRequest(
                attachment=Attachment(file_attachment=FileAttachment(content_bytes=bytes(100_000)))
            ),
            3,
        ),
    ],
)
def test_each_field_counts_once(made: CreateAttachmentRequest, count: int) -> None:
    """Each field of the message and of its messages counts once, whatever its size."""
    assert counted(made.SerializeToString()) == count


def test_packed_numbers_count_each() -> None:
    """Each number of a packed field counts."""
    days = [DayOfWeek.DAY_OF_WEEK_MONDAY] * 500
    pattern = RecurrencePattern(days_of_week=days)
    event = Event(recurrence=PatternedRecurrence(pattern=pattern))
    assert counted(request(event).SerializeToString()) == 6 + 500


def test_values_of_additional_properties_count() -> None:
    """The values within a Struct count, with the messages that hold them."""
    few, many = OutlookMessage(), OutlookMessage()
    ParseDict({"a": [None] * 10}, few.additional_properties)
    ParseDict({"a": [None] * 1010}, many.additional_properties)
    difference = counted(request(many).SerializeToString()) - counted(
        request(few).SerializeToString()
    )
    assert difference == 2 * 1000  # the value, and the null in it


def test_unknown_fields_count() -> None:
    """A field that the contract doesn't have counts, and a group's parts do."""
    assert counted(b"\xfa\x7f\x00" * 50) == 50
    assert counted(b"\xfb\x7f\xfc\x7f" * 50) == 100


def test_a_message_with_too_many_elements_is_refused() -> None:
    """One element more than MAX_ELEMENTS is refused by a sentence with the limit."""
    most = MAX_ELEMENTS - 3
    check_elements(
        request(OutlookMessage(to_recipients=[Recipient()] * most)).SerializeToString(), KIND
    )
    message = request(OutlookMessage(to_recipients=[Recipient()] * (most + 1)))
    with pytest.raises(InvalidRequest, match="more than 50,000 elements"):
        check_elements(message.SerializeToString(), KIND)


@given(st.binary(max_size=300))
def test_any_bytes_are_counted(message: bytes) -> None:
    """Bytes of any kind, also those that are no message, have some number of elements."""
    assert has_more_elements(message, KIND, 0) == bool(message)
