"""`worker`: one process of several, which `serve` starts."""

from typing import Any

import click

from attachment_gateway.cli.serve import settings_options
from attachment_gateway.errors import SettingError
from attachment_gateway.server import lifecycle, logs
from attachment_gateway.settings import Settings


@click.command("worker", hidden=True)
@settings_options
def command(**values: Any) -> None:
    """Serve as one of several, until standard input ends; `serve` runs it."""
    settings = Settings(**values)
    logs.to_standard_error(settings.log_level)
    try:
        lifecycle.run(settings, worker=True)
    except SettingError as error:
        raise click.UsageError(str(error)) from None
