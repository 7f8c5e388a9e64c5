"""protos/, compiled: the names, numbers and types that callers in other languages rely on."""

import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

from graphattachments.v1 import (
    attachment_pb2,
    attachment_service_pb2,
    contact_pb2,
    event_pb2,
    message_pb2,
    outlook_pb2,
)
from tests.support.processes import PROTOSET

PACKAGE = "graphattachments.v1"
FILES = (
    attachment_pb2,
    attachment_service_pb2,
    contact_pb2,
    event_pb2,
    message_pb2,
    outlook_pb2,
)
MESSAGES: dict[str, Descriptor] = {
    name: message
    for file in FILES
    for name, message in file.DESCRIPTOR.message_types_by_name.items()
}

# The fields of the messages that the service defines.
FIELDS = {
    "PostRef": [
        "string group_id = 1",
        "string conversation_id = 2",
        "string thread_id = 3",
        "string post_id = 4",
    ],
    "Attachment": [
        "optional string id = 1",
        "optional string name = 2",
        "optional string content_type = 3",
        "optional int32 size = 4",
        "optional bool is_inline = 5",
        "google.protobuf.Timestamp last_modified_date_time = 6",
        "kind: graphattachments.v1.FileAttachment file_attachment = 7",
        "kind: graphattachments.v1.ItemAttachment item_attachment = 8",
        "kind: graphattachments.v1.ReferenceAttachment reference_attachment = 9",
    ],
    "FileAttachment": [
        "optional bytes content_bytes = 1",
        "optional string content_id = 2",
        "optional string content_location = 3",
    ],
    "ItemAttachment": [
        "item: graphattachments.v1.Message message = 1",
        "item: graphattachments.v1.Event event = 2",
        "item: graphattachments.v1.Contact contact = 3",
    ],
    "ReferenceAttachment": [],
    "UploadFileAttachmentRequest": [
        "part: graphattachments.v1.UploadHeader header = 1",
        "part: bytes chunk = 2",
        "part: graphattachments.v1.UploadFooter footer = 3",
    ],
    "UploadHeader": [
        "parent: graphattachments.v1.PostRef post = 1",
        "graphattachments.v1.Attachment attachment = 2",
        "optional int64 size_bytes = 3",
        "bytes sha256 = 4",
        "string request_id = 5",
    ],
    "UploadFooter": [
        "optional int64 size_bytes = 1",
        "bytes sha256 = 2",
    ],
    "UploadFileAttachmentResponse": ["graphattachments.v1.Attachment attachment = 1"],
    "CreateAttachmentRequest": [
        "parent: graphattachments.v1.PostRef post = 1",
        "graphattachments.v1.Attachment attachment = 2",
        "string request_id = 3",
    ],
    "CreateAttachmentResponse": ["graphattachments.v1.Attachment attachment = 1"],
    "Date": ["int32 year = 1", "int32 month = 2", "int32 day = 3"],
}

# Graph's types that items consist of: their fields in the order of their numbers, from 1. The
# fields' types are checked against Graph's metadata in test_metadata.
NUMBERED = {
    "Message": """
        id categories change_key created_date_time last_modified_date_time bcc_recipients body
        body_preview cc_recipients conversation_id conversation_index flag from has_attachments
        importance inference_classification internet_message_headers internet_message_id
        is_delivery_receipt_requested is_draft is_read is_read_receipt_requested
        parent_folder_id received_date_time reply_to sender sent_date_time subject to_recipients
        unique_body web_link
    """,
    "FollowupFlag": "completed_date_time due_date_time flag_status start_date_time",
    "InternetMessageHeader": "name value",
    "Event": """
        id categories change_key created_date_time last_modified_date_time
        allow_new_time_proposals attendees body body_preview cancelled_occurrences end
        has_attachments hide_attendees i_cal_u_id importance is_all_day is_cancelled is_draft
        is_online_meeting is_organizer is_reminder_on location locations online_meeting
        online_meeting_provider online_meeting_url organizer original_end_time_zone
        original_start original_start_time_zone recurrence reminder_minutes_before_start
        response_requested response_status sensitivity series_master_id show_as start subject
        transaction_id type web_link
    """,
    "Attendee": "email_address type proposed_new_time status",
    "TimeSlot": "end start",
    "Location": """
        address coordinates display_name location_email_address location_type location_uri
        unique_id unique_id_type
    """,
    "OutlookGeoCoordinates": "accuracy altitude altitude_accuracy latitude longitude",
    "PatternedRecurrence": "pattern range",
    "RecurrencePattern": """
        day_of_month days_of_week first_day_of_week index interval month type
    """,
    "RecurrenceRange": "end_date number_of_occurrences recurrence_time_zone start_date type",
    "OnlineMeetingInfo": """
        conference_id join_url phones quick_dial toll_free_numbers toll_number
    """,
    "Phone": "language number region type",
    "Contact": """
        id categories change_key created_date_time last_modified_date_time assistant_name
        birthday business_address business_home_page business_phones children company_name
        department display_name email_addresses file_as generation given_name home_address
        home_phones im_addresses initials job_title manager middle_name mobile_phone nick_name
        office_location other_address parent_folder_id personal_notes primary_email_address
        profession secondary_email_address spouse_name surname tertiary_email_address title
        yomi_company_name yomi_given_name yomi_surname
    """,
    "DateTimeTimeZone": "date_time time_zone",
    "EmailAddress": "address name",
    "Recipient": "email_address",
    "ItemBody": "content content_type",
    "PhysicalAddress": "city country_or_region postal_code state street",
    "ResponseStatus": "response time",
}

