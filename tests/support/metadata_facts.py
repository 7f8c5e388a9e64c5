"""Facts of Microsoft Graph's v1.0 metadata (schema of 2026-07-31) about an attachment's types.

The types that an attachment is made of, their properties and enums, in a short notation. The
tests compare the contract and graph/codec.py with it, property by property.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

# A type, `<` its base type, and `abstract` or `open`. Each line below it has a type and the names
# of its own properties of that type: [] is a collection, ! is not nullable. `item` is the only
# navigation property in the contract.
_TYPES = """
entity abstract
    String!                     id
attachment < entity abstract
    Boolean!                    isInline
    DateTimeOffset              lastModifiedDateTime
    Int32!                      size
    String                      contentType name
fileAttachment < attachment
    Binary                      contentBytes
    String                      contentId contentLocation
itemAttachment < attachment
    outlookItem                 item
referenceAttachment < attachment
outlookItem < entity abstract
    DateTimeOffset              createdDateTime lastModifiedDateTime
    String                      changeKey
    String[]                    categories
message < outlookItem open
    Binary                      conversationIndex
    Boolean                     hasAttachments isDeliveryReceiptRequested isDraft isRead
    Boolean                     isReadReceiptRequested
    DateTimeOffset              receivedDateTime sentDateTime
    String                      bodyPreview conversationId internetMessageId parentFolderId
    String                      subject webLink
    followupFlag                flag
    importance                  importance
    inferenceClassificationType inferenceClassification
    internetMessageHeader[]     internetMessageHeaders
    itemBody                    body uniqueBody
    recipient                   from sender
    recipient[]                 bccRecipients ccRecipients replyTo toRecipients
event < outlookItem open
    Boolean                     allowNewTimeProposals hasAttachments hideAttendees isAllDay
    Boolean                     isCancelled isDraft isOnlineMeeting isOrganizer isReminderOn
    Boolean                     responseRequested
    DateTimeOffset              originalStart
    Int32                       reminderMinutesBeforeStart
    String                      bodyPreview iCalUId onlineMeetingUrl originalEndTimeZone
    String                      originalStartTimeZone seriesMasterId subject transactionId webLink
    String[]!                   cancelledOccurrences
    attendee[]                  attendees
    dateTimeTimeZone            end start
    eventType                   type
    freeBusyStatus              showAs
    importance                  importance
    itemBody                    body
    location                    location
    location[]                  locations
    onlineMeetingInfo           onlineMeeting
    onlineMeetingProviderType   onlineMeetingProvider
    patternedRecurrence         recurrence
    recipient                   organizer
    responseStatus              responseStatus
    sensitivity                 sensitivity
contact < outlookItem open
    DateTimeOffset              birthday
    String                      assistantName businessHomePage companyName department displayName
    String                      fileAs generation givenName initials jobTitle manager middleName
    String                      mobilePhone nickName officeLocation parentFolderId personalNotes
    String                      profession spouseName surname title yomiCompanyName yomiGivenName
    String                      yomiSurname
    String[]                    businessPhones children homePhones imAddresses
    emailAddress                primaryEmailAddress secondaryEmailAddress tertiaryEmailAddress
    emailAddress[]              emailAddresses
    physicalAddress             businessAddress homeAddress otherAddress
attendee < attendeeBase
    responseStatus              status
    timeSlot                    proposedNewTime
attendeeBase < recipient
    attendeeType                type
dateTimeTimeZone
    String                      timeZone
    String!                     dateTime
emailAddress
    String                      address name
followupFlag
    dateTimeTimeZone            completedDateTime dueDateTime startDateTime
    followupFlagStatus          flagStatus
internetMessageHeader
    String                      name value
itemBody
    String                      content
    bodyType                    contentType
location
    String                      displayName locationEmailAddress locationUri uniqueId
    locationType                locationType
    locationUniqueIdType        uniqueIdType
    outlookGeoCoordinates       coordinates
    physicalAddress             address
onlineMeetingInfo
    String                      conferenceId joinUrl quickDial tollNumber
    String[]                    tollFreeNumbers
    phone[]                     phones
outlookGeoCoordinates
    Double                      accuracy altitude altitudeAccuracy latitude longitude
patternedRecurrence
    recurrencePattern           pattern
    recurrenceRange             range
phone
    String                      language number region
    phoneType                   type
physicalAddress
    String                      city countryOrRegion postalCode state street
recipient
    emailAddress                emailAddress
recurrencePattern
    Int32!                      dayOfMonth interval month
    dayOfWeek                   firstDayOfWeek
    dayOfWeek[]                 daysOfWeek
    recurrencePatternType       type
    weekIndex                   index
recurrenceRange
    Date                        endDate startDate
    Int32!                      numberOfOccurrences
    String                      recurrenceTimeZone
    recurrenceRangeType         type
responseStatus
    DateTimeOffset              time
    responseType                response
timeSlot
    dateTimeTimeZone!           end start
