"""The gateway seen by grpcurl, which knows only what reflection or the protoset tells.

The gateway is that of `examples/demo.py --stay`, which `make run` runs.
"""

import base64
import json
import os
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import pytest
from google.protobuf import json_format
from google.protobuf.any_pb2 import Any as AnyMessage
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo

from graph_emulator.posts import GROUP_ID, POST_ID, THREAD_ID, Post
from graphattachments.v1.attachment_pb2 import Attachment
from graphattachments.v1.attachment_service_pb2 import (
    CreateAttachmentResponse,
    UploadFileAttachmentResponse,
)
from tests.support.grpcurl import BUILT_WITHIN_S
from tests.support.processes import (
    DEMO,
    PROTOSET,
    ended,
    left_behind,
    lines_until,
    program,
)

CALLED_WITHIN_S = 30

pytestmark = pytest.mark.timeout(BUILT_WITHIN_S + 100)

SERVICE = "graphattachments.v1.AttachmentService"
POST = {"groupId": GROUP_ID, "threadId": THREAD_ID, "postId": POST_ID}
TOKEN = ("-H", "authorization: Bearer demo")

# How grpcurl learns the messages' types.
BY = {"reflection": (), "protoset": ("-protoset", str(PROTOSET))}
by = pytest.mark.parametrize("by", BY)

Ran = subprocess.CompletedProcess[str]
Grpcurl = Callable[..., Ran]


@dataclass(frozen=True)
class Demo:
    """The lines that the demo printed, and the addresses of its servers."""

    lines: list[str]
    graph_url: str
    address: str

    def line(self, words: str) -> str:
        """Return the only grpcurl line that contains the words."""
        [found] = [line for line in self.pasted() if words in line]
        return found

    def pasted(self) -> list[str]:
        return [line for line in self.lines if line.startswith("grpcurl ")]

    def stored(self, attachment: Attachment) -> bytes:
        """Return the content of an attachment, read from the emulator."""
        url = f"{self.graph_url}{Post().path()}/{quote(attachment.id, safe='')}/$value"
        answer = httpx.get(url, headers={"Authorization": "Bearer demo"}, timeout=CALLED_WITHIN_S)
        return answer.raise_for_status().content


@pytest.fixture(scope="module")
def demo(path: str) -> Iterator[Demo]:
    """The running demo, which must end without output and leave nothing behind."""
    with program(*DEMO, "--stay", "--listen", "127.0.0.1:0") as process:
        lines = lines_until(r"Ctrl-C ends it\.", process)
        where = re.fullmatch(r"a local Graph at (\S+), a gateway at (\S+)", lines[0])
        assert where is not None
        yield Demo(lines, where[1], where[2])
        process.terminate()
        assert ended(process) == (0, "", "")
        assert not left_behind(process)


@pytest.fixture
def paste(path: str) -> Grpcurl:
    """Run a line in a shell."""

    def pasted(line: str) -> Ran:
        return run(["sh", "-c", line], path)

    return pasted


@pytest.fixture
def grpcurl(path: str, demo: Demo) -> Grpcurl:
    """Run grpcurl against the demo's gateway with options, a target and data."""

    def called(*options: str, to: tuple[str, ...], data: str = "") -> Ran:
        sent = ("-d", "@") if data else ()
        return run(["grpcurl", "-plaintext", *options, *sent, demo.address, *to], path, data)

    return called


def run(command: list[str], path: str, data: str = "") -> Ran:
    return subprocess.run(
        command,
        input=data,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=CALLED_WITHIN_S,
        check=False,
    )


def output_of(ran: Ran) -> str:
    assert (ran.returncode, ran.stderr) == (0, "")
    return ran.stdout


def upload_of(name: str, *chunks: bytes) -> str:
    """Return the messages of an upload as JSON, one a line."""
    parts: list[dict[str, object]] = [{"header": {"post": POST, "attachment": {"name": name}}}]
    parts += [{"chunk": base64.b64encode(chunk).decode()} for chunk in chunks]
    return "\n".join(json.dumps(part) for part in parts)


@dataclass(frozen=True)
class Refusal:
    """An error as grpcurl prints it."""

    exit_code: int
    code: str
    message: str
    info: ErrorInfo
    rest: list[AnyMessage]


def refusal_of(ran: Ran) -> Refusal:
    """Parse the error that grpcurl printed; fails if grpcurl couldn't decode a detail."""
    head, _, details = ran.stderr.partition("  Details:\n")
    printed = re.fullmatch(r"ERROR:\n  Code: (\w+)\n  Message: (.*)\n", head)
    assert printed is not None
    first, *rest = (
        json_format.Parse(detail, AnyMessage())
        for detail in re.findall(r"^  \d+\)\t(\{.*?^    \t\})", details, re.DOTALL | re.MULTILINE)
    )
    info = ErrorInfo()
    assert first.Unpack(info)
    return Refusal(ran.returncode, printed[1], printed[2], info, rest)


# The lines that the demo prints.


def test_the_demo_prints_four_lines_to_paste(demo: Demo) -> None:
    """The demo prints four grpcurl lines, each of which a test below runs."""
    assert [line.split(demo.address)[1] for line in demo.pasted()] == [
        " list",
        f" describe {SERVICE}",
        f" {SERVICE}/UploadFileAttachment",
        f" {SERVICE}/CreateAttachment",
    ]


