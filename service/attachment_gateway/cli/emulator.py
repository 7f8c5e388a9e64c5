"""`emulator`: a local emulator of Graph."""

import click

from graph_emulator.server import serve


@click.command("emulator")
@click.option(
    "--listen", default="127.0.0.1:0", help="host:port, loopback only; port 0 for any free port"
)
def command(listen: str) -> None:
    """Run a local emulator of Graph, for development and tests.

    Needs the extra `emulator` of the package.
    """
    serve(listen)
