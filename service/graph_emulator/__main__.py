"""`python -m graph_emulator`."""

import click

from graph_emulator.server import DEFAULT_LISTEN, serve


@click.command()
@click.option(
    "--listen",
    default=DEFAULT_LISTEN,
    show_default=True,
    metavar="HOST:PORT",
    help="A loopback address; port 0 is any that is free.",
)
def main(listen: str) -> None:
    """Run a local stand-in for Microsoft Graph, for development and tests."""
    try:
        serve(listen)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--listen") from error


if __name__ == "__main__":
    main()
