"""Outlook's limits: requests at once per app and mailbox, and one write at a time per post.

A request holds its place from its head to its response. The peaks also count requests that these
limits refused: they show how many requests the client sent at once.
"""

from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import orjson

from graph_emulator.config import EmulatorConfig
from graph_emulator.posts import Post
from graph_emulator.refusals import CONFLICT, THROTTLED, Refused

Key = TypeVar("Key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Peaks:
    """The largest numbers of requests at once."""

    groups: dict[str, int] = field(default_factory=dict)
    """Requests of any kind, by lower-cased group id."""
    posts: dict[str, int] = field(default_factory=dict)
    """Writes, by post id."""


class Throttle:
    """The counts of requests in progress. Raises `Refused` for a request above a limit."""

    def __init__(self) -> None:
        self._by_app: Counter[tuple[str, str]] = Counter()
        self._by_group: Counter[str] = Counter()
        self._by_post: Counter[str] = Counter()
        self.peaks = Peaks()

    @contextmanager
    def place(
        self, config: EmulatorConfig, app_id: str, post: Post, *, write: bool
    ) -> Iterator[None]:
        """Hold a place in the post's mailbox and, for a write, the post itself."""
        group = post.group_id.lower()
        with (
            _counted(self._by_app, (app_id, group)) as of_app,
            _counted(self._by_group, group) as of_group,
            _counted(self._by_post, post.post_id if write else None) as of_post,
        ):
            _raise_peak(self.peaks.groups, group, of_group)
            _raise_peak(self.peaks.posts, post.post_id, of_post)
            if of_app > config.concurrent_requests_per_group:
                raise Refused(THROTTLED, {"Retry-After": f"{config.retry_after_s:g}"})
            if of_post > 1:
                raise Refused(CONFLICT)
            yield

    def forget_peaks(self) -> None:
        """Reset the peaks."""
        self.peaks = Peaks()


@contextmanager
def _counted(counter: Counter[Key], key: Key | None) -> Iterator[int]:
    if key is None:
        yield 0
        return
    counter[key] += 1
    try:
        yield counter[key]
    finally:
        counter[key] -= 1


def _raise_peak(peaks: dict[str, int], key: str, count: int) -> None:
    if count > peaks.get(key, 0):
        peaks[key] = count


def app_id(token: str) -> str:
    """Return the token's `appid` or `azp`, unverified, or the token itself without them."""
    try:
        payload = token.split(".")[1]
        claims: object = orjson.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (IndexError, ValueError):
        return token
    if not isinstance(claims, dict):
        return token
    return str(claims.get("appid") or claims.get("azp") or token)
