"""Tests of graph/codec.py: protobuf messages become Graph's JSON, and back."""

import json
import math
from functools import cache
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message as AnyMessage
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given, settings
from hypothesis import strategies as st

from attachment_gateway.errors import InvalidRequest, Violations
from attachment_gateway.graph.codec import attachment_from_json, attachment_to_json, parsed
from attachment_gateway.graph.request import FILE, ITEM
from graphattachments.v1.attachment_pb2 import (
    Attachment,
    FileAttachment,
    ItemAttachment,
    ReferenceAttachment,
)
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentResponse
from graphattachments.v1.contact_pb2 import Contact
from graphattachments.v1.event_pb2 import (
    Attendee,
    DayOfWeek,
    Event,
    EventType,
    Location,
    OnlineMeetingInfo,
    OutlookGeoCoordinates,
    PatternedRecurrence,
    Phone,
    PhoneType,
    RecurrencePattern,
    RecurrenceRange,
    RecurrenceRangeType,
)
from graphattachments.v1.message_pb2 import FollowupFlag, InternetMessageHeader, Message
from graphattachments.v1.outlook_pb2 import (
    IMPORTANCE_HIGH,
    Date,
    EmailAddress,
    Importance,
    ItemBody,
    Recipient,
    ResponseStatus,
)
from tests.support.metadata_facts import ENUMS, TYPES, output_only, properties


def written_as(attachment: Attachment, *, kind: str) -> dict[str, Any]:
    """Return the JSON of an attachment; raises InvalidRequest."""
    violations = Violations()
    described = attachment_to_json(attachment, violations, kind=kind)
    violations.check()
    return described


Item = Message | Event | Contact


def holding(item: Item) -> Attachment:
    """Return an attachment that has the item and nothing else."""
    held: dict[str, Any] = {item.DESCRIPTOR.name.lower(): item}
    return Attachment(item_attachment=ItemAttachment(**held))


def written(item: Item) -> Any:
    """Return an item's JSON without its type."""
    described: Any = written_as(holding(item), kind=ITEM)["item"]
    assert described.pop("@odata.type") == f"#microsoft.graph.{item.DESCRIPTOR.name.lower()}"
    return described


def refused(item: Item) -> InvalidRequest:
    """Return the InvalidRequest that writing an item raises."""
    with pytest.raises(InvalidRequest) as raised:
        written_as(holding(item), kind=ITEM)
    return raised.value


def read(described: Any, *, kind: str = FILE) -> Attachment | None:
    return attachment_from_json(json.dumps(described).encode(), kind=kind)


def item_answer(of: str, described: Any) -> dict[str, Any]:
    """Return Graph's response with an item of the type."""
    item = {"@odata.type": f"#microsoft.graph.{of}", **described}
    return {"@odata.type": "#microsoft.graph.itemAttachment", "item": item}


def read_item(of: str, described: Any) -> Any:
    """Return the item that is read from a response."""
    attachment = read(item_answer(of, described))
    assert attachment is not None
    assert attachment.item_attachment.WhichOneof("item") == of
    return getattr(attachment.item_attachment, of)


def days(*numbers: int) -> list[DayOfWeek.ValueType]:
    """Return days of the week by number, also numbers that are no day."""
    return [DayOfWeek.ValueType(number) for number in numbers]


def struct(**members: Any) -> Struct:
    made = Struct()
    made.update(members)
    return made


# Writing: what is set.


def test_a_file_with_only_a_name_is_the_body_of_graph_s_page() -> None:
    """A file's JSON is its type and its name, in that order; the request adds the bytes."""
    attachment = Attachment(name="report.pdf", file_attachment=FileAttachment(content_bytes=b"abc"))
    assert list(written_as(attachment, kind=FILE).items()) == [
        ("@odata.type", "#microsoft.graph.fileAttachment"),
        ("name", "report.pdf"),
    ]


def test_an_upload_without_a_kind_is_a_file() -> None:
    """An attachment without a kind is written as a file if it is uploaded."""
    assert written_as(Attachment(name="n"), kind=FILE) == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "n",
    }


def test_all_that_a_caller_sets_of_a_file_is_written() -> None:
    """The properties of every attachment and those of a file are written in one object."""
    attachment = Attachment(
        name="n",
        content_type="t",
        is_inline=True,
        file_attachment=FileAttachment(content_id="c"),
    )
    assert written_as(attachment, kind=FILE) == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "n",
        "contentType": "t",
        "isInline": True,
        "contentId": "c",
    }


