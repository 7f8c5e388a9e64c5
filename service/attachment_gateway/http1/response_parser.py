"""The bytes of an HTTP/1.1 response -> status, headers, body.

It does no I/O: feed() takes the bytes as they come, end() the end of the connection. llhttp parses.
A response may echo a whole file in base64: those bytes are counted but not kept.
"""

import zlib
from functools import lru_cache

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

# A usual head has a few hundred bytes. Interim responses before it (100 Continue) count, too.
MAX_HEAD_BYTES = 64 * 1024

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

    In an uncompressed body, the bytes from each `skipped_after` to the next quote are left out.
    """

    __slots__ = (
        "_head_bytes",
        "_is_skipping",
        "_max_body_bytes",
        "_parser",
        "_read",
        "_room_bytes",
        "_skipped_after",
        "body",
        "headers",
        "http_status",
        "is_last",
        "is_over",
    )

    def __init__(self, *, max_body_bytes: int, skipped_after: bytes = b"") -> None:
        self._parser = HttpResponseParser(self)
        self._head_bytes = 0
        self._max_body_bytes = self._room_bytes = max_body_bytes
        self._read = bytearray()
        self._skipped_after = skipped_after
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
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self.cut()
            return
        if not self.http_status:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self.cut()

    def end(self) -> None:
        """Take the end of the connection."""
        if self.http_status and not self.is_over and self.headers.keys().isdisjoint(_FRAMING):
            self.body = self._decoded()
        self.cut()

    def cut(self) -> None:
        """End the response as it is; its connection can't be used again."""
        self.is_over = self.is_last = True

    # The methods that the parser calls. An error here stops it, as invalid bytes do.

    def on_message_begin(self) -> None:
        """Begin the response or an interim one; raises ValueError after the response."""
        if self.is_over:
            raise ValueError
        self.headers.clear()

    def on_header(self, raw_name: bytes, raw_value: bytes) -> None:
        """Take a header; trailers after the body are ignored."""
        if self.http_status:
            return
        name, value = _name(raw_name), raw_value.decode("latin-1").strip(" \t")
        self.headers[name] = f"{self.headers[name]}, {value}" if name in self.headers else value

    def on_headers_complete(self) -> None:
        """Take the status, unless the response is an interim one."""
        http_status = self._parser.get_status_code()
        if http_status >= 200:
            self.http_status = http_status
            if "content-encoding" in self.headers:
                self._skipped_after = b""

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body; raises ValueError if the body is too large."""
        self._room_bytes -= len(piece)
        if self._room_bytes < 0:
            raise ValueError
        if self._skipped_after:
            self._skip(piece)
        else:
            self._read += piece

    def on_message_complete(self) -> None:
        """Take the end of the body."""
        if self.http_status:
            self.body = self._decoded()
            self.is_over = True
            self.is_last = not self._parser.should_keep_alive()

    def _skip(self, piece: bytes) -> None:
        """Keep a piece of JSON without the base64 of a content, which ends at the next quote."""
        while piece:
            if self._is_skipping:
                _, quote, piece = piece.partition(b'"')
                self._read += quote
                self._is_skipping = not quote
                continue
            begin = max(len(self._read) - len(self._skipped_after) + 1, 0)
            self._read += piece
            at = self._read.find(self._skipped_after, begin)
            if at < 0:
                return
            self._is_skipping = True
            piece = bytes(self._read[at + len(self._skipped_after) :])
            del self._read[at + len(self._skipped_after) :]

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
