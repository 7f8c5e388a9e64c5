"""`attach`: attach what a file of JSON describes, such as an item."""

from typing import Any, TextIO

import click
from google.protobuf import json_format

from attachment_gateway.cli.post_options import post_options, run
from graphattachments.v1.attachment_pb2 import Attachment


@click.command("attach")
@click.argument("file", type=click.File(encoding="utf-8"))
@post_options
def command(file: TextIO, **to: Any) -> None:
    """Attach what FILE (- for standard input) describes, and print the attachment as JSON.

    FILE holds an Attachment as protobuf JSON, whose names are Graph's own: such as
    {"name": "Planning", "itemAttachment": {"event": {"subject": "Planning"}}}
    """
    try:
        attachment = json_format.Parse(file.read(), Attachment())
    except json_format.ParseError as error:
        raise click.UsageError(f"FILE is no Attachment: {error}") from None
    run(lambda client, post, **how: client.create(attachment, post, **how), **to)
