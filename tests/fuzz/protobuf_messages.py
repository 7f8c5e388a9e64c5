"""The target `protobuf`: changed bytes of messages, through the deserializer of every method."""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

from google.protobuf.message import DecodeError, Message

from attachment_gateway.errors import CallerError
from attachment_gateway.rpc.deserialization import check_understood
from attachment_gateway.translation.create import graph_request_of
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentRequest,
    UploadFileAttachmentRequest,
)
from tests.fuzz import items, messages
from tests.fuzz.deserializers import DESERIALIZERS
from tests.fuzz.draws import chance, content
from tests.fuzz.protobuf_bytes import mutated_message
from tests.fuzz.refusals import refused
from tests.fuzz.requests import json_of, sender
from tests.fuzz.target import ACCEPTED, Outcome, Target
from tests.fuzz.upload_streams import draw as drawn_stream

TYPES: Mapping[str, type[Message]] = {
    "UploadFileAttachment": UploadFileAttachmentRequest,
    "CreateAttachment": CreateAttachmentRequest,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """The bytes of a message, sent to a method."""

    method: str
    message: bytes


def draw(random: Random) -> Sent:
    """Draw the bytes of a message of either method, changed in almost all cases."""
    method = random.choice((*DESERIALIZERS, "CreateAttachment"))
    if chance(random, 0.02):
        return Sent(method, random.randbytes(random.choice((0, 1, 2, 10, 100))))
    if method == "CreateAttachment":
        message = messages.create_request(random).SerializeToString()
    else:
        message = random.choice(drawn_stream(random).messages or (b"",))
        if chance(random, 0.2):
            chunk = content(random, random.choice((0, 1, 127, 128, 16_384)))
            message = UploadFileAttachmentRequest(chunk=chunk).SerializeToString()
    return Sent(method, message if chance(random, 0.05) else mutated_message(random, message))


def check(sent: Sent) -> Outcome:
    """Read the bytes, and compare what is read with what protobuf reads."""
    read = DESERIALIZERS[sent.method](sent.message)
    wanted = _wanted(sent)
    try:
        check_understood(read)
    except CallerError as error:
        outcome = refused(error)
        outcome.expect("refused, but protobuf reads it", holds=wanted is None)
        return outcome
    is_create = isinstance(read, CreateAttachmentRequest)
    outcome = _translated(read) if is_create else Outcome(ACCEPTED)
    outcome.expect("read, but not by protobuf", holds=wanted is not None)
    if wanted is not None:
        outcome.expect("another message", holds=_same(read, wanted))
    return outcome


def _wanted(sent: Sent) -> Message | None:
    try:
        return TYPES[sent.method].FromString(sent.message)
    except DecodeError:
        return None


def _same(read: Any, wanted: Any) -> bool:
    if isinstance(read, memoryview):
        return bool(wanted == UploadFileAttachmentRequest(chunk=bytes(read)))
    return bool(
        read.SerializeToString(deterministic=True) == wanted.SerializeToString(deterministic=True)
    )


def _translated(request: CreateAttachmentRequest) -> Outcome:
    try:
        graph_request = graph_request_of(request, sender(items.CAP_BYTES))
    except CallerError as error:
        return refused(error)
    json_of(graph_request)
    return items.check(request)


PROTOBUF = Target(
    name="protobuf",
    about="changed bytes of messages, through the deserializer of every method",
    share=4,
    draw=draw,
    check=check,
    limit_s=2.0,  # large messages are read on a thread, and coverage makes it three times as long
)
