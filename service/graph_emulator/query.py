"""The OData query options that attachments have. `$filter` is ignored, as Graph ignores it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode

from graph_emulator.refusals import BAD_QUERY, Refused

EXPAND_ITEM = "microsoft.graph.itemattachment/item"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The query options of a read."""

    options: Mapping[str, str]
    select: Sequence[str] | None = None
    expand_item: bool = False
    top: int | None = None
    skip: int = 0

    def skipping(self, skip: int) -> str:
        """Return the same query for the page that starts at `skip`."""
        return urlencode({**self.options, "$skip": str(skip)})


def parse_query(query_string: str) -> Query:
    """Read the options. Raises `Refused` for an invalid number."""
    options = dict(parse_qsl(query_string))
    select = options.get("$select")
    return Query(
        options=options,
        select=None if select is None else [name.strip() for name in select.split(",")],
        expand_item=options.get("$expand", "").lower() == EXPAND_ITEM,
        top=_number(options, "$top"),
        skip=_number(options, "$skip") or 0,
    )


def _number(options: Mapping[str, str], name: str) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    if not value.isdecimal():
        raise Refused(BAD_QUERY, name=name, value=value)
    return int(value)
