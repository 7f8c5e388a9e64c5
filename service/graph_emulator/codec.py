"""Dataclasses <-> JSON, for the control route: bytes as base64, times as ISO 8601."""

from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import datetime
from typing import TypeVar, get_args, get_type_hints

import orjson

T = TypeVar("T")


def encode(value: object) -> bytes:
    """Write a dataclass, or a list of them."""
    return orjson.dumps(value, default=_encode_bytes)


def decode(kind: type[T], document: Mapping[str, object]) -> T:
    """Read the dataclass `kind`. Raises TypeError for unknown names, ValueError for bad values."""
    hints = get_type_hints(kind)
    return kind(**{name: _decode_value(hints.get(name), value) for name, value in document.items()})


def decode_list(kind: type[T], body: bytes) -> list[T]:
    """Read a list of `kind`."""
    return [decode(kind, document) for document in orjson.loads(body)]


def _encode_bytes(value: object) -> str:
    if not isinstance(value, bytes):
        raise TypeError(f"{type(value)} has no JSON")
    return b64encode(value).decode("ascii")


def _decode_value(hint: object, value: object) -> object:
    kinds = get_args(hint) or (hint,)  # `X | None` is a value of X or null
    if isinstance(value, str) and bytes in kinds:
        return b64decode(value)
    if isinstance(value, str) and datetime in kinds:
        return datetime.fromisoformat(value)
    if isinstance(value, dict):
        classes = [kind for kind in kinds if isinstance(kind, type) and is_dataclass(kind)]
        return decode(classes[0], value) if classes else value
    return value
