"""Samples of a file and every kind of item with all that a caller can set.

A sample is written once, in the names that the contract and Microsoft's SDK share. `for_sdk` and
`for_gateway` make the object that each of the two takes. All texts are different, and every list
has two elements.
"""

import datetime
import importlib
import re
from dataclasses import dataclass
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from graphattachments.v1 import attachment_pb2, contact_pb2, event_pb2, message_pb2, outlook_pb2
from graphattachments.v1.attachment_pb2 import Attachment

CONTRACT = (attachment_pb2, contact_pb2, event_pb2, message_pb2, outlook_pb2)


@dataclass(frozen=True, slots=True)
class Instant:
    """An instant in RFC 3339."""

    text: str

    def for_sdk(self) -> datetime.datetime:
        return datetime.datetime.fromisoformat(self.text)

    def for_gateway(self) -> Timestamp:
        timestamp = Timestamp()
        timestamp.FromJsonString(self.text)
        return timestamp


@dataclass(frozen=True, slots=True)
class Day:
    """A date."""

    year: int
    month: int
    day: int

    def for_sdk(self) -> datetime.date:
        return datetime.date(self.year, self.month, self.day)

    def for_gateway(self) -> outlook_pb2.Date:
        return outlook_pb2.Date(year=self.year, month=self.month, day=self.day)


@dataclass(frozen=True, slots=True)
class Value:
    """A value of an enum by the SDK's names, such as FreeBusyStatus and WorkingElsewhere."""

    enum: str
    name: str

    def for_sdk(self) -> Any:
        return getattr(of_sdk(self.enum), self.name)

    def for_gateway(self) -> int:
        number: int = of_contract(_snake(f"{self.enum}_{self.name}").upper())
        return number


class Of:
    """An object of a type with its properties; `extra` has those that neither client models."""

    def __init__(self, type_name: str, extra: dict[str, Any] | None = None, **properties: Any):
        self.type_name = type_name
        self.extra = extra
        self.properties = properties

    def for_sdk(self) -> Any:
        made = of_sdk(self.type_name)()
        for name, value in self.properties.items():
            # The SDK adds an underscore to a reserved word of Python.
            setattr(made, "from_" if name == "from" else name, _for("sdk", value))
        made.additional_data = self.extra or {}
        return made

    def for_gateway(self) -> Any:
        properties = {name: _for("gateway", value) for name, value in self.properties.items()}
        made = of_contract(self.type_name)(**properties)
        if self.extra is not None:
            made.additional_properties.update(self.extra)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """An attachment: the properties of every kind, and a FileAttachment or an item."""

    content: Of
    shared: dict[str, Any]

    def for_sdk(self) -> Any:
        if self.content.type_name == "FileAttachment":
            return Of("FileAttachment", **self.shared, **self.content.properties).for_sdk()
        return Of("ItemAttachment", **self.shared, item=self.content).for_sdk()

    def for_gateway(self) -> Attachment:
        made = self.content.for_gateway()
        if isinstance(made, attachment_pb2.FileAttachment):
            return Attachment(**self.shared, file_attachment=made)
        item = attachment_pb2.ItemAttachment(**{self.content.type_name.lower(): made})
        return Attachment(**self.shared, item_attachment=item)


def _for(client: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_for(client, element) for element in value]
    if isinstance(value, Instant | Day | Value | Of):
        return getattr(value, f"for_{client}")()
    return value


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])_?(?=[A-Z])", "_", name).lower()


def of_sdk(name: str) -> Any:
    """Return a model of the SDK, which has one module for each."""
    return getattr(importlib.import_module(f"msgraph.generated.models.{_snake(name)}"), name)


def of_contract(name: str) -> Any:
    """Return a message class of the contract, or the number of an enum's value."""
    return next(getattr(module, name) for module in CONTRACT if hasattr(module, name))


# The samples.


def person(name: str, address: str) -> Of:
    return Of("EmailAddress", name=name, address=address)


def recipient(name: str, address: str) -> Of:
    return Of("Recipient", email_address=person(name, address))


def when(date_time: str, time_zone: str) -> Of:
    return Of("DateTimeTimeZone", date_time=date_time, time_zone=time_zone)


FILE = Sample(
    shared={"name": 'Jahresbericht „2026“ 報告 📎 "\\.pdf', "content_type": "application/pdf"}
    | {"is_inline": True},
    content=Of(
        "FileAttachment",
        content_bytes=b"%PDF-1.7\n\x00\xff\xfe",
        content_id="logo@example.com",
    ),
)

# A reserved word can't be an argument's name.
FROM: dict[str, Any] = {"from": recipient("Ada Lovelace", "ada@example.com")}

