"""The target `uploads`: streams of messages, from the bytes of each to the REST request."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from attachment_gateway.errors import CallerError
from attachment_gateway.graph.request import GraphRequest
from attachment_gateway.rpc.deserialization import check_understood
from attachment_gateway.translation.upload import UploadAssembly
from graphattachments.v1.attachment_service_pb2 import (
    UploadFileAttachmentRequest,
    UploadFooter,
    UploadHeader,
)
from tests.fuzz import draws, messages
from tests.fuzz.deserializers import DESERIALIZERS
from tests.fuzz.draws import chance
from tests.fuzz.expected_json import faults_of, file_json
from tests.fuzz.protobuf_bytes import mutated_message
from tests.fuzz.refusals import refused
from tests.fuzz.requests import HEAD_BYTES, json_of, rules_of_request, sender
from tests.fuzz.target import ACCEPTED, Outcome, Target
from tests.fuzz.upload_rules import faults_of_stream, parsed, path_of, request_bytes

# A small cap, so that sizes at the cap cost little, and now and then Graph's own.
CAPS_BYTES = (3_000, 3_001, 3_002, 3_003, 8_000)
GRAPHS_CAP_BYTES = 4 * 1024 * 1024

_READ = DESERIALIZERS["UploadFileAttachment"]


@dataclass(frozen=True, slots=True)
class Stream:
    """The messages of an upload as bytes, and the cap of the gateway that gets them."""

    messages: tuple[bytes, ...]
    cap_bytes: int


def draw(random: Random, cap_bytes: int | None = None) -> Stream:
    """Draw a stream: a valid one, most of the time with something changed."""
    if cap_bytes is None:
        is_graphs = chance(random, 0.002)
        cap_bytes = GRAPHS_CAP_BYTES if is_graphs else random.choice(CAPS_BYTES)
    header = UploadHeader(
        post=messages.post(random, 0.02),
        attachment=messages.attachment(random),
        request_id=messages.request_id(random, 0.02),
    )
    content = draws.content(random, _size_bytes(random, header, cap_bytes))
    footer = UploadFooter()
    for declares in (header, footer):
        _declare(random, declares, content)
    made = [UploadFileAttachmentRequest(header=header)]
    made += [UploadFileAttachmentRequest(chunk=each) for each in draws.cut(random, content, 8)]
    if chance(random, 0.4):
        made.append(UploadFileAttachmentRequest(footer=footer))
    if chance(random, 0.3):
        _change_order(random, made)
    sent = [each.SerializeToString() for each in made]
    if sent and chance(random, 0.2):
        at = random.randrange(len(sent))
        sent[at] = mutated_message(random, sent[at])
    return Stream(tuple(sent), cap_bytes)


def _size_bytes(random: Random, header: UploadHeader, cap_bytes: int) -> int:
    """Return a small size, or one within 2 bytes of the largest that fits."""
    if chance(random, 0.6):
        return random.choice((0, 1, 2, 3, 100, 1000))
    if faults_of(header.attachment):
        return 100
    room_bytes = cap_bytes - HEAD_BYTES - request_bytes(header, 0)
    return max(room_bytes // 4 * 3 + random.randint(-2, 2), 0)


def _declare(random: Random, declares: UploadHeader | UploadFooter, content: bytes) -> None:
    if chance(random, 0.5):
        faulty = chance(random, 0.1)
        declares.size_bytes = draws.number(random) if faulty else len(content)
    if chance(random, 0.3):
        sha256 = hashlib.sha256(content).digest()
        declares.sha256 = draws.mutated(random, sha256) if chance(random, 0.1) else sha256


def _change_order(random: Random, made: list[UploadFileAttachmentRequest]) -> None:
    at = random.randrange(len(made))
    match random.randrange(5):
        case 0:
            del made[at]
        case 1:
            made.insert(at, made[random.randrange(len(made))])
        case 2:
            random.shuffle(made)
        case 3:
            made.insert(at, UploadFileAttachmentRequest())
        case _:
            del made[at:]


def check(stream: Stream) -> Outcome:
    """Feed a stream to an assembly, and compare how it ends with the contract's rules."""
    known = parsed(stream.messages)
    faults = faults_of_stream(known, head_bytes=HEAD_BYTES, cap_bytes=stream.cap_bytes)
    try:
        graph_request = _assembled(stream)
    except CallerError as error:
        outcome = refused(error)
        outcome.expect(
            f"refused with {error.reason}, but its faults are {sorted(faults)}",
            holds=error.reason in faults,
        )
        return outcome
    outcome = Outcome(ACCEPTED)
    outcome.expect(f"accepted, but its faults are {sorted(faults)}", holds=not faults)
    if not faults:
        _check_request(graph_request, [each for each in known if each is not None], outcome)
    return outcome


def _assembled(stream: Stream) -> GraphRequest:
    assembly = UploadAssembly(sender(stream.cap_bytes))
    for message in stream.messages:
        read = _READ(message)
        check_understood(read)
        assembly.feed(read)
    return assembly.finish()


def _check_request(
    graph_request: GraphRequest, sent: Sequence[UploadFileAttachmentRequest], outcome: Outcome
) -> None:
    header, content = sent[0].header, b"".join(each.chunk for each in sent)
    rules_of_request(graph_request, path_of(header.post), outcome)
    expected = {
        **file_json(header.attachment),
        "contentBytes": base64.b64encode(content).decode(),
    }
    outcome.expect("another JSON", holds=json_of(graph_request) == expected)
    outcome.expect("another size", holds=graph_request.file_bytes == len(content))
    computed = graph_request.sha256
    outcome.expect(
        "another hash", holds=not computed or computed == hashlib.sha256(content).digest()
    )
    outcome.expect(
        "another request id", holds=graph_request.request_id == header.request_id.lower()
    )


UPLOADS = Target(
    name="uploads",
    about="streams of upload messages, from their bytes to the REST request",
    share=4,
    draw=draw,
    check=check,
)