# Properties that the metadata doesn't list; 100 leaves numbers for those that it will list.
ADDITIONAL = "google.protobuf.Struct additional_properties = 100"

# Every scalar of these has presence; in other messages only where absence differs from zero.
RESOURCES = NUMBERED.keys() | {"Attachment", "FileAttachment", "ItemAttachment"}

SCALARS = {
    FieldDescriptor.TYPE_BOOL: "bool",
    FieldDescriptor.TYPE_BYTES: "bytes",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_STRING: "string",
}


def declaration(field: FieldDescriptor) -> str:
    """Return a field as a proto file declares it, with its oneof before it."""
    type_name = field.message_type.full_name if field.message_type else SCALARS[field.type]
    oneof = field.containing_oneof
    if oneof is not None:
        is_optional = oneof.name == f"_{field.name}"
        type_name = f"optional {type_name}" if is_optional else f"{oneof.name}: {type_name}"
    return f"{type_name} {field.name} = {field.number}"


@pytest.fixture(scope="module")
def protoset() -> FileDescriptorSet:
    """The descriptor set that the package ships."""
    return FileDescriptorSet.FromString(PROTOSET.read_bytes())


@pytest.fixture(scope="module")
def ours(protoset: FileDescriptorSet) -> list[FileDescriptorProto]:
    """The project's files in the descriptor set."""
    return [file for file in protoset.file if file.package == PACKAGE]


@pytest.fixture(scope="module")
def pool(protoset: FileDescriptorSet) -> DescriptorPool:
    """A pool with the descriptor set's files and no others."""
    pool = DescriptorPool()
    for file in protoset.file:
        pool.Add(file)
    return pool


# Messages.


def test_every_message_is_listed_here() -> None:
    """The compiled messages are those listed in this file, without nested ones."""
    assert MESSAGES.keys() == FIELDS.keys() | NUMBERED.keys()
    assert {message.full_name for message in MESSAGES.values()} == {
        f"{PACKAGE}.{name}" for name in MESSAGES
    }
    assert not any(message.nested_types for message in MESSAGES.values())


@pytest.mark.parametrize("name", FIELDS)
def test_the_fields_of_the_services_own_messages(name: str) -> None:
    """Each field has the label, oneof, type, name and number that are listed."""
    assert [declaration(field) for field in MESSAGES[name].fields] == FIELDS[name]


@pytest.mark.parametrize("name", NUMBERED)
def test_the_field_numbers_of_graph_types(name: str) -> None:
    """Each field of Graph's types keeps its number."""
    fields = [field for field in MESSAGES[name].fields if field.name != "additional_properties"]
    expected = dict(enumerate(NUMBERED[name].split(), start=1))
    assert {field.number: field.name for field in fields} == expected


def test_only_open_types_have_additional_properties() -> None:
    """Message, Event and Contact have additional properties, and no other message does."""
    assert {
        name: declaration(field)
        for name, message in MESSAGES.items()
        if (field := message.fields_by_name.get("additional_properties"))
    } == {
        "Message": ADDITIONAL,
        "Event": ADDITIONAL,
        "Contact": ADDITIONAL,
    }


@pytest.mark.parametrize("name", sorted(RESOURCES))
def test_scalars_of_a_resource_have_presence(name: str) -> None:
    """Every field of a resource that isn't repeated has presence, so zeros can be sent."""
    without = [field for field in MESSAGES[name].fields if not field.has_presence]
    assert all(field.is_repeated for field in without)