MESSAGE = Sample(
    shared={"name": "Re: Grüße.eml", "content_type": "message/rfc822", "is_inline": False},
    content=Of(
        "Message",
        categories=["Blaue Kategorie", "赤"],
        bcc_recipients=[recipient("Bo", "bo@example.com"), recipient("Bea", "bea@example.com")],
        body=Of(
            "ItemBody", content="<p>Grüße, «Ada» 🙂</p>", content_type=Value("BodyType", "Html")
        ),
        body_preview="Grüße, «Ada»",
        cc_recipients=[recipient("Cy", "cy@example.com"), recipient("Cleo", "cleo@example.com")],
        conversation_id="AAQkADAwATM=",
        conversation_index=b"\x01\xd9\x00\xff",
        flag=Of(
            "FollowupFlag",
            completed_date_time=when("2026-03-04T12:00:00", "UTC"),
            due_date_time=when("2026-03-03T12:00:00.0000000", "Europe/Berlin"),
            flag_status=Value("FollowupFlagStatus", "Complete"),
            start_date_time=when("2026-03-02T12:00:00", "Pacific Standard Time"),
        ),
        **FROM,
        importance=Value("Importance", "High"),
        inference_classification=Value("InferenceClassificationType", "Other"),
        internet_message_headers=[
            Of("InternetMessageHeader", name="x-ticket", value="T-1"),
            Of("InternetMessageHeader", name="x-origin", value="Zürich"),
        ],
        internet_message_id="<1@example.com>",
        is_delivery_receipt_requested=False,
        is_read=True,
        is_read_receipt_requested=True,
        received_date_time=Instant("2026-03-01T09:00:07Z"),
        reply_to=[recipient("Rae", "rae@example.com"), recipient("Rui", "rui@example.com")],
        sender=recipient("Sam", "sam@example.com"),
        sent_date_time=Instant("2026-03-01T09:00:05.120Z"),
        subject="",
        to_recipients=[recipient("Tia", "tia@example.com"), recipient("Tom", "tom@example.com")],
        unique_body=Of("ItemBody", content="Neu: 日本語", content_type=Value("BodyType", "Text")),
    ),
)


def address(mark: str) -> Of:
    return Of(
        "PhysicalAddress",
        city=f"Köln {mark}",
        country_or_region=f"Deutschland {mark}",
        postal_code=f"05067 {mark}",
        state=f"NRW {mark}",
        street=f"Domkloster {mark}\nHinterhaus",
    )


def place(mark: str, longitude: float) -> Of:
    return Of(
        "Location",
        address=address(mark),
        coordinates=Of(
            "OutlookGeoCoordinates",
            accuracy=12.5,
            altitude=0.0,
            altitude_accuracy=1e-7,
            latitude=-35.6852,
            longitude=longitude,
        ),
        display_name=f"会議室 {mark}",
        location_email_address=f"room-{mark}@example.com",
        location_type=Value("LocationType", "ConferenceRoom"),
        location_uri=f"https://example.com/rooms/{mark}",
        unique_id=f"room-{mark}",
        unique_id_type=Value("LocationUniqueIdType", "LocationStore"),
    )


def attendee(name: str, address: str, day: int) -> Of:
    return Of(
        "Attendee",
        email_address=person(name, address),
        type=Value("AttendeeType", "Optional"),
        proposed_new_time=Of(
            "TimeSlot",
            start=when(f"2026-03-{day}T10:00:00", f"start zone {day}"),
            end=when(f"2026-03-{day}T11:00:00", f"end zone {day}"),
        ),
        status=Of(
            "ResponseStatus",
            response=Value("ResponseType", "TentativelyAccepted"),
            time=Instant(f"2026-02-{day}T08:00:00.123456Z"),
        ),
    )


def phone(number: str, language: str, region: str) -> Of:
    return Of(
        "Phone",
        language=language,
        number=number,
        region=region,
        type=Value("PhoneType", "BusinessFax"),
    )


