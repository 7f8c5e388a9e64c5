"""`attach`: create the attachment that a JSON file describes, such as an item."""

from typing import Any, TextIO

import click
from google.protobuf import json_format

from attachment_gateway.cli.post_options import post_options, run
from graphattachments.v1.attachment_pb2 import Attachment


@click.command("attach")
@click.argument("file", type=click.File(encoding="utf-8"))
@post_options
def command(file: TextIO, **to: Any) -> None:
    """Create the attachment that FILE (- for standard input) describes, and print it as JSON.

    FILE holds an Attachment as protobuf JSON, with the names that Graph uses, for example
    {"name": "Planning", "itemAttachment": {"event": {"subject": "Planning"}}}
    """
    try:
        attachment = json_format.Parse(file.read(), Attachment())
    except json_format.ParseError as error:
        raise click.UsageError(f"FILE is not an Attachment: {error}") from None
    run(lambda client, post, **how: client.create(attachment, post, **how), **to)
