"""graph_json: protobuf <-> Graph JSON, driven by descriptors."""

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
    """The JSON of an attachment; raises InvalidRequest."""
    violations = Violations()
    described = attachment_to_json(attachment, violations, kind=kind)
    violations.check()
    return described


Item = Message | Event | Contact


def holding(item: Item) -> Attachment:
    """Return an attachment of the item and nothing else."""
    held: dict[str, Any] = {item.DESCRIPTOR.name.lower(): item}
    return Attachment(item_attachment=ItemAttachment(**held))


def written(item: Item) -> Any:
    """Return an item's JSON without its type."""
    described: Any = written_as(holding(item), kind=ITEM)["item"]
    assert described.pop("@odata.type") == f"#microsoft.graph.{item.DESCRIPTOR.name.lower()}"
    return described


def refused(item: Item) -> InvalidRequest:
    """Return the error that an item makes."""
    with pytest.raises(InvalidRequest) as raised:
        written_as(holding(item), kind=ITEM)
    return raised.value


def read(described: Any, *, kind: str = FILE) -> Attachment | None:
    return attachment_from_json(json.dumps(described).encode(), kind=kind)


def item_answer(of: str, described: Any) -> dict[str, Any]:
    """Return Graph's answer with an item of the type."""
    item = {"@odata.type": f"#microsoft.graph.{of}", **described}
    return {"@odata.type": "#microsoft.graph.itemAttachment", "item": item}


def read_item(of: str, described: Any) -> Any:
    """Return the item that is read from an answer."""
    attachment = read(item_answer(of, described))
    assert attachment is not None
    assert attachment.item_attachment.WhichOneof("item") == of
    return getattr(attachment.item_attachment, of)


def days(*numbers: int) -> list[DayOfWeek.ValueType]:
    """Return days of the week, and what is none, by number."""
    return [DayOfWeek.ValueType(number) for number in numbers]


def struct(**members: Any) -> Struct:
    made = Struct()
    made.update(members)
    return made


# Writing: what is set.


def test_a_file_with_only_a_name_is_the_body_of_graph_s_page() -> None:
    """The type and the name, in that order; the request writes the bytes."""
    attachment = Attachment(name="report.pdf", file_attachment=FileAttachment(content_bytes=b"abc"))
    assert list(written_as(attachment, kind=FILE).items()) == [
        ("@odata.type", "#microsoft.graph.fileAttachment"),
        ("name", "report.pdf"),
    ]


def test_a_file_s_kind_need_not_be_set() -> None:
    """An upload is a file, whether it says so or not."""
    assert written_as(Attachment(name="n"), kind=FILE) == {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "name": "n",
    }


def test_all_that_a_caller_sets_of_a_file_is_written() -> None:
    """Those of every attachment and those of a file, in one object."""
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
    """`item` is of an abstract type, so its JSON has to say which one it is."""
    assert written_as(holding(item), kind=ITEM) == {
        "@odata.type": "#microsoft.graph.itemAttachment",
        "item": {"@odata.type": f"#microsoft.graph.{of}"},
    }


def test_an_item_attachment_without_an_item_is_refused() -> None:
    """There would be nothing to attach."""
    with pytest.raises(InvalidRequest) as raised:
        written_as(Attachment(name="n", item_attachment=ItemAttachment()), kind=ITEM)
    assert raised.value.violations[0].field == "attachment.item_attachment.item"


def test_false_zero_and_empty_texts_are_sent() -> None:
    """Presence tells them from what isn't set."""
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


def test_what_is_not_set_is_not_sent() -> None:
    """Nor is an empty list, nor the enum value that stands for not set."""
    assert (
        written(Message(categories=[], to_recipients=[], importance=Importance.ValueType(0))) == {}
    )


def test_an_object_with_nothing_set_is_sent_as_an_empty_one() -> None:
    """It was set, if to nothing; in a list it keeps its place."""
    message = Message(
        body=ItemBody(), to_recipients=[Recipient(), Recipient(email_address=EmailAddress())]
    )
    assert written(message) == {"body": {}, "toRecipients": [{}, {"emailAddress": {}}]}


def test_each_type_of_value_has_its_form() -> None:
    """Enums by name, bytes in base64, instants in UTC, days, doubles, lists."""
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
    """Nothing is trimmed, folded or normalised."""
    text = ' e\u0301 \u00e9 "\\/\r\n\t\x00\x7f\u2028\ufeff🙂 '
    assert orjson.loads(orjson.dumps(written(Message(subject=text))))["subject"] == text


