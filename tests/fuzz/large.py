"""The target `large`: messages of megabytes, and how long the event loop is kept by each.

The gateway translates a large item in a thread; what is checked here happens on the event loop.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from random import Random

from attachment_gateway.delivery.content_comparison import ContentComparison
from attachment_gateway.delivery.fingerprint import fingerprint
from attachment_gateway.errors import CallerError
from attachment_gateway.rpc.deserialization import check_understood
from attachment_gateway.translation.create import graph_request_of
from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment
from graphattachments.v1.attachment_service_pb2 import CreateAttachmentRequest
from graphattachments.v1.message_pb2 import Message
from graphattachments.v1.outlook_pb2 import ItemBody
from tests.fuzz import draws, messages
from tests.fuzz.deserializers import DESERIALIZERS
from tests.fuzz.protobuf_bytes import LENGTH, Field, encoded, mutated_message
from tests.fuzz.refusals import refused
from tests.fuzz.requests import json_of, sender
from tests.fuzz.target import ACCEPTED, Outcome, Target, timed

CAP_BYTES = 4 * 1024 * 1024

# The largest message that gRPC takes by default.
MAX_MESSAGE_BYTES = 8 * 1024 * 1024


# The numbers of the fields that lead to the message of an item attachment.
_ITEM = (
    CreateAttachmentRequest.ATTACHMENT_FIELD_NUMBER,
    Attachment.ITEM_ATTACHMENT_FIELD_NUMBER,
    ItemAttachment.MESSAGE_FIELD_NUMBER,
)


@dataclass(frozen=True, slots=True)
class Large:
    """A message: its beginning, and in the message at `path` an element, very often."""

    begin: bytes
    path: tuple[int, ...]
    element: bytes
    times: int

    @property
    def message(self) -> bytes:
        """The whole message."""
        inner = self.element * self.times
        for number in reversed(self.path):
            inner = encoded([Field(number, LENGTH, inner)])
        return self.begin + inner


def draw(random: Random) -> Large:
    """Draw a message with one element very often."""
    size_bytes = random.choice((300_000, 1_000_000, 4_000_000, MAX_MESSAGE_BYTES))
    request = messages.create_request(random)
    request.request_id = messages.REQUEST_ID
    request.attachment.item_attachment.message.SetInParent()
    element = random.choice(_ELEMENTS)(random)
    if draws.chance(random, 0.2):
        element = mutated_message(random, element)[:1000]
    begin = request.SerializeToString()
    times = max((size_bytes - len(begin)) // max(len(element), 1), 0)
    return Large(begin, random.choice((_ITEM, _ITEM, ())), element, times)


_ELEMENTS: tuple[Callable[[Random], bytes], ...] = (
    lambda _: encoded([Field(Message.CATEGORIES_FIELD_NUMBER, LENGTH, b"")]),
    lambda _: encoded([Field(Message.TO_RECIPIENTS_FIELD_NUMBER, LENGTH, b"")]),
    lambda random: Message(categories=[draws.text(random)]).SerializeToString(),
    lambda random: Message(body=ItemBody(content=draws.text(random))).SerializeToString(),
    lambda random: _property(random).SerializeToString(),
    lambda random: encoded([Field(536_870_911, LENGTH, random.randbytes(3))]),
)


def _property(random: Random) -> Message:
    message = Message()
    values = message.additional_properties.fields["x"].list_value.values
    for _ in range(20_000):
        values.add().string_value = draws.text(random)[:3]
    return message


def check(large: Large) -> Outcome:
    """Check how long each part takes that the event loop does."""
    outcome = Outcome(ACCEPTED)
    message = large.message
    read = DESERIALIZERS["CreateAttachment"](message)  # the gateway does it on a thread
    try:
        check_understood(read)
        graph_request = graph_request_of(read, sender(CAP_BYTES))
    except CallerError as error:
        made = timed(partial(refused, error), outcome, "to refuse")
        made.violations += outcome.violations
        return made
    json_of(graph_request)
    timed(lambda: fingerprint(graph_request), outcome, "to make a fingerprint")
    timed(lambda: ContentComparison(graph_request).sought, outcome, "to know what is sought")
    return outcome


LARGE = Target(
    name="large",
    about="messages of megabytes, and how long the event loop is kept by each",
    share=0.02,
    draw=draw,
    check=check,
    limit_s=20.0,
)
