"""A small client of the control route, for tests and demos."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, TypedDict, Unpack
from urllib.parse import urlencode

import httpx
import orjson

from graph_emulator.codec import decode, decode_list, encode
from graph_emulator.config import EmulatorConfig, Stamps
from graph_emulator.faults import Fault
from graph_emulator.posts import AttachmentDraft, Post, StoredAttachment, new_id, stored
from graph_emulator.request_log import ReceivedRequest
from graph_emulator.throttle import Peaks

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
    date_offset_s: float
    stamp_offset_s: float
    stamps: Stamps
    odd_items: bool
    odd_types: bool
    odd_names: bool
    odd_bytes: bool
    odd_ids: bool
    value_missing: bool
    list_lag_s: float
    page_shuffle: bool
    list_age_s: int


class EmulatorClient:
    """A client that controls one emulator. It keeps no connection open.

    Raises ValueError if the emulator refuses a request, httpx.HTTPError if it can't be reached.
    """

    def __init__(self, control_url: str) -> None:
        self._control_url = control_url
        self._of_thread = threading.local()

    @property
    def _client(self) -> httpx.Client:
        """The calling thread's client.

        A pool that threads share may close a connection under a request (encode/httpcore#1110).
        """
        if not hasattr(self._of_thread, "client"):
            self._of_thread.client = httpx.Client(
                base_url=self._control_url,
                limits=httpx.Limits(max_keepalive_connections=0),
                timeout=TIMEOUT_S,
                trust_env=False,
                verify=False,  # noqa: S501  (plain HTTP to loopback; spares loading certificates)
            )
        client: httpx.Client = self._of_thread.client
        return client

    # -- control

    def configure(self, **changes: Unpack[ConfigChanges]) -> None:
        """Change these settings and leave the others."""
        self._send("PUT", "/config", replace(self.config(), **changes))

    def add_post(self, post: Post | None = None) -> Post:
        """Add a post; by default one with a new id in the default thread."""
        added = Post(post_id=new_id()) if post is None else post
        self._send("POST", "/posts", added)
        return added

    def place(
        self, draft: AttachmentDraft, post: Post | None = None, at: datetime | None = None
    ) -> StoredAttachment:
        """Store an attachment as if another program had created it; `at` may be in the past."""
        attachment = stored(draft, post or Post(), at or datetime.now(UTC))
        self._send("POST", "/attachments", attachment)
        return attachment

    def inject(self, *faults: Fault) -> None:
        """Add faults, in this order."""
        for fault in faults:
            self._send("POST", "/faults", fault)

    def clear_faults(self, post: Post | None = None) -> None:
        """Remove all faults, or those of one post."""
        self._send("DELETE", f"/faults{_of(post)}")

    def clear(self) -> None:
        """Remove attachments, requests, peaks and faults; posts and configuration stay."""
        self._send("DELETE", "/all")

    # -- inspection

    def config(self) -> EmulatorConfig:
        """Read the present settings."""
        return decode(EmulatorConfig, orjson.loads(self._send("GET", "/config")))

    def stored(self, post: Post | None = None) -> list[StoredAttachment]:
        """Return all attachments ever stored, or those of one post, in the order of storing.

        Deleted ones are included, with `deleted_at`.
        """
        return decode_list(StoredAttachment, self._send("GET", f"/attachments{_of(post)}"))

    def requests(self) -> list[ReceivedRequest]:
        """Return all requests to Graph's routes, in the order of arrival."""
        return decode_list(ReceivedRequest, self._send("GET", "/requests"))

    def faults(self) -> list[Fault]:
        """Return the faults that have not been used up."""
        return decode_list(Fault, self._send("GET", "/faults"))

    def peaks(self) -> Peaks:
        """Return the largest numbers of requests at once, per group and per post."""
        return decode(Peaks, orjson.loads(self._send("GET", "/peaks")))

    def close(self) -> None:
        """Close the HTTP client."""
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
