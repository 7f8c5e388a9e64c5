"""Faults, and the requests that they strike.

A fault strikes only requests that pass the checks before it; other requests are refused as usual.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from graph_emulator.list_faults import Elements

Store = Literal["never", "before", "after"]
Cut = Literal["none", "unread", "before_answer", "mid_answer"]
Broken = Literal["none", "truncated", "garbage", "tiny elements", "deep", "oversized"]

_CHOICES = (("store", Store), ("cut", Cut), ("broken", Broken), ("elements", Elements))

UNTIL_CLEARED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAnswer:
    """A response in place of the normal one: Graph's error format if it has a code, else `body`."""

    status: int
    code: str | None = None
    message: str = ""
    body: bytes = b""
    content_type: str | None = "application/json"
    graph_headers: bool = True
    """Whether it has Graph's headers, such as `request-id`; a proxy's response has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. By default nothing is stored; the other fields tell what the client gets."""

    method: str = "POST"
    post_id: str | None = None
    """None means any post."""
    times: int = 1
    """How many requests it strikes; 0 means all until it is cleared."""

    store: Store = "never"
    """When a write has its effect: never, before the response, or `store_after_s` after it."""
    store_after_s: float = 0.0

    early: bool = False
    """Respond to the head, while the body is still coming; nothing can be stored then."""
    delay_s: float = 0.0
    """The delay before the response or the cut; it occupies no place in the mailbox."""
    answer: FaultAnswer | None = None
    """None means the normal response."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Headers that are added to the response, normal or not."""
    broken: Broken = "none"
    """Whether the response's body is halved, replaced, or has another property that makes it hard
    to read; its Content-Length is correct.
    """

    cut: Cut = "none"
    """Where to cut: before the body is read, before the response, or in half of its body."""
    reset: bool = False
    """Whether the cut is by RST instead of FIN."""

    age_s: int = 0
    """The `Age` header of the response to a GET, as of a cache; 0 is none."""
    next_link: str = ""
    """The `@odata.nextLink` of a list's response; `{url}` in it stands for the requested URL."""
    elements: Elements = ""
    """What a list has in place of its last element: null, a number, a string, or it without id;
    or how many empty ones it has behind it.
    """
    partial: bool = False
    """Whether a list's response leaves out the last half of its elements, without a link."""

    @property
    def of_lists(self) -> bool:
        """Whether the fault strikes only lists, as their documents have what it changes."""
        return bool(self.next_link or self.elements or self.partial)

    @property
    def strikes_unread(self) -> bool:
        """Whether the fault strikes before the body is read."""
        return self.early or self.cut == "unread"

    def __post_init__(self) -> None:
        for name, known in _CHOICES:
            if getattr(self, name) not in get_args(known):
                raise ValueError(f"{name} is one of {get_args(known)}, not {getattr(self, name)!r}")
        self._check_sense()

    def _check_sense(self) -> None:
        normal = self.answer is None and self.cut in ("none", "mid_answer") and not self.early
        if self.reset and self.cut == "none":
            raise ValueError("reset says how to cut, and there is no cut")
        if self.early and self.answer is None:
            raise ValueError("an early answer comes before there is a normal one: give it")
        if self.strikes_unread and self.store != "never":
            raise ValueError("what wasn't read can't be stored")
        if normal and self.method != "GET" and self.store == "never":
            raise ValueError("the normal answer tells of an effect: store it before or after")
        if (self.of_lists or self.age_s) and self.method != "GET":
            raise ValueError("age_s, next_link, elements and partial are of GET")
        if self.of_lists and (self.answer is not None or self.cut in ("unread", "before_answer")):
            raise ValueError("next_link, elements and partial change the normal answer")


class FaultQueue:
    """Faults in the order of injection; each strikes the next requests that match it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Add a fault behind the others."""
        self._faults.append(fault)

    def clear(self, post_id: str | None = None) -> None:
        """Remove all faults, or those of one post."""
        self._faults = [one for one in self._faults if post_id not in (None, one.post_id)]

    def pending(self) -> list[Fault]:
        """Return the faults that are left, each with the remaining `times`."""
        return list(self._faults)

    def take(self, method: str, post_id: str, *, of_list: bool = False) -> Fault | None:
        """Return the first fault that matches a request, None if none does, and use it up once."""
        for index, fault in enumerate(self._faults):
            here = fault.post_id in (None, post_id) and (of_list or not fault.of_lists)
            if fault.method == method and here:
                self._faults[index : index + 1] = _left(fault)
                return fault
        return None


def _left(fault: Fault) -> Iterable[Fault]:
    if fault.times == UNTIL_CLEARED:
        return [fault]
    return [replace(fault, times=fault.times - 1)] if fault.times > 1 else []
