"""Type names and enum values in the other forms in which Graph shows them."""

from collections.abc import Callable, Mapping

from graph_emulator.oddities import random_of

# The properties of enum types in Graph's metadata, of items and of the types that items use.
ENUMS = frozenset(
    {"contentType", "daysOfWeek", "firstDayOfWeek", "flagStatus", "importance"}
    | {"index", "inferenceClassification", "locationType", "onlineMeetingProvider", "response"}
    | {"sensitivity", "showAs", "type", "uniqueIdType"}
)

# A name without `#` -> the name that is shown; None is no `@odata.type`.
Renamed = Callable[[str], str | None]


def _outlook(name: str) -> str:
    kind = name.rpartition(".")[2]
    return f"Microsoft.OutlookServices.{kind[:1].upper()}{kind[1:]}"


_EVERY_TYPE: tuple[Renamed, ...] = (
    lambda name: f"#{name}",
    lambda name: name,
    lambda name: f"#{name}".lower(),
    lambda name: f"#{name}".upper(),
    lambda name: f"#{_outlook(name)}",
    _outlook,
    lambda _: None,
)

TYPES: Mapping[str, tuple[Renamed, ...]] = {
    "microsoft.graph.message": (
        *_EVERY_TYPE,
        lambda name: f"#{name.replace('message', 'eventMessage')}",
        lambda name: f"#{name.replace('message', 'eventMessageRequest')}",
    ),
}

CASES: tuple[Callable[[str], str], ...] = (
    str.lower,
    str.upper,
    lambda value: value[:1].upper() + value[1:],
)

Leaf = Callable[[str, object], object]


def odd_type(document: Mapping[str, object], seed: str) -> dict[str, object]:
    """Return a document with its `@odata.type` in another form, or without it."""
    name = str(document.get("@odata.type", "")).removeprefix("#")
    shown = random_of(seed, "type", name).choice(TYPES.get(name, _EVERY_TYPE))(name)
    others = {key: value for key, value in document.items() if key != "@odata.type"}
    return others if shown is None else {"@odata.type": shown, **others}


def odd_typed_item(item: Mapping[str, object], seed: str) -> dict[str, object]:
    """Return an item with its type and its enum values in another form."""
    random = random_of(seed, "enums")

    def recased(name: str, value: object) -> object:
        if name not in ENUMS or not isinstance(value, str):
            return value
        return random.choice(CASES)(value)

    return odd_type({name: mapped(name, value, recased) for name, value in item.items()}, seed)


def mapped(name: str, value: object, leaf: Leaf) -> object:
    """Return a value with each plain value in it replaced, by the name of its property."""
    if isinstance(value, dict):
        return {inner: mapped(inner, one, leaf) for inner, one in value.items()}
    if isinstance(value, list):
        return [mapped(name, one, leaf) for one in value]
    return leaf(name, value)