@pytest.mark.parametrize(
    ("item", "of"), [(Message(), "message"), (Event(), "event"), (Contact(), "contact")]
)
def test_an_item_with_nothing_set_has_its_type(item: Item, of: str) -> None:
    """An item without properties has its type, because `item` is declared with an abstract type."""
    assert written_as(holding(item), kind=ITEM) == {
        "@odata.type": "#microsoft.graph.itemAttachment",
        "item": {"@odata.type": f"#microsoft.graph.{of}"},
    }


def test_an_item_attachment_without_an_item_is_refused() -> None:
    """An item attachment without an item is refused by the path of its field."""
    with pytest.raises(InvalidRequest) as raised:
        written_as(Attachment(name="n", item_attachment=ItemAttachment()), kind=ITEM)
    assert raised.value.violations[0].field == "attachment.item_attachment.item"


def test_false_zero_and_empty_texts_are_sent() -> None:
    """False, zero and empty texts that are set are sent."""
    event = Event(
        subject="",
        is_all_day=False,
        reminder_minutes_before_start=0,
        location=Location(coordinates=OutlookGeoCoordinates(altitude=0.0)),
    )
    assert written(event) == {
        "subject": "",
        "isAllDay": False,
        "reminderMinutesBeforeStart": 0,
        "location": {"coordinates": {"altitude": 0.0}},
    }


def test_a_property_that_is_not_set_is_not_sent() -> None:
    """Properties that aren't set, empty lists and the enum value for "not set" aren't sent."""
    assert (
        written(Message(categories=[], to_recipients=[], importance=Importance.ValueType(0))) == {}
    )


def test_an_object_with_nothing_set_is_sent_as_an_empty_one() -> None:
    """An object that is set and empty is sent as an empty one, and keeps its place in a list."""
    message = Message(
        body=ItemBody(), to_recipients=[Recipient(), Recipient(email_address=EmailAddress())]
    )
    assert written(message) == {"body": {}, "toRecipients": [{}, {"emailAddress": {}}]}


def test_each_type_of_value_has_its_form() -> None:
    """Enums, bytes, instants, days, doubles and lists are sent in the forms of OData."""
    message = Message(
        categories=["a", "b"],
        conversation_index=b"\xfb\xff",
        importance=IMPORTANCE_HIGH,
        sent_date_time=Timestamp(seconds=1772355600, nanos=120_000_000),
    )
    message_json = {
        "categories": ["a", "b"],
        "conversationIndex": "+/8=",
        "importance": "high",
        "sentDateTime": "2026-03-01T09:00:00.120Z",
    }
    assert written(message) == message_json
    start = Date(year=2026, month=3, day=1)
    event = Event(
        recurrence=PatternedRecurrence(
            pattern=RecurrencePattern(days_of_week=days(2, 7), interval=2),
            range=RecurrenceRange(start_date=start),
        ),
        location=Location(coordinates=OutlookGeoCoordinates(latitude=48.0)),
    )
    assert written(event) == {
        "recurrence": {
            "pattern": {"daysOfWeek": ["monday", "saturday"], "interval": 2},
            "range": {"startDate": "2026-03-01"},
        },
        "location": {"coordinates": {"latitude": 48.0}},
    }


def test_text_is_sent_as_given() -> None:
    """Text is sent without a change of its spaces, control characters or Unicode form."""
    text = ' e\u0301 \u00e9 "\\/\r\n\t\x00\x7f\u2028\ufeff🙂 '
    assert orjson.loads(orjson.dumps(written(Message(subject=text))))["subject"] == text


@pytest.mark.parametrize(
    ("number", "sent"), [(math.nan, "NaN"), (math.inf, "INF"), (-math.inf, "-INF")]
)
def test_non_finite_doubles_are_odatas_texts(number: float, sent: str) -> None:
    """NaN and the infinities are written as OData's texts and read back from them."""
    location = Location(coordinates=OutlookGeoCoordinates(altitude=number))
    described = written(Event(location=location))
    assert described == {"location": {"coordinates": {"altitude": sent}}}
    altitude = read_item("event", described).location.coordinates.altitude
    assert repr(altitude) == repr(number)


def test_properties_that_graph_sets_are_not_sent() -> None:
    """The properties that Graph sets aren't sent, so a caller may give an attachment it got."""
    then = Timestamp(seconds=1772355600)
    attachment = Attachment(
        id="i",
        name="n",
        size=5,
        last_modified_date_time=then,
        file_attachment=FileAttachment(content_location="l", content_bytes=b"b"),
    )
    assert written_as(attachment, kind=FILE) == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "n",
    }
    own: dict[str, Any] = {
        "id": "i",
        "change_key": "k",
        "created_date_time": then,
        "last_modified_date_time": then,
    }
    message = Message(
        **own, has_attachments=True, parent_folder_id="p", is_draft=True, web_link="w"
    )
    event = Event(
        **own,
        has_attachments=True,
        i_cal_u_id="u",
        is_draft=False,
        is_organizer=False,
        online_meeting_url="o",
        type=EventType.ValueType(1),
        web_link="w",
    )
    contact = Contact(**own, parent_folder_id="p")
    assert [written(item) for item in (message, event, contact)] == [{}, {}, {}]


