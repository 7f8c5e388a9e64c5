"""`upload`: attach a file."""

import mimetypes
from pathlib import Path
from typing import Any

import click

from attachment_gateway.cli.post_options import post_options, run
from graphattachments.v1.attachment_pb2 import Attachment, FileAttachment


@click.command("upload")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--name", help="name of the attachment; default: the file's name")
@click.option("--content-type", help="MIME type; default: guessed from the name")
@click.option("--content-id", help="show it inline, where the post's HTML refers to cid:CONTENT_ID")
@post_options
def command(
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
    run(lambda client, post, **how: client.upload(path, post, attachment, **how), **to)
