"""A small client of the control route, for tests and demos."""

from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypedDict, Unpack
from urllib.parse import urlencode

import httpx
import orjson

from graph_emulator.codec import decode, decode_list, encode
from graph_emulator.config import EmulatorConfig
from graph_emulator.faults import Fault
from graph_emulator.request_log import ReceivedRequest
from graph_emulator.throttle import Peaks
from graph_emulator.world import AttachmentDraft, Post, StoredAttachment, new_id, stored

TIMEOUT_S = 10.0


class ConfigChanges(TypedDict, total=False):
    """The fields of `EmulatorConfig`."""

    max_request_bytes: int
    concurrent_requests_per_group: int
    retry_after_s: float
    latency_s: float
    lag_s: float
    page_size: int | None
    created_status: int
    echo_content_bytes: bool
    rewrite_items: bool
    clock_offset_s: float


class EmulatorClient:
    """Steers one emulator. Keeps no connection open, so `close` is a courtesy.

    Raises ValueError for what the emulator refuses, httpx.HTTPError if it isn't there.
    """

    def __init__(self, control_url: str) -> None:
        self._client = httpx.Client(
            base_url=control_url,
            limits=httpx.Limits(max_keepalive_connections=0),
            timeout=TIMEOUT_S,
            trust_env=False,
            verify=False,  # noqa: S501  (plain HTTP to loopback; spares loading certificates)
        )

    # -- to steer

    def configure(self, **changes: Unpack[ConfigChanges]) -> None:
        """Change these settings and leave the others."""
        self._send("PUT", "/config", replace(self.config(), **changes))

    def add_post(self, post: Post | None = None) -> Post:
        """Make a post; without ids of yours it is a new one in the default thread."""
        added = Post(post_id=new_id()) if post is None else post
        self._send("POST", "/posts", added)
        return added

    def place(
        self, draft: AttachmentDraft, post: Post | None = None, at: datetime | None = None
    ) -> StoredAttachment:
        """Put an attachment there, as if someone else had done it, also in the past."""
        attachment = stored(draft, post or Post(), at or datetime.now(UTC))
        self._send("POST", "/attachments", attachment)
        return attachment

    def inject(self, *faults: Fault) -> None:
        """Let these go wrong, in this order."""
        for fault in faults:
            self._send("POST", "/faults", fault)

    def clear_faults(self, post: Post | None = None) -> None:
        """Let nothing more go wrong, or nothing that is meant for that post."""
        self._send("DELETE", f"/faults{_of(post)}")

    def clear(self) -> None:
        """Forget attachments, requests, peaks and faults; posts and configuration stay."""
        self._send("DELETE", "/all")

    # -- to see

    def config(self) -> EmulatorConfig:
        """Read the present settings."""
        return decode(EmulatorConfig, orjson.loads(self._send("GET", "/config")))

    def stored(self, post: Post | None = None) -> list[StoredAttachment]:
        """List every attachment ever stored, or stored there, in that order.

        Deleted ones say when.
        """
        return decode_list(StoredAttachment, self._send("GET", f"/attachments{_of(post)}"))

    def requests(self) -> list[ReceivedRequest]:
        """List every request to Graph's routes, in the order of arrival."""
        return decode_list(ReceivedRequest, self._send("GET", "/requests"))

    def faults(self) -> list[Fault]:
        """List those that have yet to befall a request."""
        return decode_list(Fault, self._send("GET", "/faults"))

    def peaks(self) -> Peaks:
        """Read the most requests that ever came at once, per group and per post."""
        return decode(Peaks, orjson.loads(self._send("GET", "/peaks")))

    def close(self) -> None:
        """Let go of the HTTP client."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _send(self, method: str, path: str, content: object = None) -> bytes:
        body = None if content is None else encode(content)
        response = self._client.request(method, path, content=body)
        if response.is_client_error:
            raise ValueError(response.text)
        return response.raise_for_status().content


def _of(post: Post | None) -> str:
    return "" if post is None else f"?{urlencode({'post_id': post.post_id})}"