@pytest.mark.parametrize(
    ("number", "sent"), [(math.nan, "NaN"), (math.inf, "INF"), (-math.inf, "-INF")]
)
def test_doubles_that_json_has_not_are_texts_of_odata_s(number: float, sent: str) -> None:
    """And they are read back from them."""
    location = Location(coordinates=OutlookGeoCoordinates(altitude=number))
    described = written(Event(location=location))
    assert described == {"location": {"coordinates": {"altitude": sent}}}
    altitude = read_item("event", described).location.coordinates.altitude
    assert repr(altitude) == repr(number)


def test_what_graph_sets_is_ignored() -> None:
    """A caller may hand in what it was answered, and none of that is sent."""
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


def test_what_graph_sets_is_not_even_looked_at() -> None:
    """An instant that can't be written does no harm where it isn't."""
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
def test_what_graph_could_not_take_is_refused_by_its_path(
    item: Item, field: str, description: str
) -> None:
    """Out of range, or no value of an enum: the field is named, with its index in a list."""
    error = refused(item)
    assert (error.violations[0].field, error.violations[0].description) == (field, description)


# Additional properties.


def test_additional_properties_are_members_beside_the_others() -> None:
    """Of any shape, in all three open types; null too, for it was asked for."""
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
def test_an_additional_property_may_not_stand_for_a_modelled_one(name: str) -> None:
    """Nor for its annotation, nor the object's: Graph takes names in any case."""
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
    """An unmodelled property's annotation; another type's property; the field's name here."""
    message = Message(additional_properties=struct(**{name: "x"}))
    assert written(message) == {name: "x"}


def test_whole_numbers_are_written_as_such() -> None:
    """A Struct has doubles only, and Graph doesn't take 3.0 for every type of number."""
    described = written(Event(additional_properties=struct(x=[3, 2.5, -1, 0, 2**53, 1e300])))
    assert orjson.dumps(described) == b'{"x":[3,2.5,-1,0,9007199254740992.0,1e+300]}'


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_an_additional_number_that_json_has_not_is_refused(number: float) -> None:
    """Whatever the type that it would have."""
    error = refused(Contact(additional_properties=struct(x=[{"y": number}])))
    assert error.violations[0].field == "attachment.item_attachment.contact.additional_properties"
    assert error.violations[0].description == f"{number} is no number of JSON's; give a finite one"


# Reading: attachments.


def test_an_answer_of_graph_s_is_read() -> None:
    """All that describes the attachment; the file's bytes are left out, its caller has them."""
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
    """With `#` and without; a type that this version doesn't know sets no kind."""
    attachment = read({"@odata.type": named, "id": "i"}, kind=ITEM)
    assert attachment is not None
    assert (attachment.id, attachment.WhichOneof("kind")) == ("i", kind)


@pytest.mark.parametrize("kind", [FILE, ITEM])
def test_without_a_type_the_kind_is_what_was_sent(kind: str) -> None:
    """The page's example of an answer has none."""
    attachment = read({"id": "i", "name": "n"}, kind=kind)
    assert attachment is not None
    assert attachment.WhichOneof("kind") == kind


def test_a_reference_attachment_is_read() -> None:
    """Its own properties aren't in the metadata, and are left out."""
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
    """With `#` and without; another type's properties aren't taken for a message's."""
    described = {"@odata.type": named, "id": "i"}
    attachment = read({"@odata.type": "#microsoft.graph.itemAttachment", "item": described})
    assert attachment is not None
    assert attachment.WhichOneof("kind") == "item_attachment"
    assert attachment.item_attachment.WhichOneof("item") == item


@pytest.mark.parametrize("item", [None, [], "text", 5, {}, {"subject": "s"}])
def test_an_item_that_does_not_say_what_it_is_is_left_out(item: Any) -> None:
    """A create's answer has none: Graph gives it only where it is asked for."""
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
    """No JSON, no object, no property of an attachment, bytes that are no UTF-8."""
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
def test_a_body_that_some_writers_would_send_is_read(body: bytes) -> None:
    """A byte order mark, NaN, half of a pair, numbers beyond all types, a name twice."""
    assert attachment_from_json(body, kind=FILE) == Attachment(
        id="i", file_attachment=FileAttachment()
    )


def test_the_body_of_an_answer_is_an_object_or_an_empty_one() -> None:
    """Errors are read from it too."""
    assert parsed(b'{"error":{"code":"c"}}') == {"error": {"code": "c"}}
    assert parsed(b"[1]") == {}
    assert parsed(b"\xff") == {}


# Reading: properties.


def test_what_is_missing_or_null_is_not_set() -> None:
    """Both read alike."""
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
    """They are set."""
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
    """Nothing is converted and nothing fails."""
    assert read_item(of, described) == (Message() if of == "message" else Event())


@pytest.mark.parametrize("value", [5, "text", True, [], [{"content": "c"}]])
def test_an_object_that_is_none_is_left_out(value: Any) -> None:
    """It isn't read as one with nothing set."""
    assert read_item("message", {"body": value}) == Message()
    assert read_item("message", {"flag": {"dueDateTime": value}}) == Message(flag=FollowupFlag())


