"""`worker`: one of the processes that `serve` starts."""

from typing import Any

import click

from attachment_gateway.cli.serve import settings_options
from attachment_gateway.errors import SettingError
from attachment_gateway.server import lifecycle, logs
from attachment_gateway.settings import Settings


@click.command("worker", hidden=True)
@settings_options
def command(**values: Any) -> None:
    """Serve as one of several workers until standard input ends; started by `serve`."""
    settings = Settings(**values)
    logs.to_standard_error(settings.log_level)
    try:
        lifecycle.run(settings, worker=True)
    except SettingError as error:
        raise click.UsageError(str(error)) from None
