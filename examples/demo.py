"""A demonstration on this machine: a local Graph, a gateway in front of it, and a caller.

It uploads a file in several chunks and attaches one item of each kind, by both routes, reads back
what the local Graph stored, and compares. With --stay it keeps running and prints grpcurl lines.
"""

import argparse
import re
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import grpc
import httpx

from attachment_gateway.client.sync import AttachmentClient
from graph_emulator.posts import CONVERSATION_ID, GROUP_ID, POST_ID, THREAD_ID, Post
from graphattachments.v1.attachment_pb2 import Attachment, ItemAttachment, PostRef
from graphattachments.v1.contact_pb2 import Contact
from graphattachments.v1.event_pb2 import Event
from graphattachments.v1.message_pb2 import Message
from graphattachments.v1.outlook_pb2 import (
    BodyType,
    DateTimeTimeZone,
    EmailAddress,
    Importance,
    ItemBody,
    Recipient,
)

SERVICE = "graphattachments.v1.AttachmentService"
DESCRIPTORS = (
    Path(__file__).parent.parent / "generated/graphattachments/v1/graphattachments.protoset"
)
CHUNK_BYTES = 16 * 1024
TOKEN = "demo"  # noqa: S105 the local Graph accepts any token

SHORT = PostRef(group_id=GROUP_ID, thread_id=THREAD_ID, post_id=POST_ID)
LONG = PostRef(
    group_id=GROUP_ID, conversation_id=CONVERSATION_ID, thread_id=THREAD_ID, post_id=POST_ID
)

ADA = EmailAddress(name="Ada Lovelace", address="ada@contoso.com")

ITEMS: dict[str, Message | Event | Contact] = {
    "message": Message(
        subject="Minutes",
        body=ItemBody(content_type=BodyType.BODY_TYPE_TEXT, content="All agreed."),
        to_recipients=[Recipient(email_address=ADA)],
        importance=Importance.IMPORTANCE_HIGH,
    ),
    "event": Event(
        subject="Planning",
        start=DateTimeTimeZone(date_time="2026-03-02T09:00:00", time_zone="UTC"),
        end=DateTimeTimeZone(date_time="2026-03-02T10:00:00", time_zone="UTC"),
    ),
    "contact": Contact(given_name="Ada", surname="Lovelace", email_addresses=[ADA]),
}


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, default=DESCRIPTORS, help="the file to upload")
    parser.add_argument("--stay", action="store_true", help="stay up until interrupted")
    parser.add_argument("--listen", default="127.0.0.1:0", help="where the gateway shall listen")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: sys.exit(0))
    with ExitStack() as stack:
        graph = stack.enter_context(started("emulator"))
        url = f"http://{graph}/v1.0"
        address = stack.enter_context(
            started(
                *("serve", f"--listen={arguments.listen}", f"--graph-url={url}"),
                *("--ledger=memory:", "--log-level=warning"),
            )
        )
        print(f"a local Graph at {url}, a gateway at {address}\n")
        channel = stack.enter_context(grpc.insecure_channel(address))
        client = AttachmentClient(channel, lambda: TOKEN, chunk_bytes=CHUNK_BYTES)
        show(attach_everything(client, arguments.file), url, arguments.file)
        if arguments.stay:
            stay(address)


@contextmanager
def started(*command: str) -> Iterator[str]:
    """Run a command of the package, and yield the address that it listens on."""
    process = subprocess.Popen(  # noqa: S603 the package's own command
        [sys.executable, "-m", "attachment_gateway", *command],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None  # noqa: S101 it is a pipe
    try:
        announced = re.fullmatch(r"listening on (\S+)\n", process.stdout.readline())
        if announced is None:
            raise SystemExit(f"{command[0]} did not start")
        yield announced[1]
    finally:
        process.terminate()
        process.communicate()


@dataclass(frozen=True)
class Made:
    """An attachment that the gateway reports as created."""

    route: str
    what: str
    attachment: Attachment


def attach_everything(client: AttachmentClient, file: Path) -> Iterator[Made]:
    """Attach the file and each kind of item, by both routes."""
    for route, post in (("short", SHORT), ("long", LONG)):
        yield Made(route, "file", client.upload(file, post))
        for kind, item in ITEMS.items():
            whole = ItemAttachment()
            getattr(whole, kind).CopyFrom(item)
            attachment = client.create(
                Attachment(name=item_name(item), item_attachment=whole), post
            )
            yield Made(route, kind, attachment)


def item_name(item: Message | Event | Contact) -> str:
    """Return an attachment's name, which is taken from its item."""
    return item.surname if isinstance(item, Contact) else item.subject


def check(made: Made, graph_url: str, file: Path) -> str:
    """Read back what Graph stored; return a summary, or exit if it differs from what was sent."""
    attachment = made.attachment
    path = f"{graph_url}{Post().path()}/{quote(attachment.id, safe='')}"
    headers = {"Authorization": f"Bearer {TOKEN}"}
    if made.what == "file":
        stored = httpx.get(f"{path}/$value", headers=headers).raise_for_status().content
        if stored != file.read_bytes():
            raise SystemExit(f"{attachment.name}: other bytes were stored than were sent")
        return f"{len(stored):,} bytes, the same as sent"
    expand = {"$expand": "microsoft.graph.itemattachment/item"}
    item = httpx.get(path, headers=headers, params=expand).raise_for_status().json()["item"]
    if item["@odata.type"] != f"#microsoft.graph.{made.what}":
        raise SystemExit(f"{attachment.name}: stored as {item['@odata.type']}")
    return str(item.get("subject") or item["surname"])


def show(everything: Iterable[Made], graph_url: str, file: Path) -> None:
    """Print a line for each attachment that was created."""
    print(f"{'route':<6} {'what':<8} {'name':<26} stored")
    for made in everything:
        stored = check(made, graph_url, file)
        print(f"{made.route:<6} {made.what:<8} {made.attachment.name:<26} {stored}")


def stay(address: str) -> None:
    """Print grpcurl lines to paste, and wait for Ctrl-C or SIGTERM."""
    post = f'{{"groupId":"{GROUP_ID}","threadId":"{THREAD_ID}","postId":"{POST_ID}"}}'
    call = f"grpcurl -plaintext -H 'authorization: Bearer {TOKEN}'"
    header = f'{{"header":{{"post":{post},"attachment":{{"name":"hello.txt"}}}}}}'
    chunks = '{"chunk":"aGVsbG8s"}{"chunk":"IHdvcmxk"}'
    event = '{"subject":"Planning","importance":"IMPORTANCE_HIGH"}'
    attachment = f'{{"name":"Planning","itemAttachment":{{"event":{event}}}}}'
    print(
        f"""
Lines to paste into another terminal; bytes are base64 in JSON.

grpcurl -plaintext {address} list
grpcurl -plaintext {address} describe {SERVICE}
{call} -d '{header}{chunks}' {address} {SERVICE}/UploadFileAttachment
{call} -d '{{"post":{post},"attachment":{attachment}}}' {address} {SERVICE}/CreateAttachment

Ctrl-C ends it.""",
        flush=True,
    )
    signal.pause()


if __name__ == "__main__":
    main()