def test_properties_that_graph_sets_are_not_checked() -> None:
    """An invalid value of a property that Graph sets is no error, because it isn't sent."""
    never = Timestamp(seconds=2**60)
    assert written(Message(created_date_time=never, last_modified_date_time=never)) == {}
    assert written(Event(type=EventType.ValueType(99))) == {}


# Writing: what is refused.


@pytest.mark.parametrize(
    ("item", "field", "description"),
    [
        (
            Message(sent_date_time=Timestamp(seconds=253_402_300_800)),
            "attachment.item_attachment.message.sent_date_time",
            "out of range; a Timestamp lies in the years 1 to 9999, with nanos of 0 to 999,999,999",
        ),
        (
            Event(
                attendees=[
                    Attendee(),
                    Attendee(status=ResponseStatus(time=Timestamp(nanos=-1))),
                ]
            ),
            "attachment.item_attachment.event.attendees[1].status.time",
            "out of range; a Timestamp lies in the years 1 to 9999, with nanos of 0 to 999,999,999",
        ),
        (
            Contact(birthday=Timestamp(seconds=-62_135_596_801)),
            "attachment.item_attachment.contact.birthday",
            "out of range; a Timestamp lies in the years 1 to 9999, with nanos of 0 to 999,999,999",
        ),
        (
            Event(
                recurrence=PatternedRecurrence(
                    range=RecurrenceRange(end_date=Date(year=2026, month=2, day=29))
                )
            ),
            "attachment.item_attachment.event.recurrence.range.end_date",
            "year 2026, month 2, day 29 is no day of the calendar; set all three",
        ),
        (
            Event(recurrence=PatternedRecurrence(range=RecurrenceRange(start_date=Date()))),
            "attachment.item_attachment.event.recurrence.range.start_date",
            "year 0, month 0, day 0 is no day of the calendar; set all three",
        ),
        (
            Message(importance=Importance.ValueType(4)),
            "attachment.item_attachment.message.importance",
            "4 is no value of Importance; take one of its names",
        ),
        (
            Event(
                recurrence=PatternedRecurrence(
                    pattern=RecurrencePattern(days_of_week=days(1, 2, -1))
                )
            ),
            "attachment.item_attachment.event.recurrence.pattern.days_of_week[2]",
            "-1 is no value of DayOfWeek; take one of its names",
        ),
        (
            Event(recurrence=PatternedRecurrence(pattern=RecurrencePattern(days_of_week=days(0)))),
            "attachment.item_attachment.event.recurrence.pattern.days_of_week[0]",
            "0 is no value of DayOfWeek; take one of its names",
        ),
        (
            Event(
                online_meeting=OnlineMeetingInfo(
                    phones=[Phone(), Phone(type=PhoneType.ValueType(99))]
                )
            ),
            "attachment.item_attachment.event.online_meeting.phones[1].type",
            "99 is no value of PhoneType; take one of its names",
        ),
    ],
)
def test_an_invalid_value_is_refused_by_its_path(item: Item, field: str, description: str) -> None:
    """A value out of range, or no value of its enum, is refused with its path and its index."""
    error = refused(item)
    assert (error.violations[0].field, error.violations[0].description) == (field, description)


# Additional properties.


def test_additional_properties_are_members_beside_the_others() -> None:
    """Additional properties of any shape, also null, are members of an open type's object."""
    extra: dict[str, Any] = {
        "com.example.a": {"b": [1, 0.5, "c", True, None, {"d": {}}]},
        "com.example.null": None,
        "singleValueExtendedProperties": [{"id": "String 0x1", "value": "v"}],
    }
    for item in (Message, Event, Contact):
        made = item(categories=["c"], additional_properties=struct(**extra))
        assert written(made) == {"categories": ["c"], **extra}


