"""Graph's limits for each mailbox, kept by the gateway so that Graph refuses no request for them.

A mailbox is an app and a group, as Graph counts. A call takes a slot of its mailbox before it sends
a request, and reports when Graph asks for a pause. `senders` decides which mailbox a token's calls
use before Graph has shown whether it accepts the token.
"""

import re
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import orjson
from pybase64 import b64decode

# https://learn.microsoft.com/graph/throttling-limits, Outlook: 4 requests at once, and 150 MB of
# uploads in 5 minutes, for each app and mailbox.
CONCURRENT = 4
UPLOAD_BYTES = 150_000_000
UPLOAD_WINDOW_S = 300.0

# A UUID in every token of Entra. It becomes part of keys, so it must be short and without a slash.
_APP_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# The mailbox of the identities that Graph has not accepted yet is named `NEW` and their mailbox. No
# app id has a colon.
NEW = "new:"

# MailboxBusy's `why` during a pause; otherwise it is a sentence of MailboxLimits.
GRAPH_ASKED = "Graph asked to wait"

# The `retry_delay_s` for a call whose time ended while all slots were taken. When a slot will be
# released is unknown; an upload to Graph takes about this long.
SLOT_RETRY_DELAY_S = 1.0

# Graph asks for minutes at most. This limit keeps a wrong response from closing a mailbox for good.
MAX_PAUSE_S = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxLimits:
    """The limits of one mailbox; 0 means no limit.

    At most `concurrent` requests at once, and at most `upload_bytes` of uploads begun in any
    `upload_window_s`, even all in one burst. A larger request begins when the window is empty.
    `whose` is part of the sentences.
    """

    concurrent: int = CONCURRENT
    upload_bytes: int = UPLOAD_BYTES
    upload_window_s: float = UPLOAD_WINDOW_S
    whose: str = ""

    def of(self, mailbox: str) -> "MailboxLimits":
        """Return the limits of a mailbox of that name.

        New identities may use half of the slots, at least 1, and half of CONCURRENT if only the
        bytes are limited. Their bytes count in the mailbox itself.
        """
        if not (mailbox.startswith(NEW) and (self.concurrent or self.upload_bytes)):
            return self
        slots = max((self.concurrent or CONCURRENT) // 2, 1)
        whose = " with tokens that Graph has not accepted yet"
        return replace(self, concurrent=slots, upload_bytes=0, whose=whose)

    @property
    def concurrent_reached(self) -> str:
        """The sentence that says that all slots are taken."""
        return f"the gateway's limit of {self.concurrent} requests at once{self.whose}"

    @property
    def upload_bytes_reached(self) -> str:
        """The sentence that says that the window has no bytes left."""
        return f"the gateway's limit of {self.upload_bytes:,} bytes in {self.upload_window_s:g} s"


class MailboxBusy(Exception):
    """The slot can't begin in time.

    `retry_delay_s`: when it could begin, as far as that is known. `why`: GRAPH_ASKED, or
    MailboxLimits' sentence for the limit that is reached.
    """

    def __init__(self, *, retry_delay_s: float, why: str) -> None:
        super().__init__(f"the mailbox is busy ({why}); come again in {retry_delay_s:.3g} s")
        self.retry_delay_s = retry_delay_s
        self.why = why


class Slot(Protocol):
    """A slot in use."""

    def give_back(self) -> None:
        """Stop counting the slot's bytes, at the latest when the slot ends: Graph took none.

        Repeating it changes nothing.
        """


class Mailboxes(Protocol):
    """The slots of all mailboxes. Each mailbox has its own queue; an idle one takes no memory."""

    def slot(
        self, mailbox: str, *, upload_bytes: int = 0, within_s: float
    ) -> AbstractAsyncContextManager[Slot]:
        """Wait for a slot, in the order of arrival, and hold it while the context is open.

        With `within_s` of 0 or less the slot begins at once or not at all. Raises MailboxBusy if
        the slot can't begin in time: at once if a pause, or the bytes begun and waiting before it,
        show that; otherwise when the time is over.
        """

    async def pause(self, mailbox: str, for_s: float) -> None:
        """Let no slot of the mailbox begin for `for_s`, as Graph has asked.

        A pause never shortens an earlier one. Slots that have begun stay.
        """

    async def close(self) -> None:
        """Close the connections."""


def mailbox_of(token: str, group_id: str) -> str:
    """Return the mailbox of a group and the token's app: "app id/group id".

    The app id is the token's unverified claim, since it only chooses a queue. It is "" if the token
    is opaque or malformed. The result holds nothing else of the token.
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
    """Return the claims in a JWT's second part, or {} if it can't be decoded."""
    try:
        # A JWT has no padding; b64decode ignores surplus padding.
        claims = orjson.loads(b64decode(encoded + "==", altchars=b"-_"))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
