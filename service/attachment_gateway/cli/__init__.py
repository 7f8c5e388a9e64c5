"""The command line: one module for each command.

A command's module is imported when the command runs, so that the commands for callers don't need
the packages of the server.
"""

from importlib import import_module

import click

# The commands; each is in the module of its name.
_COMMANDS = ("attach", "emulator", "serve", "upload", "worker")

# The extra that a command needs besides the base install.
_EXTRAS = {"serve": "server", "worker": "server", "emulator": "emulator"}

# The commands that `--help` doesn't list.
_HIDDEN = {"worker"}


class _Commands(click.Group):
    """The group of the commands, which imports a command's module when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 click's signature
        """Return the names of the commands, in order."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 click's signature
        """Import a command; without its extra, return one that says what to install."""
        if cmd_name not in _COMMANDS:
            return None
        try:
            module = import_module(f"attachment_gateway.cli.{cmd_name}")
        except ModuleNotFoundError as error:
            extra = _EXTRAS.get(cmd_name)
            if extra is None or (error.name or "").startswith("attachment_gateway"):
                raise
            return _unavailable(cmd_name, f"{error.name} is missing", extra)
        command: click.Command = module.command
        return command


def _unavailable(name: str, why: str, extra: str) -> click.Command:
    """Return a command that says what to install."""

    @click.command(
        name,
        short_help=f"Needs the extra `{extra}`.",
        hidden=name in _HIDDEN,
        context_settings={"ignore_unknown_options": True, "allow_extra_args": True},
        add_help_option=False,
    )
    def command() -> None:
        raise click.ClickException(f"{why}: pip install 'attachment-gateway[{extra}]'")

    return command


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True},
)
@click.version_option(package_name="attachment-gateway")
def main() -> None:
    """Turn files and Outlook items into attachments of group posts, through Microsoft Graph."""
