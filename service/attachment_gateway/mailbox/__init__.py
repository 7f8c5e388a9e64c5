"""The limits that Graph has for each mailbox, kept so that callers don't meet them.

A mailbox, here, is what Graph counts by: an app and a group. Whoever is about to send a request
takes a slot at its mailbox, and says when Graph has asked to wait.
"""

import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

import orjson
from pybase64 import b64decode

# https://learn.microsoft.com/graph/throttling-limits, Outlook: 4 requests at once, and 150 MB of
# uploads in 5 minutes, for each app and mailbox.
CONCURRENT = 4
UPLOAD_BYTES = 150_000_000
UPLOAD_WINDOW_S = 300.0

# A UUID in every token of Entra's. It becomes a part of keys: short, and without a slash.
_APP_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Why a slot couldn't come; the other reason is a limit of ours, which MailboxLimits words.
GRAPH_ASKED = "Graph asked to wait"

# What is told to those whose time ended while they waited for a slot: nobody knows when a request
# ends, but an upload to Graph takes about so long.
SLOT_RETRY_DELAY_S = 1.0

# What Graph asks for is minutes at most; a mistake in its answer mustn't close a mailbox for good.
MAX_PAUSE_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxLimits:
    """How much one mailbox takes; 0 is no limit.

    So many requests at once, and so many bytes of uploads begun in any `upload_window_s`, which may
    be spent in one burst. A request larger than that goes when the window is empty.
    """

    concurrent: int = CONCURRENT
    upload_bytes: int = UPLOAD_BYTES
    upload_window_s: float = UPLOAD_WINDOW_S

    @property
    def concurrent_reached(self) -> str:
        """Say that all slots are taken."""
        return f"our own limit of {self.concurrent} requests at once"

    @property
    def upload_bytes_reached(self) -> str:
        """Say that the bytes are spent."""
        return f"our own limit of {self.upload_bytes:,} bytes in {self.upload_window_s:g} s"


class MailboxBusy(Exception):
    """The slot can't come in time.

    `retry_delay_s`: when it could, as far as that is known. `why`: GRAPH_ASKED, or the limit of
    ours that has been reached, as MailboxLimits words it.
    """

    def __init__(self, *, retry_delay_s: float, why: str) -> None:
        super().__init__(f"the mailbox is busy ({why}); come again in {retry_delay_s:.3g} s")
        self.retry_delay_s = retry_delay_s
        self.why = why


class Mailboxes(Protocol):
    """Every mailbox has a queue of its own, and nothing is remembered of one that is idle."""

    def slot(
        self, mailbox: str, *, upload_bytes: int = 0, within_s: float
    ) -> AbstractAsyncContextManager[None]:
        """Wait for a slot, in the order of arrival; it lasts while the context is open.

        `within_s` of 0 or less: at once or not at all. Raises MailboxBusy if the slot can't come
        in that time: at once where a pause or the bytes begun and waiting before it show that, else
        when the time is over.
        """

    async def pause(self, mailbox: str, for_s: float) -> None:
        """Let no slot at the mailbox begin for so long, which Graph has asked for.

        a pause never shortens another. Turns that have begun go on.
        """

    async def close(self) -> None:
        """Let go of connections."""


def mailbox_of(token: str, group_id: str) -> str:
    """Return the mailbox of a group, as the caller's app sees it: "app id/group id".

    The app id is what the token says of itself, unverified: it only chooses a queue. It is "" if
    the token is opaque, or malformed. Nothing else of the token is in the answer.
    """
    _, _, signed = token.partition(".")
    claims, has_signature, signature = signed.partition(".")
    is_jwt = has_signature and "." not in signature
    return f"{_app_id(claims) if is_jwt else ''}/{group_id.lower()}"


def _app_id(encoded: str) -> str:
    """Return the app id in a JWT's second part."""
    claims = _claims(encoded)
    for name in ("appid", "azp"):  # versions 1 and 2 of Entra's tokens
        value = claims.get(name)
        if isinstance(value, str) and _APP_ID.fullmatch(value):
            return value
    return ""


def _claims(encoded: str) -> dict[str, object]:
    """Return what a JWT says, or {}; whatever its second part is, without an exception."""
    try:
        # A JWT goes without padding; what is too much of it is passed over.
        claims = orjson.loads(b64decode(encoded + "==", altchars=b"-_"))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
