"""What is to go wrong, and with which request.

A fault befalls a request that Graph would have taken: what is refused anyway, is refused as ever.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Literal, get_args

from graph_emulator.answers import Answer, Ids, error_body

Store = Literal["never", "before", "after"]
Cut = Literal["none", "unread", "before_answer", "mid_answer"]
Broken = Literal["none", "truncated", "garbage"]

UNTIL_CLEARED = 0

# Half a character of UTF-8 and no JSON, so that every parser fails.
_GARBAGE = b"\xc3<<<"


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultAnswer:
    """An answer instead of the normal one: in Graph's error shape if it has a code, else `body`."""

    status: int
    code: str | None = None
    message: str = ""
    body: bytes = b""
    content_type: str | None = "application/json"
    graph_headers: bool = True
    """Whether `request-id` and the rest go with it; without them it is some proxy's answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One thing that goes wrong. As it stands by default: stored nothing, answered as below."""

    method: str = "POST"
    post_id: str | None = None
    """None is any post."""
    times: int = 1
    """How many requests it befalls; 0 is every one until cleared."""

    store: Store = "never"
    """Whether a write takes effect: not at all, before the answer, or `store_after_s` after it."""
    store_after_s: float = 0.0

    early: bool = False
    """Answer on the head, while the body is still coming; nothing can be stored before that."""
    delay_s: float = 0.0
    """Before the answer or cut; no place in the mailbox is held meanwhile."""
    answer: FaultAnswer | None = None
    """None is the normal answer."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Added to the answer, whichever it is."""
    broken: Broken = "none"
    """The answer's body, cut to half or replaced, under a Content-Length that fits it."""

    cut: Cut = "none"
    """Close before reading the body; after it, without a byte; or half-way in the answer's body."""
    reset: bool = False
    """Cut by RST instead of FIN."""

    @property
    def strikes_unread(self) -> bool:
        """Whether the body isn't waited for."""
        return self.early or self.cut == "unread"

    def __post_init__(self) -> None:
        for name, known in (("store", Store), ("cut", Cut), ("broken", Broken)):
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


class FaultQueue:
    """Faults in the order of injection; each befalls the next requests that match it."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Put it behind the others."""
        self._faults.append(fault)

    def clear(self, post_id: str | None = None) -> None:
        """Let nothing more go wrong, or nothing that is meant for that post."""
        self._faults = [one for one in self._faults if post_id not in (None, one.post_id)]

    def pending(self) -> list[Fault]:
        """List those still to come, with the times that are left."""
        return list(self._faults)

    def take(self, method: str, post_id: str) -> Fault | None:
        """Find the first that matches this request, which uses it up once."""
        for index, fault in enumerate(self._faults):
            if fault.method == method and fault.post_id in (None, post_id):
                self._faults[index : index + 1] = _left(fault)
                return fault
        return None


def _left(fault: Fault) -> Iterable[Fault]:
    if fault.times == UNTIL_CLEARED:
        return [fault]
    return [replace(fault, times=fault.times - 1)] if fault.times > 1 else []


def answer_of(fault: Fault, normal: Answer, ids: Ids, now: datetime) -> Answer:
    """Make the answer to a request that this fault befell, without Graph's headers."""
    answer = normal if fault.answer is None else _given(fault.answer, ids, now)
    return Answer(
        status=answer.status,
        headers={**answer.headers, **fault.headers},
        body=_BREAK[fault.broken](answer.body),
    )


def _given(answer: FaultAnswer, ids: Ids, now: datetime) -> Answer:
    body = answer.body
    if answer.code is not None:
        body = error_body(answer.code, answer.message, ids, now)
    headers = {} if answer.content_type is None else {"Content-Type": answer.content_type}
    return Answer(status=answer.status, headers=headers, body=body)


_BREAK: Mapping[Broken, Callable[[bytes], bytes]] = {
    "none": lambda body: body,
    "truncated": lambda body: body[: len(body) // 2],
    "garbage": lambda body: (_GARBAGE * (len(body) // len(_GARBAGE) + 1))[: len(body)],
}
