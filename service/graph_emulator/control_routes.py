"""The control route, `/emulator`: steer the emulator and see what it saw. No token is needed."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import orjson
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from graph_emulator.codec import decode, encode
from graph_emulator.config import EmulatorConfig
from graph_emulator.emulator import Emulator
from graph_emulator.faults import Fault
from graph_emulator.world import Post, StoredAttachment

PREFIX = "/emulator"

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


def control_routes(emulator: Emulator) -> list[Mount]:
    """Make the routes; a row is a path and what is seen, told or cleared by it."""

    def tell(path: str, kind: type[T], act: Callable[[T], None], method: str = "POST") -> Route:
        return Route(path, _telling(kind, act), methods=[method])

    def see(path: str, what: Callable[[], object]) -> Route:
        return Route(path, _seeing(what), methods=["GET"])

    def clear(path: str, act: Callable[[], None]) -> Route:
        return Route(path, _clearing(act), methods=["DELETE"])

    routes = [
        see("/config", lambda: emulator.config),
        tell("/config", EmulatorConfig, emulator.configure, "PUT"),
        tell("/posts", Post, emulator.add_post),
        see("/attachments", emulator.record),
        tell("/attachments", StoredAttachment, emulator.place),
        see("/requests", emulator.log.requests),
        see("/peaks", lambda: emulator.throttle.peaks),
        see("/faults", emulator.faults.pending),
        tell("/faults", Fault, emulator.faults.add),
        clear("/faults", emulator.faults.clear),
        clear("/all", emulator.clear),
    ]
    return [Mount(PREFIX, routes=routes)]


def _seeing(what: Callable[[], object]) -> Handler:
    async def handler(_request: Request) -> Response:
        return Response(encode(what()), media_type="application/json")

    return handler


def _telling(kind: type[T], act: Callable[[T], None]) -> Handler:
    async def handler(request: Request) -> Response:
        act(_decoded(kind, await request.body()))
        return Response(status_code=204)

    return handler


def _clearing(act: Callable[[], None]) -> Handler:
    async def handler(_request: Request) -> Response:
        act()
        return Response(status_code=204)

    return handler


def _decoded(kind: type[T], body: bytes) -> T:
    try:
        return decode(kind, dict(orjson.loads(body)))
    except (TypeError, ValueError) as error:
        raise HTTPException(400, str(error)) from error
