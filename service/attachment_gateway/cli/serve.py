"""`serve`: the gateway, as one process or as several workers."""

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click
import structlog

from attachment_gateway.errors import SettingError
from attachment_gateway.server import lifecycle, logs
from attachment_gateway.server.supervisor import WorkerFailed, supervise
from attachment_gateway.settings import ENVIRONMENT_PREFIX, Settings


def settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add a flag for every setting, with its environment variable, to a command."""
    for setting in reversed(fields(Settings)):
        command = click.option(
            f"--{setting.name.replace('_', '-')}",
            envvar=ENVIRONMENT_PREFIX + setting.name.upper(),
            show_envvar=True,
            type=setting.type,
            default=setting.default,
            help=setting.metadata["about"],
        )(command)
    return command


@click.command("serve")
@settings_options
def command(**values: Any) -> None:
    """Serve gRPC until SIGTERM.

    Prints `listening on HOST:PORT` on standard output when it accepts calls. Logs go to standard
    error, one JSON object a line.
    """
    try:
        settings = Settings(**values)
        logs.to_standard_error(settings.log_level)
        _warn_of_unknown_settings()
        if settings.workers > 1:
            asyncio.run(supervise(settings))
        else:
            lifecycle.run(settings)
    except SettingError as error:
        raise click.UsageError(str(error)) from None
    except WorkerFailed:
        sys.exit(1)


def _warn_of_unknown_settings() -> None:
    known = {ENVIRONMENT_PREFIX + setting.name.upper() for setting in fields(Settings)}
    for name in sorted(os.environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            structlog.get_logger().warning("unknown_setting", name=name)