def test_list_shows_the_services(demo: Demo, paste: Grpcurl) -> None:
    """`list` shows the gateway's, the health and the reflection service."""
    assert output_of(paste(demo.line(" list"))).splitlines() == [
        "graphattachments.v1.AttachmentService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


def test_describe_shows_both_methods(demo: Demo, paste: Grpcurl) -> None:
    """`describe` shows both methods with their request and response types."""
    assert output_of(paste(demo.line(" describe "))).replace(".graphattachments.v1.", "") == (
        "graphattachments.v1.AttachmentService is a service:\n"
        "service AttachmentService {\n"
        "  rpc CreateAttachment ( CreateAttachmentRequest )"
        " returns ( CreateAttachmentResponse );\n"
        "  rpc UploadFileAttachment ( stream UploadFileAttachmentRequest )"
        " returns ( UploadFileAttachmentResponse );\n"
        "}\n"
    )


def test_the_upload_line_creates_a_file(demo: Demo, paste: Grpcurl) -> None:
    """The upload's header and two chunks become one file attachment."""
    answer = output_of(paste(demo.line("/UploadFileAttachment")))
    attachment = json_format.Parse(answer, UploadFileAttachmentResponse()).attachment
    assert (attachment.name, attachment.WhichOneof("kind")) == ("hello.txt", "file_attachment")
    assert demo.stored(attachment) == b"hello, world"


def test_the_create_line_creates_an_event(demo: Demo, paste: Grpcurl) -> None:
    """The event becomes an item attachment."""
    answer = output_of(paste(demo.line("/CreateAttachment")))
    attachment = json_format.Parse(answer, CreateAttachmentResponse()).attachment
    assert (attachment.name, attachment.WhichOneof("kind")) == ("Planning", "item_attachment")
    assert attachment.id


# Other uses of grpcurl.


@by
def test_an_upload_of_many_chunks_is_stored_whole(demo: Demo, grpcurl: Grpcurl, by: str) -> None:
    """The 300,000 bytes of 43 chunks from standard input are stored unchanged."""
    file = os.urandom(300_000)
    chunks = [file[at : at + 7_001] for at in range(0, len(file), 7_001)]
    data = upload_of("random.bin", *chunks)
    ran = grpcurl(*BY[by], *TOKEN, to=(f"{SERVICE}/UploadFileAttachment",), data=data)
    attachment = json_format.Parse(output_of(ran), UploadFileAttachmentResponse()).attachment
    assert len(chunks) == 43
    assert demo.stored(attachment) == file


@by
def test_responses_have_the_names_of_graph(grpcurl: Grpcurl, by: str) -> None:
    """The fields of a JSON response have Graph's names."""
    data = upload_of("names.txt", b"x")
    ran = grpcurl(*BY[by], *TOKEN, to=(f"{SERVICE}/UploadFileAttachment",), data=data)
    assert json.loads(output_of(ran))["attachment"].keys() == {
        "id",
        "name",
        "size",
        "isInline",
        "lastModifiedDateTime",
        "fileAttachment",
    }


@pytest.mark.parametrize("service", ["", SERVICE])
def test_the_health_check_reports_serving(grpcurl: Grpcurl, service: str) -> None:
    """The server as a whole and the service are healthy."""
    data = json.dumps({"service": service})
    ran = grpcurl(to=("grpc.health.v1.Health/Check",), data=data)
    assert json.loads(output_of(ran)) == {"status": "SERVING"}


@by
def test_error_details_are_described(grpcurl: Grpcurl, by: str) -> None:
    """The types of the error details can be described."""
    described = output_of(grpcurl(*BY[by], to=("describe", "google.rpc.ErrorInfo"))).splitlines()
    assert described[0] == "google.rpc.ErrorInfo is a message:"
    assert [line for line in described[1:] if "//" not in line] == [
        "message ErrorInfo {",
        "  string reason = 1;",
        "  string domain = 2;",
        "  map<string, string> metadata = 3;",
        "}",
    ]


# Errors.


@by
def test_a_call_without_a_token_is_unauthenticated(grpcurl: Grpcurl, by: str) -> None:
    """A call without a token is refused with what to send, and with readable details."""
    data = json.dumps({"post": POST, "attachment": {"name": "a.txt", "fileAttachment": {}}})
    refusal = refusal_of(grpcurl(*BY[by], to=(f"{SERVICE}/CreateAttachment",), data=data))
    assert (refusal.exit_code, refusal.code) == (64 + 16, "Unauthenticated")
    assert refusal.message == "no authorization metadata; send `authorization: Bearer <token>`"
    assert (refusal.info.reason, refusal.info.domain) == ("TOKEN_MISSING", "attachment-gateway")
    assert refusal.info.metadata.keys() == {"client_request_id"}
    assert refusal.rest == []


@by
@pytest.mark.parametrize("method", ["UploadFileAttachment", "CreateAttachment"])
def test_an_empty_name_is_refused_with_its_field(grpcurl: Grpcurl, by: str, method: str) -> None:
    """An empty name is refused with the field's path, and with readable details."""
    field = {
        "UploadFileAttachment": "header.attachment.name",
        "CreateAttachment": "attachment.name",
    }
    request = {"post": POST, "attachment": {"name": "", "fileAttachment": {}}}
    data = json.dumps({"header": request} if method == "UploadFileAttachment" else request)
    refusal = refusal_of(grpcurl(*BY[by], *TOKEN, to=(f"{SERVICE}/{method}",), data=data))
    assert (refusal.exit_code, refusal.code) == (64 + 3, "InvalidArgument")
    assert refusal.message == f"{field[method]}: empty; give the attachment a name"
    assert (refusal.info.reason, refusal.info.domain) == ("INVALID_REQUEST", "attachment-gateway")
    [detail] = refusal.rest
    bad = BadRequest()
    assert detail.Unpack(bad)
    assert [(each.field, each.description) for each in bad.field_violations] == [
        (field[method], "empty; give the attachment a name")
    ]