# The service.


def test_the_methods_of_the_service() -> None:
    """The service has a client-streaming upload and a unary create."""
    service = attachment_service_pb2.DESCRIPTOR.services_by_name["AttachmentService"]
    assert service.full_name == "graphattachments.v1.AttachmentService"
    assert [
        (
            method.name,
            method.client_streaming,
            method.input_type.name,
            method.server_streaming,
            method.output_type.name,
        )
        for method in service.methods
    ] == [
        (
            "UploadFileAttachment",
            True,
            "UploadFileAttachmentRequest",
            False,
            "UploadFileAttachmentResponse",
        ),
        (
            "CreateAttachment",
            False,
            "CreateAttachmentRequest",
            False,
            "CreateAttachmentResponse",
        ),
    ]


# Files.


def test_the_descriptor_set_has_every_file(ours: list[FileDescriptorProto]) -> None:
    """The descriptor set has every file that there is Python code for."""
    assert {file.name for file in ours} == {file.DESCRIPTOR.name for file in FILES}
    assert {file.name for file in ours} == {
        "graphattachments/v1/attachment.proto",
        "graphattachments/v1/attachment_service.proto",
        "graphattachments/v1/contact.proto",
        "graphattachments/v1/event.proto",
        "graphattachments/v1/message.proto",
        "graphattachments/v1/outlook.proto",
    }


def test_every_file_has_the_options_for_other_languages(ours: list[FileDescriptorProto]) -> None:
    """Every file has the same options for other languages."""
    expected = {
        "csharp_namespace": "GraphAttachments.V1",
        "go_package": "graphattachments/v1;graphattachmentsv1",
        "java_multiple_files": True,
        "java_package": "com.graphattachments.v1",
    }
    for file in ours:
        assert {option.name: value for option, value in file.options.ListFields()} == expected
        assert file.syntax == "proto3"


def test_the_files_import_only_what_every_protoc_has(ours: list[FileDescriptorProto]) -> None:
    """The files import only well-known types, which every protoc has."""
    imported = {name for file in ours for name in file.dependency}
    assert imported - {file.name for file in ours} == {
        "google/protobuf/struct.proto",
        "google/protobuf/timestamp.proto",
    }


# The descriptor set.


@pytest.mark.parametrize("name", ["ErrorInfo", "BadRequest", "RetryInfo", "ResourceInfo"])
def test_error_details_are_in_the_descriptor_set(pool: DescriptorPool, name: str) -> None:
    """The descriptor set has the types of the error details."""
    assert pool.FindMessageTypeByName(f"google.rpc.{name}").name == name


def test_the_service_is_in_the_descriptor_set(pool: DescriptorPool) -> None:
    """The descriptor set has the service, and the JSON names of Graph's properties."""
    service = pool.FindServiceByName("graphattachments.v1.AttachmentService")
    assert [method.name for method in service.methods] == [
        "UploadFileAttachment",
        "CreateAttachment",
    ]
    assert pool.FindFieldByName(f"{PACKAGE}.Event.i_cal_u_id").json_name == "iCalUId"


def test_the_descriptor_set_is_that_of_the_compiled_code(
    ours: list[FileDescriptorProto],
) -> None:
    """The descriptor set equals the compiled code, except for comments and JSON names."""
    compiled = {file.DESCRIPTOR.name: file.DESCRIPTOR for file in FILES}
    for file in ours:
        bare, expected = FileDescriptorProto(), FileDescriptorProto()
        bare.CopyFrom(file)
        bare.ClearField("source_code_info")
        for message in bare.message_type:
            for field in message.field:
                field.ClearField("json_name")
        compiled[file.name].CopyToProto(expected)
        assert bare == expected


def test_the_descriptor_set_has_the_comments(ours: list[FileDescriptorProto]) -> None:
    """The descriptor set has the comments of the service and its methods."""
    file = next(file for file in ours if file.service)
    comments = {
        tuple(place.path): place.leading_comments for place in file.source_code_info.location
    }
    service, method = 6, 2  # the fields of FileDescriptorProto and ServiceDescriptorProto
    assert comments[service, 0].startswith(" AttachmentService adds attachments to the posts")
    assert comments[service, 0, method, 0].startswith(" Uploads a file as a stream:")
    assert comments[service, 0, method, 1].startswith(" Creates an attachment from one message:")
