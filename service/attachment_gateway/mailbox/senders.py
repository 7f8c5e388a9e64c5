"""Which mailbox a token's requests use, before and after Graph has shown whether it accepts it.

A mailbox is named by what a token claims, which the gateway can't verify. Graph can: it counts
nothing against an app for a request that it doesn't authenticate. So these rules keep forged tokens
from spending the limits of the app that they name:

- Bytes that Graph didn't take are given back when the slot ends: those of a request that wasn't
  sent whole, and of a response that `identities.takes_nothing` names. Those of an unclear outcome
  stay counted.
- A new identity first takes a slot of the mailbox "new:…", which has half as many, and then one of
  its mailbox. So new identities together have at most half of a mailbox's slots, and the bytes of
  as many requests. All that Graph may count is still in one count, so an honest app that has just
  renewed its token stays within Graph's limits. An accepted identity waits behind at most as many
  new ones.
- Graph's first 2XX accepts the identity. Its requests that still wait in "new:…" leave it at once
  for the mailbox, in their order.
- A 401 refuses it, for REFUSED_S or until a 2XX. Its requests, also those that wait in "new:…",
  then use a mailbox of their own, of which no bytes are counted.
- A pause after a 429 holds for the mailbox that the identity's next request would enter first. That
  of a new identity delays only new ones: Graph throttles an app after it has authenticated it, so a
  429 to an identity that it hasn't accepted may not be about the app. If it is, Graph's next 429 to
  an accepted identity pauses the mailbox.

Forged tokens can still delay new identities, which they can't be told from, and occupy half of the
slots for as long as Graph takes to refuse them.
"""

import asyncio
import math
from contextlib import AbstractAsyncContextManager
from typing import Self

from attachment_gateway.mailbox import NEW, Mailboxes, Slot, mailbox_of
from attachment_gateway.mailbox.identities import Identities, Standing, takes_nothing


class SenderMailbox:
    """The mailbox of one token and one group; `name` is as `mailbox_of` returns it."""

    def __init__(
        self, mailboxes: Mailboxes, identities: Identities, *, token: str, group_id: str
    ) -> None:
        self.name = mailbox_of(token, group_id)
        self._mailboxes = mailboxes
        self._identities = identities
        self._identity = identities.identity_of(token, self.name)

    def slot(self, *, upload_bytes: int = 0, within_s: float) -> "SenderSlot":
        """Wait for a slot, and hold it while the context is open.

        Raises what Mailboxes' `slot` raises.
        """
        return SenderSlot(self, upload_bytes, within_s)

    async def pause(self, for_s: float) -> bool:
        """Let no slot begin for `for_s`, as Graph has asked of a request of this identity.

        Return whether that holds for the identity's next request even if Graph accepts the identity
        meanwhile. Raises what Mailboxes' `pause` raises.
        """
        standing = self.standing()
        name = NEW + self.name if standing is Standing.NEW else self._used(standing)
        await self._mailboxes.pause(name, for_s)
        return standing is Standing.ACCEPTED

    def standing(self) -> Standing:
        """Return what Graph has last shown of the identity."""
        return self._identities.standing(self._identity, _now_s())

    def note(self, http_status: int) -> None:
        """Note a response of Graph's to the identity."""
        self._identities.note(self._identity, http_status, _now_s())

    def slot_in_use(self, upload_bytes: int, until_s: float) -> AbstractAsyncContextManager[Slot]:
        """Wait for a slot of the mailbox that the identity uses now."""
        standing = self.standing()
        return self._mailboxes.slot(
            self._used(standing),
            upload_bytes=0 if standing is Standing.REFUSED else upload_bytes,
            within_s=until_s - _now_s(),
        )

    async def slot_while_new(self, until_s: float) -> AbstractAsyncContextManager[Slot] | None:
        """Begin a slot among the new identities; return it, None if the identity isn't new now."""
        slot = self._mailboxes.slot(NEW + self.name, within_s=until_s - _now_s())
        try:
            async with asyncio.timeout(None) as wait:
                with self._identities.watched(self._identity, lambda: wait.reschedule(-math.inf)):
                    await slot.__aenter__()
                return slot
        except TimeoutError:
            return None

    def _used(self, standing: Standing) -> str:
        return f"refused:{self._identity}" if standing is Standing.REFUSED else self.name


class SenderSlot:
    """A slot of a sender's mailbox. Its bytes are given back unless Graph may have taken them."""

    __slots__ = (
        "_among_new",
        "_held",
        "_sender",
        "_slot",
        "_took_bytes",
        "_until_s",
        "_upload_bytes",
    )

    def __init__(self, sender: SenderMailbox, upload_bytes: int, within_s: float) -> None:
        self._sender = sender
        self._upload_bytes = upload_bytes
        self._until_s = _now_s() + within_s
        self._took_bytes = 0
        self._among_new: AbstractAsyncContextManager[Slot] | None = None

    async def __aenter__(self) -> Self:
        if self._sender.standing() is Standing.NEW:
            self._among_new = await self._sender.slot_while_new(self._until_s)
        try:
            self._slot = self._sender.slot_in_use(self._upload_bytes, self._until_s)
            self._held = await self._slot.__aenter__()
        except BaseException:
            await self._leave_new()
            raise
        return self

    async def __aexit__(self, *error: object) -> None:
        if not self._took_bytes:
            self._held.give_back()
        try:
            await self._slot.__aexit__(None, None, None)
        finally:
            await self._leave_new()

    def sends(self) -> None:
        """Note that the request is about to be sent, so Graph may take its bytes."""
        self._took_bytes = self._upload_bytes

    def answered(self, http_status: int) -> None:
        """Note Graph's response to the request."""
        if takes_nothing(http_status, self._sender.standing()):
            self.took_nothing()
        self._sender.note(http_status)

    def took_nothing(self) -> None:
        """Note that Graph can't have taken the bytes, since the request wasn't sent whole."""
        self._took_bytes = 0

    async def _leave_new(self) -> None:
        if self._among_new is not None:
            await self._among_new.__aexit__(None, None, None)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