@pytest.mark.parametrize(
    "name",
    [
        *("subject", "Subject", "SUBJECT", "toRecipients", "torecipients"),
        *("id", "changeKey", "CHANGEKEY", "isDraft", "webLink"),
        *("@odata.type", "@odata.etag", "@microsoft.graph.x", "@"),
        *("subject@odata.type", "TORECIPIENTS@odata.type", "id@x"),
        "",
    ],
)
def test_an_additional_property_may_not_name_a_modelled_one(name: str) -> None:
    """The name of a modelled property in any case, or of an annotation, is refused."""
    error = refused(Message(subject="s", additional_properties=struct(**{name: "x"})))
    assert error.violations[0].field == (
        f'attachment.item_attachment.message.additional_properties["{name}"]'
    )
    assert error.violations[0].description == (
        "not an additional property: it is a field of Message, or an annotation"
    )


@pytest.mark.parametrize(
    "name", ["com.example.x@odata.type", "to_recipients", "from_", "start", "birthday", "subject "]
)
def test_other_names_are_additional(name: str) -> None:
    """Another type's property and an unmodelled property's annotation are additional."""
    message = Message(additional_properties=struct(**{name: "x"}))
    assert written(message) == {name: "x"}


def test_whole_numbers_are_written_without_a_fraction() -> None:
    """Whole doubles of a Struct are written without a fraction, because Graph refuses some 3.0."""
    described = written(Event(additional_properties=struct(x=[3, 2.5, -1, 0, 2**53, 1e300])))
    assert orjson.dumps(described) == b'{"x":[3,2.5,-1,0,9007199254740992.0,1e+300]}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_non_finite_additional_number_is_refused(number: float) -> None:
    """A NaN or an infinity in an additional property is refused."""
    error = refused(Contact(additional_properties=struct(x=[{"y": number}])))
    assert error.violations[0].field == "attachment.item_attachment.contact.additional_properties"
    assert error.violations[0].description == f"{number} is no number of JSON's; give a finite one"


# Reading: attachments.


def test_a_response_of_graphs_is_read() -> None:
    """All properties of an attachment are read but the file's bytes, which the caller has."""
    described = {
        "@odata.context": "https://graph.microsoft.com/v1.0/$metadata#x",
        "@odata.type": "#microsoft.graph.fileAttachment",
        "@odata.mediaContentType": "application/pdf",
        "id": "AAMkAD=",
        "lastModifiedDateTime": "2026-03-01T09:00:00Z",
        "name": "Grüße.pdf",
        "contentType": "application/pdf",
        "size": 1053,
        "isInline": False,
        "contentId": "c",
        "contentLocation": "l",
        "contentBytes": "AAAA",
    }
    assert read(described) == Attachment(
        id="AAMkAD=",
        last_modified_date_time=Timestamp(seconds=1772355600),
        name="Grüße.pdf",
        content_type="application/pdf",
        size=1053,
        is_inline=False,
        file_attachment=FileAttachment(content_id="c", content_location="l"),
    )


@pytest.mark.parametrize(
    ("named", "kind"),
    [
        ("#microsoft.graph.fileAttachment", "file_attachment"),
        ("microsoft.graph.fileAttachment", "file_attachment"),
        ("#microsoft.graph.itemAttachment", "item_attachment"),
        ("microsoft.graph.itemAttachment", "item_attachment"),
        ("#microsoft.graph.referenceAttachment", "reference_attachment"),
        ("microsoft.graph.referenceAttachment", "reference_attachment"),
        ("#microsoft.graph.videoAttachment", None),
        ("#microsoft.graph.message", None),
        ("##microsoft.graph.fileAttachment", None),
        ("fileAttachment", None),
        ("", None),
    ],
)
def test_the_kind_is_what_the_type_says(named: str, kind: str | None) -> None:
    """The type, with `#` or without, sets the kind, and an unknown type sets none."""
    attachment = read({"@odata.type": named, "id": "i"}, kind=ITEM)
    assert attachment is not None
    assert (attachment.id, attachment.WhichOneof("kind")) == ("i", kind)


@pytest.mark.parametrize("kind", [FILE, ITEM])
def test_without_a_type_the_kind_is_what_was_sent(kind: str) -> None:
    """Without a type in the response the kind is the one that was sent."""
    attachment = read({"id": "i", "name": "n"}, kind=kind)
    assert attachment is not None
    assert attachment.WhichOneof("kind") == kind


def test_a_reference_attachment_is_read() -> None:
    """A reference attachment is read without its own properties, which aren't in the metadata."""
    described = {
        "@odata.type": "#microsoft.graph.referenceAttachment",
        "id": "i",
        "sourceUrl": "https://example.com",
        "providerType": "oneDriveBusiness",
    }
    assert read(described) == Attachment(id="i", reference_attachment=ReferenceAttachment())


