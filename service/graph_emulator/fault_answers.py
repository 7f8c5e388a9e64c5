"""The responses to requests that a fault strikes."""

from collections.abc import Callable, Mapping
from datetime import datetime

from graph_emulator.answers import Answer, Ids, error_body
from graph_emulator.faults import Broken, Fault, FaultAnswer
from graph_emulator.list_faults import halved, with_next_link, with_odd_element
from graph_emulator.listing import age_header

# Half a character of UTF-8 and no JSON, so that every parser fails.
_GARBAGE = b"\xc3<<<"

# More than a careful reader takes: an item of Graph's has some hundred elements, less than ten
# levels and, as the request that it came with, at most 4 MB.
_TINY = b"[" + b"{}," * 60_000 + b"{}]"
_DEEP = b"[" * 200 + b"]" * 200
_OVERSIZED = b'"' + b"x" * 5_000_000 + b'"'


def answer_of(fault: Fault, normal: Answer, ids: Ids, now: datetime, url: str = "") -> Answer:
    """Return the response to a request that this fault strikes, without Graph's headers.

    `url` is the requested URL, with its query.
    """
    given = None if fault.answer is None else _given(fault.answer, ids, now)
    answer = given or _spoiled(fault, normal, url)
    return Answer(
        status=answer.status,
        headers={**answer.headers, **age_header(fault.age_s), **fault.headers},
        body=_BREAK[fault.broken](answer.body),
    )


def _spoiled(fault: Fault, answer: Answer, url: str) -> Answer:
    """Return the normal response, of a list if the fault is of lists, with what it changes."""
    if fault.partial:
        answer = halved(answer)
    if fault.elements:
        answer = with_odd_element(answer, fault.elements)
    return with_next_link(answer, fault.next_link, url) if fault.next_link else answer


def _given(answer: FaultAnswer, ids: Ids, now: datetime) -> Answer:
    body = answer.body
    if answer.code is not None:
        body = error_body(answer.code, answer.message, ids, now)
    headers = {} if answer.content_type is None else {"Content-Type": answer.content_type}
    return Answer(status=answer.status, headers=headers, body=body)


def _with(body: bytes, more: bytes) -> bytes:
    """Return a body with one more property; one that isn't an object becomes one."""
    is_object = body.startswith(b'{"') and body.endswith(b"}")
    return (body[:-1] + b"," if is_object else b"{") + b'"more":' + more + b"}"


_BREAK: Mapping[Broken, Callable[[bytes], bytes]] = {
    "none": lambda body: body,
    "truncated": lambda body: body[: len(body) // 2],
    "garbage": lambda body: (_GARBAGE * (len(body) // len(_GARBAGE) + 1))[: len(body)],
    "tiny elements": lambda body: _with(body, _TINY),
    "deep": lambda body: _with(body, _DEEP),
    "oversized": lambda body: _with(body, _OVERSIZED),
}
