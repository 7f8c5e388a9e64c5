"""The command line for callers: attach a file or an item from a terminal."""

import mimetypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO
from uuid import UUID, uuid4

import click
import grpc
from google.protobuf import json_format

from attachment_gateway.client.sync import TIMEOUT_S, AttachmentClient, AttachmentError
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment, PostRef

_OPTIONS = (
    click.option(
        "--gateway",
        default="127.0.0.1:50051",
        help="address of the gateway: host:port or unix:path",
    ),
    click.option("--group", "group_id", required=True, help="the group's id"),
    click.option("--conversation", "conversation_id", default="", help="the conversation's id"),
    click.option("--thread", "thread_id", required=True, help="the thread's id"),
    click.option("--post", "post_id", required=True, help="the post's id"),
    click.option("--timeout", default=TIMEOUT_S, help="seconds in all"),
    click.option(
        "--request-id",
        type=click.UUID,
        default=uuid4,
        show_default="a new one",
        help="a UUID; with that of an earlier call, that call is repeated, and not made twice",
    ),
    click.option(
        "--token",
        envvar="GRAPH_TOKEN",
        show_envvar=True,
        required=True,
        help="a Graph token; rather by the environment, where no list of processes shows it",
    ),
)


def _to_a_post(command: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@click.command()
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="name of the attachment; the file's own if left out")
@click.option("--content-type", help="MIME type; guessed from the name if left out")
@click.option("--content-id", help="show it inline, where the post's HTML names it as cid:")
@_to_a_post
def upload(
    path: Path, name: str | None, content_type: str | None, content_id: str | None, **to: Any
) -> None:
    """Attach the file at PATH to a post and print the attachment as JSON."""
    name = name or path.name
    attachment = Attachment(
        name=name,
        content_type=content_type or mimetypes.guess_type(name)[0],
        is_inline=True if content_id else None,
        file_attachment=FileAttachment(content_id=content_id),
    )
    _run(
        lambda client, post, **how: client.upload(path, post, attachment, **how),
        **to,
    )


@click.command()
@click.argument("file", type=click.File(encoding="utf-8"))
@_to_a_post
def create(file: TextIO, **to: Any) -> None:
    """Attach what FILE (- for standard input) describes, and print the attachment as JSON.

    FILE holds an Attachment as protobuf JSON, whose names are Graph's own: such as
    {"name": "Planning", "itemAttachment": {"event": {"subject": "Planning"}}}
    """
    try:
        attachment = json_format.Parse(file.read(), Attachment())
    except json_format.ParseError as error:
        raise click.UsageError(f"FILE is no Attachment: {error}") from None
    _run(lambda client, post, **how: client.create(attachment, post, **how), **to)


def _run(
    act: Callable[..., Attachment],
    *,
    gateway: str,
    token: str,
    timeout: float,
    request_id: UUID,
    **ids: str,
) -> None:
    with grpc.insecure_channel(gateway) as channel:
        client = AttachmentClient(channel, lambda: token)
        try:
            attachment = act(client, PostRef(**ids), timeout_s=timeout, request_id=str(request_id))
        except AttachmentError as error:
            click.echo(error, err=True)
            click.echo(f"to repeat it: --request-id {request_id}", err=True)
            sys.exit(1)
    click.echo(json_format.MessageToJson(attachment))
