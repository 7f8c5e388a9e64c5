"""Reads the attachments of a post from Graph, in slots of the mailbox."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from itertools import chain

from attachment_gateway.delivery.baseline import id_of
from attachment_gateway.delivery.listed_page import (
    MAX_LIST_BYTES,
    MAX_LISTED,
    MAX_PAGE_BYTES,
    Page,
    page_of,
)
from attachment_gateway.delivery.stamps import ReadClocks
from attachment_gateway.errors import ErrorResponse, LedgerUnavailable
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


class NoContent(Enum):
    """Why there is no content."""

    UNREADABLE = "it was not shown, or not to its end"
    TOO_LARGE = "it is larger than what is looked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The attachments that a list shows; `clocks` are those of its first page.

    `is_whole`: it shows every attachment. It doesn't if a page is missing, comes from a cache or
    has an element that can't be read, if it is larger than the bounds of `listed_page`, if an
    attachment is listed twice, or if two readings of several pages differ.
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

    async def content(self, path: str, *, max_bytes: int) -> bytes | NoContent:
        """Return the content at a path. Raises ReadError for a 429."""
        try:
            response = await self._get(path, max_bytes)
        except ReadError as error:
            if error.wait_s:
                raise
            return NoContent.UNREADABLE
        if response.body is None:
            return NoContent.TOO_LARGE if response.is_too_large else NoContent.UNREADABLE
        return response.body

    async def _listing(self, max_pages: int) -> tuple[Listing, int]:
        """Read a list once; return it and its number of pages."""
        response = await self._get(self.head.path + SELECT, MAX_PAGE_BYTES)
        clocks = ReadClocks(
            date_s=http_date(response.headers.get("date", "")),
            read_at=boot_time(),
            wall_s=time.time(),
        )
        first = await self._page(response, MAX_LISTED)
        if first is None:
            raise ReadError
        pages, paths = [first], {""}
        while pages[-1].is_whole and len(pages) < max_pages:
            path = pages[-1].next_path
            if path in paths:  # a link back would never end
                break
            paths.add(path)
            following = await self._following(path, pages)
            if following is None:
                break
            pages.append(following)
        return _listing_of(pages, clocks), len(pages)

    async def _following(self, path: str, pages: Sequence[Page]) -> Page | None:
        """Return the next page; None if it isn't shown, or if the list becomes too large by it."""
        left_bytes = MAX_LIST_BYTES - sum(page.size_bytes for page in pages)
        left = MAX_LISTED - sum(len(page.listed) for page in pages)
        try:
            response = await self._get(path, min(MAX_PAGE_BYTES, left_bytes))
        except ReadError:
            return None
        return await self._page(response, left)

    async def _page(self, response: Response, max_listed: int) -> Page | None:
        body = response.body or b""
        return await self.graph.off_loop.run(
            len(body),
            page_of,
            body,
            response.headers,
            self.graph.root.path,
            max_listed=max_listed,
        )

    async def _get(self, path: str, max_bytes: int) -> Response:
        """Return the 200 to a GET. Raises ReadError for anything else.

        Its body is None if it is incomplete, or larger than `max_bytes`.
        """
        try:
            async with self.mailbox.slot(within_s=self.within_s) as slot:
                response = await self.graph.get(path, self.head.sender, max_body_bytes=max_bytes)
                if isinstance(response, Response):
                    slot.answered(response.http_status)
        except MailboxBusy as busy:
            raise ReadError(wait_s=busy.retry_delay_s) from None
        except LedgerUnavailable:
            raise ReadError from None
        if isinstance(response, Response) and response.http_status == HTTPStatus.OK:
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


def _listing_of(pages: Sequence[Page], clocks: ReadClocks) -> Listing:
    """Return the list that these pages are; it isn't whole if they lead to another page."""
    listed = tuple(chain.from_iterable(page.listed for page in pages))
    # An attachment that is listed twice has taken the place of another: the order has changed.
    ids = list(filter(None, map(id_of, listed)))
    is_whole = pages[-1].is_whole and not pages[-1].next_path and len(ids) == len(set(ids))
    return Listing(listed=listed, clocks=clocks, is_whole=is_whole)