@pytest.mark.parametrize(
    ("named", "item"),
    [
        ("#microsoft.graph.message", "message"),
        ("microsoft.graph.message", "message"),
        ("#microsoft.graph.event", "event"),
        ("#microsoft.graph.contact", "contact"),
        ("#microsoft.graph.post", None),
        ("#microsoft.graph.eventMessage", None),
        ("#microsoft.graph.fileAttachment", None),
    ],
)
def test_the_item_is_what_its_type_says(named: str, item: str | None) -> None:
    """The type of an item, with `#` or without, sets its field, and an unknown type sets none."""
    described = {"@odata.type": named, "id": "i"}
    attachment = read({"@odata.type": "#microsoft.graph.itemAttachment", "item": described})
    assert attachment is not None
    assert attachment.WhichOneof("kind") == "item_attachment"
    assert attachment.item_attachment.WhichOneof("item") == item


@pytest.mark.parametrize("item", [None, [], "text", 5, {}, {"subject": "s"}])
def test_an_item_without_a_type_is_left_out(item: Any) -> None:
    """An item that is no object, or has no type, is left out."""
    described = {"@odata.type": "#microsoft.graph.itemAttachment", "id": "i", "item": item}
    assert read(described) == Attachment(id="i", item_attachment=ItemAttachment())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b"5",
        b'"text"',
        b"{}",
        b'{"error":{"code":"c","message":"m"}}',
        b'{"value":[{"id":"i"}]}',
        b'{"id":null,"size":"5"}',
        b'{"id":"i"',
        b'{"id":"i"}{}',
        b"<html></html>",
        b'{"id":"\xff"}',
        b"\xff\xfe",
        b"\x1f\x8b\x08",
    ],
)
def test_a_body_that_describes_no_attachment_is_none(body: bytes) -> None:
    """A body that isn't UTF-8, JSON, an object or an attachment is None."""
    assert attachment_from_json(body, kind=FILE) is None


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"id":"i"}',
        b'\r\n\t {"id":"i"} \r\n',
        b'{"id":"j","id":"i"}',
        b'{"id":"i","size":NaN}',
        b'{"id":"i","name":"\\ud800"}',
        b'{"id":"i","\\udfff":5}',
        b'{"id":"i","size":1e999}',
        b'{"id":"i","size":' + b"9" * 4000 + b"}",
    ],
)
def test_a_body_with_unusual_json_is_read(body: bytes) -> None:
    """A byte order mark, NaN, half a surrogate pair, huge numbers and repeated names are read."""
    assert attachment_from_json(body, kind=FILE) == Attachment(
        id="i", file_attachment=FileAttachment()
    )


def test_a_parsed_body_is_an_object_or_an_empty_one() -> None:
    """A body that is no object is parsed as an empty one."""
    assert parsed(b'{"error":{"code":"c"}}') == {"error": {"code": "c"}}
    assert parsed(b"[1]") == {}
    assert parsed(b"\xff") == {}


# Reading: properties.


def test_a_missing_or_null_property_is_not_set() -> None:
    """A property that is missing or null is not set."""
    names = [
        "subject",
        "isRead",
        "importance",
        "body",
        "sentDateTime",
        "toRecipients",
        "categories",
    ]
    empty = dict.fromkeys(names)
    assert read_item("message", empty) == read_item("message", {}) == Message()
    assert read_item("message", {"body": {"content": None}}) == Message(body=ItemBody())
    recipients = [{"emailAddress": None}, {"emailAddress": {"address": None}}]
    assert read_item("message", {"toRecipients": recipients}) == Message(
        to_recipients=[Recipient(), Recipient(email_address=EmailAddress())]
    )


def test_false_zero_and_empty_texts_are_read() -> None:
    """False, zero and empty texts are read as set."""
    event = read_item("event", {"subject": "", "isAllDay": False, "reminderMinutesBeforeStart": 0})
    assert event == Event(subject="", is_all_day=False, reminder_minutes_before_start=0)


