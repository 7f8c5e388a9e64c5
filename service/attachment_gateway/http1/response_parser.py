"""The bytes of an HTTP/1.1 response -> status, headers, body.

It does no I/O: feed() takes the bytes as they come, end() the end of the connection. llhttp parses.
A response may echo a whole file in base64: those bytes are counted but not kept.
"""

import zlib
from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

# A usual head has a few hundred bytes and 20 lines. Interim responses before it (100 Continue)
# count, too, each as a line.
MAX_HEAD_BYTES = 64 * 1024
MAX_HEAD_LINES = 256

# A response describes one attachment, and so echoes one content. More than this are not skipped.
MAX_SKIPPED = 16

# "\r\n\r\n", the end of a chunked body.
LINE_BREAKS = 4

# Without either of these headers, a body ends with its connection.
_FRAMING = ("content-length", "transfer-encoding")

_ZLIB_OR_GZIP = 32 + zlib.MAX_WBITS


class ResponseParser:
    """A parser of one response; interim responses before it, such as 100 Continue, are skipped.

    `http_status` is 0 until the head is complete. Header names are in lower case; the values of a
    repeated header are joined by commas. When the response `is_over`, `body` is its body, or None
    if that is incomplete, can't be decoded, or is larger than `max_body_bytes`; and `is_last` tells
    that the connection can't be used for another response.

    A head that is larger than MAX_HEAD_BYTES or MAX_HEAD_LINES is invalid. The framing of the body
    (chunk headers and trailers) may have as many bytes beside those of the head as the body.

    In an uncompressed body, the bytes from each `skipped_after` to the next quote are left out,
    MAX_SKIPPED times at most.
    """

    __slots__ = (
        "_beside_bytes",
        "_fields",
        "_head_bytes",
        "_head_lines",
        "_is_skipping",
        "_max_body_bytes",
        "_parser",
        "_read",
        "_room_bytes",
        "_skipped_after",
        "_skips_left",
        "body",
        "headers",
        "http_status",
        "is_last",
        "is_over",
    )

    def __init__(self, *, max_body_bytes: int, skipped_after: bytes = b"") -> None:
        self._parser = HttpResponseParser(self)
        self._beside_bytes = 0  # what came that isn't the body
        self._head_bytes = self._head_lines = 0  # of all heads
        self._fields: dict[str, list[str]] = {}
        self._max_body_bytes = self._room_bytes = max_body_bytes
        self._read = bytearray()
        self._skipped_after = skipped_after
        self._skips_left = MAX_SKIPPED if skipped_after else 0
        self._is_skipping = False
        self.http_status = 0
        self.headers: dict[str, str] = {}
        self.body: bytes | None = None
        self.is_over = False
        self.is_last = True

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        # llhttp skips line breaks after a response and reports nothing. The last ones are fed one
        # by one, so that they are noticed: a chunked response itself ends with LINE_BREAKS bytes.
        end = data[-LINE_BREAKS:]
        text = len(data) - len(end) + len(end.rstrip(b"\r\n"))
        for piece in (data[:text], *(data[at : at + 1] for at in range(text, len(data)))):
            if piece:
                self._feed(piece)

    def _feed(self, data: bytes) -> None:
        if self.is_over:
            self.is_last = True  # more bytes than one response has
            return
        room_bytes = self._room_bytes
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.cut()
            return
        self._beside_bytes += len(data) - (room_bytes - self._room_bytes)
        body_bytes = self._max_body_bytes - self._room_bytes
        if not self.is_over and self._beside_bytes > MAX_HEAD_BYTES + body_bytes:
            self.cut()

    def end(self) -> None:
        """Take the end of the connection."""
        if self.http_status and not self.is_over and self.headers.keys().isdisjoint(_FRAMING):
            self.body = self._decoded()
        self.cut()

    def cut(self) -> None:
        """End the response as it is; its connection can't be used again."""
        self._finish()
        self.is_last = True

    @property
    def is_too_large(self) -> bool:
        """Whether the body is larger than `max_body_bytes`."""
        return self._room_bytes < 0

    # The methods that the parser calls. An error here stops it, as invalid bytes do.

    def on_message_begin(self) -> None:
        """Begin the response or an interim one. Raises ValueError after the response."""
        if self.is_over:
            raise ValueError
        self._fields.clear()
        self._count_line(0)

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        """Take a header; trailers after the body are ignored. Raises ValueError for too many."""
        if self.http_status:
            return
        self._count_line(len(raw_name) + len(raw_value))
        value = raw_value.decode("latin-1").strip(" \t")
        self._fields.setdefault(_name(raw_name), []).append(value)

    def on_headers_complete(self) -> None:
        """Take the status, unless the response is an interim one."""
        http_status = self._parser.get_status_code()
        if http_status >= 200:
            self.http_status = http_status
            self.headers = {name: ", ".join(values) for name, values in self._fields.items()}
            if "content-encoding" in self.headers:
                self._skips_left = 0

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body; raises ValueError if the body is too large."""
        self._room_bytes -= len(piece)
        if self._room_bytes < 0:
            raise ValueError
        if self._skips_left or self._is_skipping:
            self._skip(piece)
        else:
            self._read += piece

    def on_message_complete(self) -> None:
        """Take the end of the body."""
        if self.http_status:
            self.body = self._decoded()
            self.is_last = not self._parser.should_keep_alive()
            self._finish()

    def _finish(self) -> None:
        """End the response, and drop the parser.

        The two refer to each other, and would keep the body until a garbage collection.
        """
        if not self.is_over:
            self.is_over = True
            self._read = bytearray()
            del self._parser

    def _count_line(self, size_bytes: int) -> None:
        self._head_bytes += size_bytes
        self._head_lines += 1
        if self._head_bytes > MAX_HEAD_BYTES or self._head_lines > MAX_HEAD_LINES:
            raise ValueError

    def _skip(self, piece: bytes) -> None:
        """Keep a piece of JSON without the base64 of a content, which ends at the next quote."""
        at = 0
        while at < len(piece):
            if self._is_skipping:
                at = piece.find(b'"', at)
                if at < 0:
                    return
            end = self._end_of_mark(piece, at)
            self._is_skipping = end is not None
            self._skips_left -= self._is_skipping
            self._read += piece[at:end]
            at = len(piece) if end is None else end

    def _end_of_mark(self, piece: bytes, at: int) -> int | None:
        """Return where the next content to skip begins; its mark may begin in what was read."""
        if not self._skips_left:
            return None
        mark = self._skipped_after
        before = self._read[-len(mark) + 1 :]
        across = (before + piece[at : at + len(mark) - 1]).find(mark)
        if across >= 0:
            return at + across + len(mark) - len(before)
        inside = piece.find(mark, at)
        return None if inside < 0 else inside + len(mark)

    def _decoded(self) -> bytes | None:
        """Return the body, decoded if it has one known content encoding; None if that fails."""
        encoding = self.headers.get("content-encoding", "identity").lower()
        if encoding == "identity":
            return bytes(self._read)
        if encoding not in {"gzip", "deflate"}:
            return None
        decoder = zlib.decompressobj(_ZLIB_OR_GZIP)
        try:
            body = decoder.decompress(self._read, self._max_body_bytes)
        except zlib.error:
            return None
        return body if decoder.eof and not decoder.unused_data else None


@lru_cache(maxsize=64)
def _name(raw_name: bytes) -> str:
    """Return a header's name in lower case; cached, as every response has the same names."""
    return raw_name.decode("latin-1").lower()
