"""The target `responses`: bytes of an HTTP/1.1 response, cut in any way."""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from attachment_gateway.http1.response_parser import MAX_HEAD_BYTES, ResponseParser
from tests.fuzz import draws, json_bodies
from tests.fuzz.draws import chance
from tests.fuzz.target import Outcome, Target

MAX_BODY_BYTES = 3000

SKIPPED_AFTER = b'"contentBytes":"'

_STATUSES = (200, 201, 202, 204, 206, 302, 304, 400, 401, 404, 408, 429, 500, 503, 504, 507)

_LINES = (
    *(b"request-id: 7f1c", b"Date: Sun, 01 Mar 2026 09:00:00 GMT", b"Retry-After: 3", b"Age: 1"),
    *(b"Connection: close", b"Connection: Upgrade", b"Upgrade: h2c", b"Content-Type: text/html"),
    *(b"Content-Length: 5", b"Content-Length: 5, 5", b"Transfer-Encoding: chunked", b"X:"),
    *(b"Transfer-Encoding: gzip, chunked", b"X: \xff\x80", b" folded", b"X : y", b"x" * 300),
)


@dataclass(frozen=True, slots=True)
class Received:
    """The bytes of a response, two ways to cut them, and whether the connection ends after them."""

    wire: bytes
    pieces: tuple[bytes, ...]
    skipped_after: bytes
    ends: bool


def draw(random: Random) -> Received:
    """Draw a response: a valid one, most of the time with something changed."""
    wire = b"HTTP/1.1 100 Continue\r\n\r\n" if chance(random, 0.1) else b""
    wire += response(random)
    if chance(random, 0.1):
        wire += response(random)
    if chance(random, 0.5):
        wire = draws.mutated(random, wire)
    pieces = draws.cut(random, wire, 12)
    if len(wire) < 300 and chance(random, 0.3):
        pieces = [bytes([byte]) for byte in wire]
    skipped_after = SKIPPED_AFTER if chance(random, 0.5) else b""
    # A connection delivers no empty pieces.
    return Received(wire, tuple(filter(None, pieces)), skipped_after, chance(random, 0.5))


def response(random: Random, status: int = 0, value: object = None) -> bytes:
    """Return the bytes of a response with a body that `value` or chance gives."""
    kinds = (json_bodies.described, json_bodies.error, json_bodies.page)
    data = json_bodies.body(random, random.choice(kinds)(random) if value is None else value)
    lines = [random.choice(_LINES) for _ in range(random.choice((0, 0, 1, 3)))]
    if chance(random, 0.15):
        coding, data = _coded(random, data)
        lines.append(b"Content-Encoding: " + coding)
    match random.randrange(4):
        case 0:
            lines.append(b"Transfer-Encoding: chunked")
            data = _chunked(random, data)
        case 1:
            pass  # the body ends with the connection
        case _:
            lines.append(b"Content-Length: %d" % len(data))
    random.shuffle(lines)
    head = b"HTTP/1.1 %d X" % (status or random.choice(_STATUSES))
    return b"\r\n".join([head, *lines, b"", data])


def _coded(random: Random, data: bytes) -> tuple[bytes, bytes]:
    if chance(random, 0.02):
        data = bytes(10_000_000)  # what a small response can become
    match random.randrange(3):
        case 0:
            return b"gzip", gzip.compress(data, mtime=0)
        case 1:
            return b"deflate", zlib.compress(data)
        case _:
            return b"gzip, gzip", gzip.compress(gzip.compress(data, mtime=0), mtime=0)


def _chunked(random: Random, data: bytes) -> bytes:
    pieces = [piece for piece in draws.cut(random, data, 6) if piece]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def parsed(pieces: Sequence[bytes], received: Received) -> ResponseParser:
    """Feed the pieces to a parser."""
    parser = ResponseParser(max_body_bytes=MAX_BODY_BYTES, skipped_after=received.skipped_after)
    for piece in pieces:
        parser.feed(piece)
    if received.ends:
        parser.end()
    return parser


def _shown(parser: ResponseParser) -> tuple[object, ...]:
    headers = dict(parser.headers) if parser.http_status else {}
    return parser.http_status, headers, parser.body, parser.is_over, parser.is_last


def check(received: Received) -> Outcome:
    """Parse the bytes whole and in pieces, and compare the results."""
    whole = parsed([received.wire], received)
    cut = parsed(received.pieces, received)
    word = "no response" if not whole.http_status else "no body" if whole.body is None else "read"
    outcome = Outcome(word if whole.is_over else "not over")
    # Whether a head is too long is counted by the pieces that came before its end.
    if len(received.wire) <= MAX_HEAD_BYTES:
        outcome.expect(
            f"{_shown(whole)} whole, {_shown(cut)} in pieces", holds=_shown(whole) == _shown(cut)
        )
    for parser in (whole, cut):
        body = parser.body
        outcome.expect("a body before its end", holds=body is None or parser.is_over)
        outcome.expect("a large body", holds=body is None or len(body) <= MAX_BODY_BYTES)
        outcome.expect("an odd status", holds=parser.http_status in (0, *range(200, 1000)))
        outcome.expect("not over at the end", holds=parser.is_over or not received.ends)
    return outcome


RESPONSES = Target(
    name="responses",
    about="bytes of an HTTP/1.1 response, read whole and in pieces",
    share=4,
    draw=draw,
    check=check,
)
