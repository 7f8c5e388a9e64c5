"""Decompression of messages, within their limit. Pure.

gRPC would decompress each message as it comes, before it is asked for, so 8 KB of a caller's would
take 8 MiB unseen. So its own decompression is off (`server.options`), and it hands out compressed
messages as they came, without saying so: their first bytes tell. Those of gzip begin no protobuf.
Those of deflate could begin a message with an unknown field 15, so what can't be decompressed as
deflate is left as it is.
"""

import zlib

from attachment_gateway.errors import FieldViolation, InvalidRequest

# RFC 1952: two bytes of magic, and the only method. RFC 1950: the usual window, with any level.
_GZIP = b"\x1f\x8b\x08"
_ZLIB = (b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda")
_BEGINNINGS = (_GZIP, *_ZLIB)

_EITHER = 32 + zlib.MAX_WBITS


def decompressed(message: bytes, max_bytes: int) -> bytes:
    """Return a message as it was before gzip or deflate; one that is in neither stays as it is.

    Raises InvalidRequest if it has more than `max_bytes`, or is gzip and cut or damaged.
    """
    if not message.startswith(_BEGINNINGS):
        return message
    is_gzip = message.startswith(_GZIP)
    decompressor = zlib.decompressobj(_EITHER)
    try:
        plain = decompressor.decompress(message, max_bytes + 1)
    except zlib.error as error:
        if not is_gzip:
            return message
        raise _refused(f"compressed, and damaged ({error}); send it again") from None
    if len(plain) > max_bytes:
        raise _refused(f"compressed, and larger than {max_bytes:,} bytes; send less")
    if decompressor.eof:
        return plain
    if is_gzip:
        raise _refused("compressed, and cut; send it again")
    return message


def _refused(why: str) -> InvalidRequest:
    return InvalidRequest(FieldViolation("request", why))
