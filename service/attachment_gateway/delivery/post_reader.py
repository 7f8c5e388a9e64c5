"""Reads the attachments of a post from Graph, in slots of the mailbox."""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlsplit

from attachment_gateway.delivery.baseline import id_of
from attachment_gateway.delivery.stamps import ReadClocks
from attachment_gateway.errors import ErrorResponse, LedgerUnavailable
from attachment_gateway.graph import codec
from attachment_gateway.graph.client import GraphClient
from attachment_gateway.graph.request import RequestHead
from attachment_gateway.graph.response import NoResponse, Response, http_date, read_error
from attachment_gateway.graph.values import JsonObject
from attachment_gateway.ledger.boot_clock import boot_time
from attachment_gateway.mailbox import MailboxBusy
from attachment_gateway.mailbox.senders import SenderMailbox

# `contentId` is missing because Graph refuses it here; `contentBytes`, because it is every file's
# content.
SELECT = "?$select=id,name,contentType,size,isInline,lastModifiedDateTime"

# The pause of a mailbox after a 429 that names none.
THROTTLED_S = 0.1

# These won't change for this token and post.
_LASTING = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.METHOD_NOT_ALLOWED,
    HTTPStatus.GONE,
    HTTPStatus.NOT_IMPLEMENTED,
}


class ReadError(Exception):
    """Graph did not show the post's attachments.

    `response` is Graph's, None without one. `is_lasting`: it won't change for this token and post.
    `wait_s`: how long to wait at least before the next request.
    """

    def __init__(
        self,
        response: ErrorResponse | None = None,
        *,
        is_lasting: bool = False,
        wait_s: float = 0.0,
    ) -> None:
        super().__init__()
        self.response = response
        self.is_lasting = is_lasting
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The attachments that a list shows; `clocks` are those of its first page.

    `is_whole`: it shows every attachment. It doesn't if a page is missing, comes from a cache or
    has an element that can't be read, if an attachment is listed twice, or if two readings of
    several pages differ.
    """

    listed: tuple[JsonObject, ...]
    clocks: ReadClocks
    is_whole: bool

    @property
    def ids(self) -> frozenset[str]:
        """The usable ids."""
        return frozenset(filter(None, map(id_of, self.listed)))


@dataclass(frozen=True, slots=True, kw_only=True)
class PostReader:
    """Reads one post, with one caller's token. A request waits `within_s` for its slot."""

    graph: GraphClient
    mailbox: SenderMailbox
    head: RequestHead
    within_s: float

    async def listing(self, *, max_pages: int) -> Listing:
        """Return the post's attachments. Raises ReadError if not even the first page is shown."""
        first, pages = await self._listing(max_pages)
        if pages == 1 or not first.is_whole:
            return first
        second, _ = await self._listing(max_pages)
        if second.is_whole and Counter(map(id_of, first.listed)) == Counter(
            map(id_of, second.listed)
        ):
            return second
        return Listing(listed=first.listed + second.listed, clocks=first.clocks, is_whole=False)

    async def content(self, path: str) -> bytes | None:
        """Return the content at a path; None if it can't be had. Raises ReadError for a 429."""
        try:
            return (await self._get(path)).body
        except ReadError as error:
            if error.wait_s:
                raise
            return None

    async def _listing(self, max_pages: int) -> tuple[Listing, int]:
        """Read a list once; return it and its number of pages."""
        response = await self._get(self.head.path + SELECT)
        clocks = ReadClocks(
            date_s=http_date(response.headers.get("date", "")),
            read_at=boot_time(),
            wall_s=time.time(),
        )
        page = _page(response, self.graph.root.path)
        if page is None:
            raise ReadError
        listed, is_whole, pages = list(page.listed), page.is_whole, 1
        paths = set[str]()
        while page.next_path and is_whole:
            pages += 1
            following = None
            if pages <= max_pages and page.next_path not in paths:  # a link back would never end
                paths.add(page.next_path)
                with suppress(ReadError):
                    following = _page(await self._get(page.next_path), self.graph.root.path)
            if following is None:
                is_whole = False
                break
            listed += following.listed
            is_whole, page = following.is_whole, following
        # An attachment that is listed twice has taken the place of another: the order has changed.
        ids = list(filter(None, map(id_of, listed)))
        is_whole = is_whole and len(ids) == len(set(ids))
        return Listing(listed=tuple(listed), clocks=clocks, is_whole=is_whole), pages

    async def _get(self, path: str) -> Response:
        """Return the 200 to a GET, whose body is complete. Raises ReadError for anything else."""
        try:
            async with self.mailbox.slot(within_s=self.within_s) as slot:
                response = await self.graph.get(path, self.head.sender)
                if isinstance(response, Response):
                    slot.answered(response.http_status)
        except MailboxBusy as busy:
            raise ReadError(wait_s=busy.retry_delay_s) from None
        except LedgerUnavailable:
            raise ReadError from None
        if isinstance(response, Response) and response.http_status == HTTPStatus.OK:
            if response.body is None:
                raise ReadError
            return response
        raise await self._failure(response)

    async def _failure(self, response: Response | NoResponse) -> ReadError:
        if isinstance(response, NoResponse):
            return ReadError()
        error = read_error(response, now=time.time())
        if response.http_status != HTTPStatus.TOO_MANY_REQUESTS:
            return ReadError(error, is_lasting=response.http_status in _LASTING)
        wait_s = error.retry_after_s or THROTTLED_S
        with suppress(LedgerUnavailable):
            await self.mailbox.pause(wait_s)
        return ReadError(error, wait_s=wait_s)


@dataclass(frozen=True, slots=True)
class _Page:
    listed: tuple[JsonObject, ...]
    next_path: str
    """"" on the last page."""
    is_whole: bool


def _page(response: Response, root_path: str) -> _Page | None:
    """Read a page; None if the response holds none.

    Only the path and query of the next page's URL are used, so that the token is sent to no other
    origin.
    """
    body = codec.parsed(response.body or b"")
    value = body.get("value")
    if not isinstance(value, list):
        return None
    listed = tuple(each for each in value if isinstance(each, dict))
    link = body.get("@odata.nextLink")
    next_path = _next_path(link, root_path)
    is_whole = (
        len(listed) == len(value)
        and "age" not in response.headers  # it comes from a cache
        and (link is None or bool(next_path))
    )
    return _Page(listed, next_path, is_whole)


def _next_path(link: object, root_path: str) -> str:
    """Return the next page's path below Graph's root; "" if the link is none of Graph's."""
    if not isinstance(link, str):
        return ""
    try:
        parts = urlsplit(link)
    except ValueError:
        return ""
    if not parts.path.startswith(f"{root_path}/"):
        return ""
    return f"{parts.path.removeprefix(root_path)}?{parts.query}"
