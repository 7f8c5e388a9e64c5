"""The emulator as an ASGI app, with its routes."""

from collections.abc import Iterator, Mapping

from starlette.applications import Starlette
from starlette.routing import Route

from graph_emulator.config import DEFAULT_CONFIG, EmulatorConfig
from graph_emulator.control_routes import control_routes
from graph_emulator.emulator import Emulator
from graph_emulator.endpoint import ROOT, GraphEndpoint
from graph_emulator.operations import COLLECTION, ENTITY, VALUE, Operation

POSTS = (
    "/groups/{group}/threads/{thread}/posts/{post}",
    "/groups/{group}/conversations/{conversation}/threads/{thread}/posts/{post}",
)

PATHS: Mapping[str, Mapping[str, Operation]] = {
    "/attachments": COLLECTION,
    "/attachments/{attachment}": ENTITY,
    "/attachments/{attachment}/$value": VALUE,
}


def create_app(config: EmulatorConfig = DEFAULT_CONFIG) -> Starlette:
    """Return an emulator with one post; only `graph_emulator.server` can serve it."""
    emulator = Emulator(config)
    return Starlette(routes=[*control_routes(emulator), *_graph_routes(emulator)])


def _graph_routes(emulator: Emulator) -> Iterator[Route]:
    for post in POSTS:
        for path, operations in PATHS.items():
            yield Route(f"{ROOT}{post}{path}", GraphEndpoint(emulator, operations))
    yield Route("/{elsewhere:path}", GraphEndpoint(emulator, {}))
