"""The command line: assembles the world, and alone reads the environment."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import click
import structlog
import uvloop
from structlog.processors import ExceptionRenderer
from structlog.tracebacks import ExceptionDictTransformer

from attachment_gateway.cli import callers
from attachment_gateway.server.malloc import keep_pages
from attachment_gateway.server.gateway import serve
from attachment_gateway.settings import ENVIRONMENT_PREFIX, SettingError, Settings
from attachment_gateway.server.supervisor import WorkerFailed, supervise


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(package_name="attachment-gateway")
def main() -> None:
    """Turn files and Outlook items into attachments of group posts, through Microsoft Graph."""


def _settings_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command a flag for every setting, each with its environment variable."""
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


@main.command("serve")
@_settings_options
def serve_command(**values: Any) -> None:
    """Serve gRPC until SIGTERM.

    Prints `listening on HOST:PORT` on standard output once it takes calls. Logs go to standard
    error, one JSON object a line.
    """
    try:
        settings = Settings(**values)
        _log_to_stderr(settings.log_level)
        _warn_of_unknown_settings()
        if settings.workers > 1:
            asyncio.run(supervise(settings))
        else:
            _serve(settings)
    except SettingError as error:
        raise click.UsageError(str(error)) from None
    except WorkerFailed:
        sys.exit(1)


@main.command(hidden=True)
@_settings_options
def worker(**values: Any) -> None:
    """Serve as one of several, until standard input ends; `serve` runs it."""
    settings = Settings(**values)
    _log_to_stderr(settings.log_level)
    try:
        _serve(settings, worker=True)
    except SettingError as error:
        raise click.UsageError(str(error)) from None


def _serve(settings: Settings, *, worker: bool = False) -> None:
    keep_pages()
    uvloop.run(serve(settings, worker=worker))


@main.command()
@click.option("--listen", default="127.0.0.1:0", help="host:port, loopback only; port 0 for any")
def emulator(listen: str) -> None:
    """Run a local stand-in for Graph, for development and tests.

    Needs the extra `emulator` of the package.
    """
    try:
        from graph_emulator.server import serve as serve_emulator  # noqa: PLC0415 an extra
    except ModuleNotFoundError as error:
        raise click.ClickException(
            f"{error.name} is missing: pip install 'attachment-gateway[emulator]'"
        ) from None
    serve_emulator(listen)


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(stream=sys.stderr, format="%(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Without locals: requests and tokens are among them.
            ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )


def _warn_of_unknown_settings() -> None:
    known = {ENVIRONMENT_PREFIX + setting.name.upper() for setting in fields(Settings)}
    for name in sorted(os.environ):
        if name.startswith(ENVIRONMENT_PREFIX) and name not in known:
            structlog.get_logger().warning("unknown_setting", name=name)


main.add_command(callers.upload)
main.add_command(callers.create)

if __name__ == "__main__":
    main()
