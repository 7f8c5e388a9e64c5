"""Whether an attachment that Graph shows has the content of a request. Pure: no I/O."""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from urllib.parse import quote

import orjson

from attachment_gateway.delivery.candidates import Candidate, Sought
from attachment_gateway.delivery.fingerprint import file_sha256
from attachment_gateway.delivery.item_comparison import is_alike
from attachment_gateway.delivery.names import Name
from attachment_gateway.graph import codec
from attachment_gateway.graph.request import FILE, GraphRequest

EXPAND_ITEM = "?$expand=microsoft.graph.itemattachment/item"

# The properties of an item that Graph may show as the attachment's name.
_ITEM_NAMES = ("subject", "displayName")


class ContentComparison:
    """Compares the content of listed attachments with what a request creates."""

    def __init__(self, graph_request: GraphRequest) -> None:
        self._graph_request = graph_request
        self._is_file = graph_request.kind == FILE

    @cached_property
    def sought(self) -> Sought:
        """What a list is searched for."""
        kind = "fileAttachment" if self._is_file else "itemAttachment"
        return Sought(kind=kind, names=tuple(self._names()))

    def needs_content(self, candidate: Candidate) -> bool:
        """Return whether a candidate's content can be alike.

        A file of another name that is listed as smaller than ours is not fetched: Graph's size is
        never below the file's own.
        """
        size_bytes = candidate.listed.get("size")
        is_smaller = isinstance(size_bytes, int) and size_bytes < (
            self._graph_request.file_bytes or 0
        )
        return bool(candidate.id) and not (candidate.name is Name.OTHER and is_smaller)

    def path(self, candidate: Candidate) -> str:
        """Return the path of a candidate's content: a file's raw bytes, or JSON with the item."""
        path = f"{self._graph_request.head.path}/{quote(candidate.id, safe='')}"
        return f"{path}/$value" if self._is_file else f"{path}{EXPAND_ITEM}"

    def is_alike(self, content: bytes) -> bool:
        """Compare what was read from `path` with the request's content."""
        if self._is_file:
            return hashlib.sha256(content).digest() == self._sha256
        try:
            return is_alike(self._described.get("item"), codec.parsed(content).get("item"))
        except RecursionError:  # it is nested hundreds of levels deep, which no item is
            return False

    def _names(self) -> Iterator[object]:
        yield self._described.get("name")
        item = self._described.get("item")
        if isinstance(item, Mapping):
            yield from (item[name] for name in _ITEM_NAMES if name in item)

    @cached_property
    def _sha256(self) -> bytes:
        return file_sha256(self._graph_request)

    @cached_property
    def _described(self) -> Mapping[str, object]:
        """The request's JSON, without a file's bytes."""
        body = self._graph_request.body
        described: Mapping[str, object] = orjson.loads(
            body[0] + body[-1] if self._is_file else b"".join(body)
        )
        return described
