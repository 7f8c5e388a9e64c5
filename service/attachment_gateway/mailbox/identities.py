"""Which identities Graph has accepted or refused lately, as this process has seen it.

An identity is a token with a mailbox. It is remembered as a hash with a key of this process, so
that nothing of the token is kept. A token that is accepted for one group is new for another: an app
can be installed in many tenants, and a user of one has no part in the groups of the others.

A 2XX accepts an identity, as only an authenticated request gets one. A 401 refuses it, even if it
was accepted before. Any other response says nothing: front ends may send 400, 403 and 429 before
they look at a token.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from hashlib import blake2b
from http import HTTPStatus
from typing import TypeVar

_T = TypeVar("_T")

# The most identities that are remembered as accepted, and the same number as refused. Only accepted
# ones can displace an accepted one.
MAX_IDENTITIES = 10_000

# How long a refusal is remembered: long enough that a forged token rarely counts as new again, and
# short enough for a token that Graph refused by mistake.
REFUSED_S = 300.0

# Graph decides these by the head of a request, or by its size, so it takes none of the bytes.
_UNREAD = {401, 403, 404, 405, 407, 410, 413, 414, 421, 425, 429, 431}


class Standing(Enum):
    """What Graph has last shown of an identity; NEW is nothing, or nothing that is remembered."""

    NEW = "new"
    ACCEPTED = "accepted"
    REFUSED = "refused"


def takes_nothing(http_status: int, standing: Standing) -> bool:
    """Return whether Graph took none of the bytes of an upload that it answered so.

    `standing`: the identity's before the response. Graph may refuse a request before it has
    authenticated it, for whatever reason, and then counts nothing against the app; so only an
    accepted identity's refused bytes can count. 408 is no refusal.
    """
    if standing is Standing.ACCEPTED:
        return http_status // 100 == 3 or http_status in _UNREAD
    return 300 <= http_status < 500 and http_status != HTTPStatus.REQUEST_TIMEOUT


class Identities:
    """The standings of identities, the least recently used forgotten first.

    `key`: random bytes, at most 64, so that nobody else can compute the hash of a token. Times are
    readings of one clock that never goes back.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._accepted: OrderedDict[str, None] = OrderedDict()
        self._refused: OrderedDict[str, float] = OrderedDict()  # until when
        self._watchers: dict[str, list[Callable[[], None]]] = {}

    def identity_of(self, token: str, mailbox: str) -> str:
        """Return an identity's hash, 16 hexadecimal digits."""
        text = f"{mailbox}\n{token}".encode(errors="surrogatepass")
        return blake2b(text, digest_size=8, key=self._key).hexdigest()

    def standing(self, identity: str, now_s: float) -> Standing:
        """Return an identity's standing, which counts as a use."""
        if identity in self._accepted:
            self._accepted.move_to_end(identity)
            return Standing.ACCEPTED
        if self._refused.get(identity, now_s) > now_s:
            return Standing.REFUSED
        return Standing.NEW

    def note(self, identity: str, http_status: int, now_s: float) -> None:
        """Note a response of Graph's to an identity."""
        if http_status // 100 == 2:
            self._refused.pop(identity, None)
            _remember(self._accepted, identity, None)
        elif http_status == HTTPStatus.UNAUTHORIZED:
            self._accepted.pop(identity, None)
            _remember(self._refused, identity, now_s + REFUSED_S)
        else:
            return
        for tell in self._watchers.pop(identity, ()):
            tell()

    @contextmanager
    def watched(self, identity: str, tell: Callable[[], None]) -> Iterator[None]:
        """Call `tell` once when Graph accepts or refuses the identity."""
        watchers = self._watchers.setdefault(identity, [])
        watchers.append(tell)
        try:
            yield
        finally:
            watchers.remove(tell)
            if not watchers and self._watchers.get(identity) is watchers:
                del self._watchers[identity]


def _remember(memory: OrderedDict[str, _T], identity: str, what: _T) -> None:
    memory[identity] = what
    memory.move_to_end(identity)
    if len(memory) > MAX_IDENTITIES:
        memory.popitem(last=False)