@pytest.mark.parametrize(
    ("of", "described"),
    [
        ("message", {"subject": 5}),
        ("message", {"subject": ["s"]}),
        ("message", {"subject": {"s": 1}}),
        ("message", {"subject": True}),
        ("message", {"isRead": "true"}),
        ("message", {"isRead": 1}),
        ("message", {"importance": 2}),
        ("message", {"importance": "urgent"}),
        ("message", {"importance": "High"}),
        ("message", {"importance": "unspecified"}),
        ("message", {"importance": "IMPORTANCE_HIGH"}),
        ("message", {"importance": ["high"]}),
        ("message", {"importance": {"high": 1}}),
        ("message", {"sentDateTime": "gestern"}),
        ("message", {"sentDateTime": 1772355600}),
        ("message", {"conversationIndex": "***"}),
        ("message", {"conversationIndex": 5}),
        ("message", {"toRecipients": "ada@example.com"}),
        ("message", {"toRecipients": {"emailAddress": {}}}),
        ("message", {"toRecipients": 5}),
        ("message", {"toRecipients": [None, 5, "x", [], True]}),
        ("message", {"categories": "c"}),
        ("message", {"categories": [None, 5, {}, [], True]}),
        ("event", {"reminderMinutesBeforeStart": "15"}),
        ("event", {"reminderMinutesBeforeStart": 1.5}),
        ("event", {"reminderMinutesBeforeStart": True}),
        ("event", {"reminderMinutesBeforeStart": 2**31}),
        ("event", {"reminderMinutesBeforeStart": -(2**31) - 1}),
        ("event", {"reminderMinutesBeforeStart": 2**64}),
        ("event", {"reminderMinutesBeforeStart": 10**400}),
        ("event", {"reminderMinutesBeforeStart": math.inf}),
        ("event", {"SUBJECT": None}),
        ("message", {"subject": "\ud800"}),
        ("message", {"categories": ["\ud800"]}),
    ],
)
def test_a_value_of_another_type_is_left_out(of: str, described: Any) -> None:
    """A value of another type is neither converted nor an error: it is left out."""
    assert read_item(of, described) == (Message() if of == "message" else Event())


@pytest.mark.parametrize("value", [5, "text", True, [], [{"content": "c"}]])
def test_a_value_that_should_be_an_object_is_left_out(value: Any) -> None:
    """A value that should be an object and isn't is left out, and isn't read as an empty one."""
    assert read_item("message", {"body": value}) == Message()
    assert read_item("message", {"flag": {"dueDateTime": value}}) == Message(flag=FollowupFlag())


@pytest.mark.parametrize(
    "value",
    [
        "48",
        "Infinity",
        True,
        pytest.param(10**400, id="huge"),
        pytest.param(10**1000, id="longer"),
        [],
        {},
    ],
)
def test_a_double_of_another_type_is_left_out(value: Any) -> None:
    """A value that is no double, also a whole number beyond all doubles, is left out."""
    location = {"coordinates": {"latitude": value, "longitude": 8}}
    assert read_item("event", {"location": location}) == Event(
        location=Location(coordinates=OutlookGeoCoordinates(longitude=8.0))
    )


@pytest.mark.parametrize("value", ["2026-02-30", "2026-03-01T00:00:00Z", 20260301, {"year": 2026}])
def test_a_malformed_day_is_left_out(value: Any) -> None:
    """A malformed day is left out, and the rest of its object is read."""
    recurrence = {"range": {"startDate": value, "type": "noEnd"}}
    assert read_item("event", {"recurrence": recurrence}).recurrence.range == RecurrenceRange(
        type=RecurrenceRangeType.ValueType(2)
    )


def test_a_list_keeps_the_order_of_its_readable_elements() -> None:
    """A list keeps its order without unreadable elements, and with empty objects."""
    described = {
        "categories": ["a", 5, "b"],
        "internetMessageHeaders": [{"name": "x"}, None, {}, {"name": 5, "value": "y"}],
    }
    assert read_item("message", described) == Message(
        categories=["a", "b"],
        internet_message_headers=[
            InternetMessageHeader(name="x"),
            InternetMessageHeader(),
            InternetMessageHeader(value="y"),
        ],
    )


def test_unknown_names_of_an_enum_in_a_list_are_left_out() -> None:
    """Unknown names in a list of an enum are left out, and the known ones read."""
    recurrence = {"pattern": {"daysOfWeek": ["monday", "someday", None, "sunday"]}}
    event = read_item("event", {"recurrence": recurrence})
    assert list(event.recurrence.pattern.days_of_week) == [2, 1]


def test_unknown_properties_of_a_closed_type_are_left_out() -> None:
    """Unknown properties and annotations of a closed type are left out."""
    body = {"content": "c", "contentTypo": 5, "@odata.type": "#microsoft.graph.itemBody", "c@x": 1}
    assert read_item("message", {"body": body}) == Message(body=ItemBody(content="c"))
    assert read({"id": "i", "unknown": {"deep": [1]}}) == Attachment(
        id="i", file_attachment=FileAttachment()
    )


# Reading: additional properties.