"""

_ENUMS = """
attendeeType                required optional resource
bodyType                    text html
dayOfWeek                   sunday monday tuesday wednesday thursday friday saturday
eventType                   singleInstance occurrence exception seriesMaster
followupFlagStatus          notFlagged complete flagged
freeBusyStatus              unknown free tentative busy oof workingElsewhere
importance                  low normal high
inferenceClassificationType focused other
locationType                default conferenceRoom homeAddress businessAddress geoCoordinates
locationType                streetAddress hotel restaurant localBusiness postalAddress
locationUniqueIdType        unknown locationStore directory private bing
onlineMeetingProviderType   unknown skypeForBusiness skypeForConsumer teamsForBusiness
phoneType                   home business mobile other assistant homeFax businessFax otherFax
phoneType                   pager radio
recurrencePatternType       daily weekly absoluteMonthly relativeMonthly absoluteYearly
recurrencePatternType       relativeYearly
recurrenceRangeType         endDate noEnd numbered
responseType                none organizer tentativelyAccepted accepted declined notResponded
sensitivity                 normal personal private confidential
weekIndex                   first second third fourth last
"""

# The properties that the contract calls output only, by their type.
_OUTPUT_ONLY = """
entity          id
attachment      size lastModifiedDateTime
fileAttachment  contentLocation
outlookItem     changeKey createdDateTime lastModifiedDateTime
message         hasAttachments isDraft parentFolderId webLink
event           hasAttachments iCalUId isDraft isOrganizer onlineMeetingUrl type webLink
contact         parentFolderId
"""


@dataclass(frozen=True, slots=True)
class Property:
    """A property; `type` names an Edm type, an enum, or a type with properties of its own."""

    type: str
    is_collection: bool
    is_nullable: bool


@dataclass(frozen=True, slots=True)
class Type:
    """A type; `own` are its properties without those of its base."""

    base: str
    is_abstract: bool
    is_open: bool
    own: dict[str, Property] = field(default_factory=dict)


def _types() -> dict[str, Type]:
    types: dict[str, Type] = {}
    for line in _TYPES.split("\n")[1:-1]:
        first, *words = line.split()
        if line.startswith(" "):
            plain = first.removesuffix("!").removesuffix("[]")
            described = Property(plain, "[]" in first, "!" not in first)
            types[list(types)[-1]].own.update(dict.fromkeys(words, described))
        else:
            base = words[1] if "<" in words else ""
            types[first] = Type(base, "abstract" in words, "open" in words)
    return types


def _names(table: str) -> dict[str, list[str]]:
    named: dict[str, list[str]] = {}
    for line in table.split("\n")[1:-1]:
        first, *names = line.split()
        named.setdefault(first, []).extend(names)
    return named


TYPES = _types()
ENUMS = _names(_ENUMS)


def lineage(name: str) -> list[str]:
    """Return a type's name and those of its bases."""
    return [name, *lineage(TYPES[name].base)] if name else []


def properties(name: str) -> dict[str, Property]:
    """Return the properties of a type, inherited ones included."""
    return {its: fact for part in reversed(lineage(name)) for its, fact in TYPES[part].own.items()}


def output_only(name: str) -> set[str]:
    """Return the names of the properties that Graph sets, inherited ones included."""
    by_type = _names(_OUTPUT_ONLY)
    return {its for part in lineage(name) for its in by_type.get(part, ())}


# A value of each Edm type in JSON; the value of a String is the name of its property.
IN_JSON = {
    "Binary": "AP/+",
    "Boolean": True,
    "Date": "2026-03-01",
    "DateTimeOffset": "2026-03-01T09:00:00Z",
    "Double": 48.25,
    "Int32": 7,
}


def in_json(type_name: str, *, item: str = "", written: bool = False) -> dict[str, Any]:
    """Return an object of the type with all properties, if `written` without those Graph sets.

    `item` is the name of the type for an abstract one, which then has `@odata.type`. Collections
    have two elements, and enums their last value.
    """

    def value(name: str, fact: Property) -> Any:
        if fact.type in ENUMS:
            return ENUMS[fact.type][-1]
        if fact.type not in TYPES:
            return IN_JSON.get(fact.type, name)
        actual = item if TYPES[fact.type].is_abstract else fact.type
        named = {"@odata.type": f"#microsoft.graph.{actual}"} if actual != fact.type else {}
        return named | in_json(actual, item=item, written=written)

    return {
        name: [value(name, fact) for _ in range(2)] if fact.is_collection else value(name, fact)
        for name, fact in properties(type_name).items()
        if not (written and name in output_only(type_name))
    }


def attachment_in_json(of: str, *, written: bool = False) -> dict[str, Any]:
    """Return an attachment of a "file", or of an item's type, with every property."""
    kind = "fileAttachment" if of == "file" else "itemAttachment"
    return {
        "@odata.type": f"#microsoft.graph.{kind}",
        **in_json(kind, item=of, written=written),
    }


def leaves(value: Any, at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path, such as `a.b[0].c`, and the value of each scalar and each empty container."""
    if isinstance(value, dict) and value:
        for name, member in value.items():
            yield from leaves(member, f"{at}.{name}" if at else name)
    elif isinstance(value, list) and value:
        for index, element in enumerate(value):
            yield from leaves(element, f"{at}[{index}]")
    else:
        yield at, value