EVENT = Sample(
    shared={"name": "Planung.ics", "content_type": "text/calendar", "is_inline": False},
    content=Of(
        "Event",
        categories=["Grüne Kategorie", "青"],
        allow_new_time_proposals=False,
        attendees=[
            attendee("Ann", "ann@example.com", 11),
            attendee("Zoë", "zoe@example.com", 12),
        ],
        body=Of("ItemBody", content="Tagesordnung 📋", content_type=Value("BodyType", "Html")),
        body_preview="Tagesordnung",
        cancelled_occurrences=["OID.1", "OID.2"],
        end=when("2026-03-10T10:30:00", "Asia/Tokyo"),
        hide_attendees=True,
        importance=Value("Importance", "Normal"),
        is_all_day=False,
        is_cancelled=True,
        is_online_meeting=True,
        is_reminder_on=True,
        location=place("1", 139.7528),
        locations=[place("2", 6.1495), place("3", -180.0)],
        online_meeting=Of(
            "OnlineMeetingInfo",
            conference_id="987",
            join_url="https://example.com/join?a=1&b=%20",
            phones=[phone("+49 30 1", "de-DE", "DE"), phone("+81 3 2", "ja-JP", "JP")],
            quick_dial="+1 555 3,,987#",
            toll_free_numbers=["0800 4", "0800 5"],
            toll_number="0900 6",
        ),
        online_meeting_provider=Value("OnlineMeetingProviderType", "TeamsForBusiness"),
        organizer=recipient("Olaf", "olaf@example.com"),
        original_end_time_zone="W. Europe Standard Time",
        original_start=Instant("1969-12-31T23:59:59Z"),
        original_start_time_zone="tzone://Microsoft/Custom",
        recurrence=Of(
            "PatternedRecurrence",
            pattern=Of(
                "RecurrencePattern",
                day_of_month=31,
                days_of_week=[Value("DayOfWeek", "Monday"), Value("DayOfWeek", "Saturday")],
                first_day_of_week=Value("DayOfWeek", "Wednesday"),
                index=Value("WeekIndex", "Last"),
                interval=2,
                month=12,
                type=Value("RecurrencePatternType", "RelativeMonthly"),
            ),
            range=Of(
                "RecurrenceRange",
                end_date=Day(9999, 12, 31),
                number_of_occurrences=0,
                recurrence_time_zone="Asia/Kolkata",
                start_date=Day(1, 1, 1),
                type=Value("RecurrenceRangeType", "Numbered"),
            ),
        ),
        reminder_minutes_before_start=-15,
        response_requested=False,
        response_status=Of(
            "ResponseStatus",
            response=Value("ResponseType", "Declined"),
            time=Instant("0001-01-01T00:00:00Z"),
        ),
        sensitivity=Value("Sensitivity", "Confidential"),
        series_master_id="AAMkAD_-=",
        show_as=Value("FreeBusyStatus", "WorkingElsewhere"),
        start=when("2026-03-10T09:00:00", "America/Los_Angeles"),
        subject="Plänung",
        transaction_id="7E163156-7762-4BEB-A1C6-729EA81755A7",
    ),
)

CONTACT = Sample(
    shared={"name": "Ada.vcf", "content_type": "text/vcard", "is_inline": True},
    content=Of(
        "Contact",
        categories=["Gelbe Kategorie", "緑"],
        assistant_name="Anna",
        birthday=Instant("1815-12-10T12:00:00Z"),
        business_address=address("business"),
        business_home_page="https://example.com",
        business_phones=["+44 1", "+44 2"],
        children=["Byron", "Annabella"],
        company_name="Analytical Engines Ltd.",
        department="Zahlen & Größen",
        display_name="Ada Lovelace",
        email_addresses=[person("Ada", "ada@example.com"), person("A. L.", "al@example.com")],
        file_as="Lovelace, Ada",
        generation="III",
        given_name="Augusta",
        home_address=address("home"),
        home_phones=["+44 3", "+44 4"],
        im_addresses=["sip:ada@example.com", "xmpp:al@example.com"],
        initials="A.L.",
        job_title="Chief Engineer",
        manager="Charles",
        middle_name="King",
        mobile_phone="+44 5",
        nick_name="Enchantress",
        office_location="Floor 3",
        other_address=address("other"),
        personal_notes="Notes\r\n\t\u0001\u2028 end",
        primary_email_address=person("One", "one@example.com"),
        profession="Mathematician",
        secondary_email_address=person("Two", "two@example.com"),
        spouse_name="William",
        surname="Lovelace",
        tertiary_email_address=person("Three", "three@example.com"),
        title="Countess",
        yomi_company_name="アナリティカル",
        yomi_given_name="エイダ",
        yomi_surname="ラブレス",
    ),
)

# Values that the two clients write differently or not at all, and additional properties.
EDGES = Sample(
    shared={"name": "edges"},
    content=Of(
        "Event",
        categories=[],
        body=Of("ItemBody"),
        location=Of(
            "Location",
            coordinates=Of(
                "OutlookGeoCoordinates",
                accuracy=float("inf"),
                altitude=float("-inf"),
                altitude_accuracy=float("nan"),
            ),
        ),
        original_start=Instant("2026-03-01T09:00:00.123456789Z"),
        extra={
            "com.example.text": "Grüße",
            "com.example.whole": 3,
            "com.example.part": 0.5,
            "com.example.truth": False,
            "com.example.nothing": None,
            "com.example.list": [1, "zwei", None],
            "com.example.object": {"a": {"b": [{"c": True}]}},
            "com.example.object@odata.type": "#microsoft.graph.openTypeExtension",
        },
    ),
)

SAMPLES = {"file": FILE, "message": MESSAGE, "event": EVENT, "contact": CONTACT, "edges": EDGES}