def test_unknown_properties_of_an_open_type_are_additional() -> None:
    """Unknown properties of an open type are additional, and annotations are left out."""
    extra: dict[str, Any] = {
        "com.example.x": [1, 0.5, "t", True, None, {"y": {}}],
        "SomethingNew": None,
    }
    annotations = {"@odata.etag": "e", "subject@odata.type": "t", "SomethingNew@odata.type": "t"}
    message = read_item("message", {"subject": "s", **annotations, **extra})
    assert message == Message(subject="s", additional_properties=struct(**extra))


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("\ud800", id="half a pair"),
        pytest.param({"\ud800": 1}, id="half a pair as a name"),
        pytest.param([1, "\ud800", 2], id="half a pair in a list"),
        pytest.param({"a": 1, "b": {"c": "\ud800"}}, id="half a pair in objects"),
        pytest.param(10**400, id="beyond doubles"),
        pytest.param([1, 10**400, 2], id="beyond doubles in a list"),
        pytest.param(math.nan, id="NaN"),
        pytest.param([math.inf], id="infinity in a list"),
        pytest.param({"a": -math.inf}, id="infinity in an object"),
    ],
)
def test_an_additional_property_that_protobuf_cannot_hold_is_left_out(value: Any) -> None:
    """An additional property with any part that protobuf or JSON can't hold is left out whole."""
    message = read_item("message", {"before": 1, "x": value, "after": 2})
    assert json_format.MessageToDict(message.additional_properties) == {"before": 1, "after": 2}


@pytest.mark.parametrize("levels", [30, 200, 1000, 5000, 100_000])
@pytest.mark.parametrize(
    ("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"]
)
def test_deep_nesting_is_read_into_a_valid_response(
    levels: int, opened: bytes, closed: bytes
) -> None:
    """A body with deep nesting at any place is read into a response that can be sent."""
    deep = opened * levels + b"1" + closed * levels
    for body in (
        deep,
        b'{"@odata.type":%s,"id":"i"}' % deep,
        b'{"id":%s}' % deep,
        b'{"id":"i","unknown":%s}' % deep,
        b'{"@odata.type":"#microsoft.graph.itemAttachment","id":"i","item":%s}' % deep,
        b'{"@odata.type":"#microsoft.graph.itemAttachment","id":"i","item":{"@odata.type":%s}}'
        % deep,
        b'{"@odata.type":"#microsoft.graph.itemAttachment","id":"i","item":'
        b'{"@odata.type":"#microsoft.graph.message","body":%s,"categories":%s,"x":%s}}'
        % (deep, deep, deep),
    ):
        answer = CreateAttachmentResponse(attachment=attachment_from_json(body, kind=FILE))
        assert CreateAttachmentResponse.FromString(answer.SerializeToString()) == answer


# Properties of reading and writing.


# A negative zero becomes 0.0, because zero is written without a sign.
ADDITIONAL_NUMBERS = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)

ADDITIONAL_NAMES = st.text(min_size=1).filter(lambda name: "@" not in name)

ADDITIONAL_VALUES = st.recursive(
    st.none() | st.booleans() | ADDITIONAL_NUMBERS | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)

SCALARS = {
    FieldDescriptor.TYPE_STRING: st.text(max_size=8),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: st.integers(min_value=-(2**31), max_value=2**31 - 1),
    FieldDescriptor.TYPE_DOUBLE: st.floats(allow_nan=False) | st.just(math.nan),
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=8),
}

INSTANTS = st.builds(
    Timestamp,
    seconds=st.integers(min_value=-62_135_596_800, max_value=253_402_300_799),
    nanos=st.integers(min_value=0, max_value=999_999_999),
)

DAYS = st.dates().map(lambda day: Date(year=day.year, month=day.month, day=day.day))


def values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Generate values of the field that a request may have."""
    if field.enum_type is not None:
        one: Any = st.integers(min_value=1, max_value=len(field.enum_type.values) - 1)
    elif field.message_type is None:
        one = SCALARS[field.type]
    elif field.message_type is Timestamp.DESCRIPTOR:
        one = INSTANTS
    elif field.message_type is Date.DESCRIPTOR:
        one = DAYS
    else:
        one = messages(field.message_type)
    return st.lists(one, max_size=2) if field.is_repeated else one


@cache
def messages(descriptor: Descriptor) -> st.SearchStrategy[Any]:
    """Generate messages with any of the fields that a caller sets."""
    type_name = descriptor.name[0].lower() + descriptor.name[1:]
    names = {name.casefold() for name in properties(type_name)} | {"additionalproperties"}
    fields = {
        field.name: values(field)
        for field in descriptor.fields
        if field.json_name in properties(type_name).keys() - output_only(type_name)
        and field.name != "content_bytes"
    }
    if TYPES[type_name].is_open:
        extra = ADDITIONAL_NAMES.filter(lambda name: name.casefold() not in names)
        fields["additional_properties"] = st.dictionaries(
            extra, ADDITIONAL_VALUES, min_size=1, max_size=2
        )
    made = GetMessageClass(descriptor)
    return st.fixed_dictionaries({}, optional=fields).map(lambda given: made(**given))


KINDS: dict[str, type[AnyMessage]] = {
    "file": FileAttachment,
    "message": Message,
    "event": Event,
    "contact": Contact,
}


@st.composite
def attachments(draw: st.DrawFn, of: str) -> Attachment:
    """Generate attachments of a file or of a type of item."""
    attachment: Attachment = draw(messages(Attachment.DESCRIPTOR))
    special = draw(messages(KINDS[of].DESCRIPTOR))
    if of == "file":
        attachment.file_attachment.CopyFrom(special)
    else:
        getattr(attachment.item_attachment, of).CopyFrom(special)
    return attachment


def to_the_bit(message: AnyMessage) -> bytes:
    """Return a message's bytes, in which one NaN equals another."""
    return message.SerializeToString(deterministic=True)


