"""The control route, `/emulator`: controls and inspects the emulator. No token is needed.

On the routes made by `see_of` and `clear_of`, the query `post_id` selects one post.
"""

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
from graph_emulator.posts import Post, StoredAttachment

PREFIX = "/emulator"

T = TypeVar("T")
Handler = Callable[[Request], Awaitable[Response]]


def control_routes(emulator: Emulator) -> list[Mount]:
    """Return the routes; each row has a path and the function that reads, writes or clears.

    `see_of` and `clear_of` pass the query's post id to the function, None if there is none.
    """

    def tell(path: str, kind: type[T], act: Callable[[T], None], method: str = "POST") -> Route:
        return Route(path, _telling(kind, act), methods=[method])

    def see_of(path: str, what: Callable[[str | None], object]) -> Route:
        return Route(path, _seeing_of(what), methods=["GET"])

    def see(path: str, what: Callable[[], object]) -> Route:
        return see_of(path, lambda _: what())

    def clear_of(path: str, act: Callable[[str | None], None]) -> Route:
        return Route(path, _clearing_of(act), methods=["DELETE"])

    routes = [
        see("/config", lambda: emulator.config),
        tell("/config", EmulatorConfig, emulator.configure, "PUT"),
        tell("/posts", Post, emulator.add_post),
        see_of("/attachments", emulator.record),
        tell("/attachments", StoredAttachment, emulator.place),
        see("/requests", emulator.log.requests),
        see("/peaks", lambda: emulator.throttle.peaks),
        see("/faults", emulator.faults.pending),
        tell("/faults", Fault, emulator.faults.add),
        clear_of("/faults", emulator.faults.clear),
        clear_of("/all", lambda _: emulator.clear()),
    ]
    return [Mount(PREFIX, routes=routes)]


def _seeing_of(what: Callable[[str | None], object]) -> Handler:
    async def handler(request: Request) -> Response:
        seen = what(request.query_params.get("post_id"))
        return Response(encode(seen), media_type="application/json")

    return handler


def _telling(kind: type[T], act: Callable[[T], None]) -> Handler:
    async def handler(request: Request) -> Response:
        act(_decoded(kind, await request.body()))
        return Response(status_code=204)

    return handler


def _clearing_of(act: Callable[[str | None], None]) -> Handler:
    async def handler(request: Request) -> Response:
        act(request.query_params.get("post_id"))
        return Response(status_code=204)

    return handler


def _decoded(kind: type[T], body: bytes) -> T:
    try:
        return decode(kind, dict(orjson.loads(body)))
    except (TypeError, ValueError) as error:
        raise HTTPException(400, str(error)) from error