@pytest.mark.parametrize(
    "value", ["48", "Infinity", True, pytest.param(10**400, id="huge"), [], {}]
)
def test_a_double_of_another_type_is_left_out(value: Any) -> None:
    """Also a whole number beyond all doubles."""
    location = {"coordinates": {"latitude": value, "longitude": 8}}
    assert read_item("event", {"location": location}) == Event(
        location=Location(coordinates=OutlookGeoCoordinates(longitude=8.0))
    )


@pytest.mark.parametrize("value", ["2026-02-30", "2026-03-01T00:00:00Z", 20260301, {"year": 2026}])
def test_a_day_that_is_none_is_left_out(value: Any) -> None:
    """The rest of the range is read."""
    recurrence = {"range": {"startDate": value, "type": "noEnd"}}
    assert read_item("event", {"recurrence": recurrence}).recurrence.range == RecurrenceRange(
        type=RecurrenceRangeType.ValueType(2)
    )


def test_what_is_read_of_a_list_keeps_its_order() -> None:
    """An element that can't be read is left out, and an object with nothing in it is one."""
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
    """Those that are known are read."""
    recurrence = {"pattern": {"daysOfWeek": ["monday", "someday", None, "sunday"]}}
    event = read_item("event", {"recurrence": recurrence})
    assert list(event.recurrence.pattern.days_of_week) == [2, 1]


def test_unknown_properties_of_a_closed_type_are_left_out() -> None:
    """Annotations too."""
    body = {"content": "c", "contentTypo": 5, "@odata.type": "#microsoft.graph.itemBody", "c@x": 1}
    assert read_item("message", {"body": body}) == Message(body=ItemBody(content="c"))
    assert read({"id": "i", "unknown": {"deep": [1]}}) == Attachment(
        id="i", file_attachment=FileAttachment()
    )


# Reading: additional properties.


def test_unknown_properties_of_an_open_type_are_additional() -> None:
    """Annotations aren't properties, and are left out."""
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
    """Wholly: neither half of it, nor a Value that says nothing, nor one that JSON has not."""
    message = read_item("message", {"before": 1, "x": value, "after": 2})
    assert json_format.MessageToDict(message.additional_properties) == {"before": 1, "after": 2}


@pytest.mark.parametrize("levels", [30, 200, 1000, 5000, 100_000])
@pytest.mark.parametrize(
    ("opened", "closed"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"]
)
def test_deep_nesting_does_no_harm(levels: int, opened: bytes, closed: bytes) -> None:
    """Wherever it stands; what can be told is read, and the answer can be sent on."""
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


# Properties of the whole.


# A whole number is written without a sign, also for zero.
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
    """Generate values that the field can have in a request that isn't refused."""
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
    """Generate messages that have any of the fields that a caller sets."""
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
    """Return a form of a message in which a NaN is the same as a NaN."""
    return message.SerializeToString(deterministic=True)


@pytest.mark.parametrize("of", KINDS)
@settings(deadline=None)
@given(data=st.data())
def test_what_is_written_reads_back(of: str, data: st.DataObject) -> None:
    """Whatever is set, by the JSON that goes over the wire."""
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
    """Generate objects of a type, or nearly: any property may have any value."""
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
    """What comes of it, if anything, is an answer that can be sent on."""
    for kind in (FILE, ITEM):
        answer = CreateAttachmentResponse(attachment=read(described, kind=kind))
        sent = to_the_bit(answer)
        assert to_the_bit(CreateAttachmentResponse.FromString(sent)) == sent


@given(st.binary() | st.text().map(str.encode))
def test_no_bytes_make_reading_fail(body: bytes) -> None:
    """Nor does what is no JSON at all."""
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
def test_what_describes_no_attachment(body: bytes) -> None:
    """Neither a property of an attachment nor a type of one: nothing is described."""
    assert attachment_from_json(body, kind="file_attachment") is None


def test_a_type_that_is_null_is_none() -> None:
    """It is taken for what was sent, as where no type is named."""
    body = b'{"@odata.type":null,"id":"i"}'
    assert attachment_from_json(body, kind="file_attachment") == Attachment(
        id="i", file_attachment=FileAttachment()
    )


def test_an_additional_property_may_have_our_fields_name() -> None:
    """Graph knows no property additionalProperties, so it is one like any other."""
    extra = struct(additionalProperties="x")
    item = Message(additional_properties=extra)
    attachment = Attachment(name="n", item_attachment=ItemAttachment(message=item))
    written = written_as(attachment, kind="item_attachment")["item"]
    assert written == {"@odata.type": "#microsoft.graph.message", "additionalProperties": "x"}
    assert read_item("message", {"additionalProperties": "x"}) == item