@pytest.mark.parametrize("of", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_a_written_attachment_reads_back(of: str, data: st.DataObject) -> None:
    """Any attachment that a caller can set is read back equal from its JSON."""
    attachment = data.draw(attachments(of))
    kind = FILE if of == "file" else ITEM
    body = orjson.dumps(written_as(attachment, kind=kind))
    back = attachment_from_json(body, kind=kind)
    assert back is not None
    assert to_the_bit(back) == to_the_bit(attachment)


NAMES = sorted({"@odata.type", "additionalProperties"}.union(*map(properties, TYPES)))

TEXTS = st.text(st.characters(), max_size=8) | st.sampled_from(
    [
        *(f"#microsoft.graph.{name}" for name in TYPES),
        *(value for values in ENUMS.values() for value in values),
        *("2026-03-01T09:00:00Z", "2026-03-01", "AAAA", "INF", "-INF", "NaN"),
    ]
)

NUMBERS = st.integers() | st.floats() | st.sampled_from([10**400, -(2**31) - 1, 2**31, 2**64])

ANY_JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | TEXTS, inner)
    ),
)


@cache
def objects(type_name: str) -> st.SearchStrategy[Any]:
    """Generate objects of about a type, in which any property may have any value."""
    actual = [
        name for name, fact in TYPES.items() if fact.base == type_name and not fact.is_abstract
    ]
    if TYPES[type_name].is_abstract:
        return st.one_of(*map(objects, actual))
    held = {
        name: objects(fact.type)
        for name, fact in properties(type_name).items()
        if fact.type in TYPES
    }
    return st.fixed_dictionaries(
        {"@odata.type": st.just(f"#microsoft.graph.{type_name}") | TEXTS},
        optional={
            name: ANY_JSON | held[name] if name in held else ANY_JSON
            for name in properties(type_name)
        },
    )


@settings(deadline=None)
@given(ANY_JSON | objects("attachment"))
def test_no_json_makes_reading_fail(described: Any) -> None:
    """Any JSON is read into a response that can be sent, or into none."""
    for kind in (FILE, ITEM):
        answer = CreateAttachmentResponse(attachment=read(described, kind=kind))
        sent = to_the_bit(answer)
        assert to_the_bit(CreateAttachmentResponse.FromString(sent)) == sent


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_make_reading_fail(body: bytes) -> None:
    """Bytes that are no attachment are read as None."""
    assert attachment_from_json(body, kind=FILE) is None


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"@odata.type":"#microsoft.graph.user"}',
        b'{"@odata.type":5}',
        b'{"@odata.type":null}',
        b'{"error":{"code":"x"}}',
    ],
)
def test_an_object_without_an_attachments_property_is_none(body: bytes) -> None:
    """An object without a property or a type of an attachment is None."""
    assert attachment_from_json(body, kind="file_attachment") is None


def test_a_null_type_is_no_type() -> None:
    """If the type is null, the kind is the one that was sent."""
    body = b'{"@odata.type":null,"id":"i"}'
    assert attachment_from_json(body, kind="file_attachment") == Attachment(
        id="i", file_attachment=FileAttachment()
    )


def test_an_additional_property_may_have_our_fields_name() -> None:
    """A property with the name additionalProperties is additional, because Graph has none."""
    extra = struct(additionalProperties="x")
    item = Message(additional_properties=extra)
    attachment = Attachment(name="n", item_attachment=ItemAttachment(message=item))
    written = written_as(attachment, kind="item_attachment")["item"]
    assert written == {"@odata.type": "#microsoft.graph.message", "additionalProperties": "x"}
    assert read_item("message", {"additionalProperties": "x"}) == item
