"""The options of the commands for callers, and how such a command makes its call and ends."""

import sys
from collections.abc import Callable
from uuid import UUID, uuid4

import click
import grpc
from google.protobuf import json_format

from attachment_gateway.client import TIMEOUT_S, AttachmentClient, AttachmentError
from graphattachments.v1.attachment_pb2 import Attachment, PostRef

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
    click.option("--timeout", default=TIMEOUT_S, help="seconds for all attempts together"),
    click.option(
        "--request-id",
        type=click.UUID,
        default=uuid4,
        show_default="a new one",
        help="a UUID; that of an earlier call repeats it without a second attachment",
    ),
    click.option(
        "--token",
        envvar="GRAPH_TOKEN",
        show_envvar=True,
        required=True,
        help="a Graph token; prefer the variable, because process lists show options",
    ),
)


def post_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for gateway, post, token, timeout and request id to a command."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def run(
    act: Callable[..., Attachment],
    *,
    gateway: str,
    token: str,
    timeout: float,
    request_id: UUID,
    **ids: str,
) -> None:
    """Call `act(client, post, **how)` and print the attachment, or the error and exit with 1."""
    with grpc.insecure_channel(gateway) as channel:
        client = AttachmentClient(channel, lambda: token)
        try:
            attachment = act(client, PostRef(**ids), timeout_s=timeout, request_id=str(request_id))
        except AttachmentError as error:
            click.echo(error, err=True)
            click.echo(f"to repeat it: --request-id {request_id}", err=True)
            sys.exit(1)
    click.echo(json_format.MessageToJson(attachment))
