"""http1.response_parser: from the bytes of a response to its status, headers and body."""

import gc
import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attachment_gateway.http1.response_parser import (
    MAX_HEAD_BYTES,
    MAX_HEAD_LINES,
    MAX_SKIPPED,
    ResponseParser,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def sized(body: bytes, *, head: bytes = OK) -> bytes:
    """Return a response with a body and its Content-Length."""
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


def parsed(
    *data: bytes, ends: bool = False, limit: int = 1000, skipping: bool = False
) -> ResponseParser:
    """Parse pieces of a response, one after the other."""
    response = ResponseParser(
        max_body_bytes=limit, skipped_after=b'"contentBytes":"' if skipping else b""
    )
    for piece in data:
        response.feed(piece)
    if ends:
        response.end()
    return response


def result_of(response: ResponseParser) -> tuple[int, bytes | None, bool, bool]:
    return response.http_status, response.body, response.is_over, response.is_last


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """Cut the bytes into pieces."""
    at = draw(st.sets(st.integers(1, len(data) - 1), max_size=20)) if len(data) > 1 else ()
    return [data[begin:end] for begin, end in pairwise([0, *sorted(at), len(data)])]


# Each response with whether the connection ends after it, and the result: the status, the body,
# whether the response is over, and whether it is the connection's last.
WHOLE = [
    (sized(b"{}"), False, (200, b"{}", True, False)),
    (sized(b""), False, (200, b"", True, False)),
    (sized(b"{}", head=b"HTTP/1.1 201\r\n"), False, (201, b"{}", True, False)),
    (CHUNKED + b"1\r\n{\r\n1;x=y\r\n}\r\n0\r\n\r\n", False, (200, b"{}", True, False)),
    (CHUNKED + b"2\r\n{}\r\n0\r\nX-Trailer: 1\r\n\r\n", False, (200, b"{}", True, False)),
    (OK + b"\r\n{}", False, (200, None, False, True)),
    (OK + b"\r\n{}", True, (200, b"{}", True, True)),
    (b"HTTP/1.1 204 No Content\r\n\r\n", False, (204, b"", True, False)),
    (b"HTTP/1.1 304 X\r\nContent-Length: 5\r\n\r\n", False, (304, b"", True, False)),
    (b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + sized(b"{}"), False, (200, b"{}", True, False)),
    (b"HTTP/1.1 100 C\r\n\r\nHTTP/1.1 103 E\r\n\r\n" + sized(b""), False, (200, b"", True, False)),
    (b"HTTP/1.1 100 Continue\r\n\r\n", False, (0, None, False, True)),
    (b"HTTP/1.1 100 Continue\r\n\r\n", True, (0, None, True, True)),
    # Whether it is the connection's last response.
    (sized(b"{}", head=OK + b"Connection: keep-alive\r\n"), False, (200, b"{}", True, False)),
    (sized(b"{}", head=OK + b"Connection: close\r\n"), False, (200, b"{}", True, True)),
    (sized(b"{}", head=OK + b"CONNECTION: Close\r\n"), False, (200, b"{}", True, True)),
    (sized(b"{}", head=b"HTTP/1.0 200 OK\r\n"), False, (200, b"{}", True, True)),
    (
        sized(b"{}", head=b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n"),
        False,
        (200, b"{}", True, False),
    ),
    (sized(b"{}"), True, (200, b"{}", True, True)),
    # Bytes after the response.
    (sized(b"{}") + sized(b"[]"), False, (200, b"{}", True, True)),
    (sized(b"{}") + b"H", False, (200, b"{}", True, True)),
    (sized(b"{}") + b"\0", False, (200, b"{}", True, True)),
    (b"HTTP/1.1 204 X\r\nContent-Length: 2\r\n\r\n{}", False, (204, b"", True, True)),
    (CHUNKED + b"0\r\n\r\n0\r\n\r\n", False, (200, b"", True, True)),
    # Responses that are cut off.
    (b"", True, (0, None, True, True)),
    (OK[:12], True, (0, None, True, True)),
    (OK + b"Content-Length: 2\r\n", True, (0, None, True, True)),
    (sized(b"{}")[:-1], False, (200, None, False, True)),
    (sized(b"{}")[:-1], True, (200, None, True, True)),
    (CHUNKED + b"2\r\n{}\r\n", True, (200, None, True, True)),
    # Bytes that are no response.
    (b"SSH-2.0\r\n\r\n", False, (0, None, True, True)),
    (b"HTTP/1.1 2OO OK\r\n\r\n", False, (0, None, True, True)),
    (b"HTTP/1.1 1000 OK\r\n\r\n", False, (0, None, True, True)),
    (OK + b"No colon\r\n\r\n", False, (0, None, True, True)),
    (OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", False, (0, None, True, True)),
    (OK + b"Content-Length: -2\r\n\r\n{}", False, (0, None, True, True)),
    (
        sized(b"0\r\n\r\n", head=OK + b"Transfer-Encoding: chunked\r\n"),
        False,
        (0, None, True, True),
    ),
    (
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        False,
        (0, None, True, True),
    ),
    (
        b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n" + sized(b""),
        False,
        (0, None, True, True),
    ),
    (CHUNKED + b"x\r\n", False, (200, None, True, True)),
    (OK + b"Transfer-Encoding: gzip\r\n\r\n{}", True, (200, None, True, True)),
]


@pytest.mark.parametrize(("data", "ends", "what"), WHOLE)
def test_a_response_has_the_same_result_byte_for_byte(
    data: bytes, ends: bool, what: tuple[int, bytes | None, bool, bool]
) -> None:
    """A response has its result when it is fed whole and when it is fed byte for byte."""
    assert result_of(parsed(data, ends=ends)) == what
    assert result_of(parsed(*(bytes([byte]) for byte in data), ends=ends)) == what


@given(st.data())
def test_the_pieces_make_no_difference(data: st.DataObject) -> None:
    """A response has the same result and headers wherever its bytes are cut."""
    whole, ends, _ = data.draw(st.sampled_from(WHOLE))
    pieces = data.draw(cuts(whole))
    cut, uncut = parsed(*pieces, ends=ends), parsed(whole, ends=ends)
    assert result_of(cut) == result_of(uncut)
    assert cut.http_status == 0 or cut.headers == uncut.headers


@given(st.binary(max_size=200), st.lists(st.binary(max_size=20)))
def test_any_bytes_end_as_a_last_response(start: bytes, more: list[bytes]) -> None:
    """After any bytes and the connection's end, the response is over and the last."""
    response = parsed(OK[: len(start)], start, *more, ends=True)
    assert (response.is_over, response.is_last) == (True, True)


def test_the_headers_of_a_response() -> None:
    """Header names are in lower case, values unchanged, and repeated headers joined by commas."""
    head = (
        b"Retry-After: 7\r\nX-EMPTY:\r\nx-twice: a\r\nX-Twice:   b, c\r\n"
        b"X-Latin: \xe9\r\nX-Twice: d\r\n"
    )
    assert parsed(b"HTTP/1.1 100 C\r\nX-Early: 1\r\n\r\n" + sized(b"", head=OK + head)).headers == {
        "retry-after": "7",
        "x-empty": "",
        "x-twice": "a, b, c, d",
        "x-latin": "é",
        "content-length": "0",
    }


def test_spaces_around_a_header_value_are_dropped() -> None:
    """The spaces around a header's value are dropped."""
    response = parsed(
        sized(gzip.compress(b"{}", mtime=0), head=OK + b"Content-Encoding:  gzip \t\r\n")
    )
    assert (response.headers["content-encoding"], response.body) == ("gzip", b"{}")


def test_the_status_is_known_when_the_head_is_whole() -> None:
    """The status is known once the head is whole, and before the body."""
    response = parsed(OK)
    assert result_of(response) == (0, None, False, True)
    response.feed(b"Content-Length: 2\r\n\r\n")
    assert result_of(response) == (200, None, False, True)
    response.feed(b"{}")
    assert result_of(response) == (200, b"{}", True, False)


@pytest.mark.parametrize("more", [b"H", b"\r\n", sized(b"[]")])
def test_bytes_after_a_response_make_it_the_last(more: bytes) -> None:
    """Bytes after a response don't change it, but make it the connection's last."""
    response = parsed(sized(b"{}"))
    assert not response.is_last
    response.feed(more)
    assert result_of(response) == (200, b"{}", True, True)


@pytest.mark.parametrize("whole", [sized(b"{}"), CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"])
@pytest.mark.parametrize("more", [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\r\n" * 50])
def test_line_breaks_after_a_response_make_it_the_last(whole: bytes, more: bytes) -> None:
    """Line breaks that come with a response don't change it, but make it the last."""
    assert result_of(parsed(whole)) == (200, b"{}", True, False)
    assert result_of(parsed(whole + more)) == (200, b"{}", True, True)


def test_a_cut_response_keeps_its_status() -> None:
    """`cut` leaves a response with its status and without a body."""
    response = parsed(sized(b"{}")[:-1])
    response.cut()
    response.feed(b"}")
    response.end()
    assert result_of(response) == (200, None, True, True)


@pytest.mark.parametrize(
    ("whole", "ends"),
    [
        (sized(b"x" * 10), False),
        (CHUNKED + b"4\r\nxxxx\r\n6\r\nxxxxxx\r\n0\r\n\r\n", False),
        (OK + b"\r\nxxxxxxxxxx", True),
    ],
)
def test_a_body_over_the_limit_is_dropped(whole: bytes, ends: bool) -> None:
    """A body at the limit is read; one over it is dropped, and the status stays."""
    assert result_of(parsed(whole, ends=ends, limit=10))[:3] == (200, b"x" * 10, True)
    assert result_of(parsed(whole, limit=9)) == (200, None, True, True)


@pytest.mark.parametrize("early", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_a_head_over_the_limit_is_no_response(early: bytes) -> None:
    """A head of `MAX_HEAD_BYTES`, with the interim responses before it, is the longest read."""
    room_bytes = MAX_HEAD_BYTES - len(early) - len(OK + b"X: \r\n\r")
    for over, status in ((0, 200), (1, 0)):
        whole = early + OK + b"X: " + b"x" * (room_bytes + over) + b"\r\n\r\n"
        assert parsed(whole[:-1], whole[-1:]).http_status == status


def test_a_head_without_an_end_is_no_response() -> None:
    """Parsing ends after `MAX_HEAD_BYTES` of a head without an end, or of interim responses."""
    for piece in (b"X: " + b"x" * 1000 + b"\r\n", b"\r\nHTTP/1.1 100 Continue\r\n"):
        response = parsed(
            b"HTTP/1.1 100 Continue\r\n", *[piece] * (MAX_HEAD_BYTES // len(piece) + 1)
        )
        assert result_of(response) == (0, None, True, True)


# Encodings.


@pytest.mark.parametrize(
    ("encoding", "data", "body"),
    [
        ("gzip", gzip.compress(b"{}", mtime=0), b"{}"),
        ("GZip", gzip.compress(b"{}", mtime=0), b"{}"),
        ("deflate", zlib.compress(b"{}"), b"{}"),
        ("identity", b"{}", b"{}"),
        ("gzip", b"{}", None),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-1], None),
        ("gzip", gzip.compress(b"{}", mtime=0)[:-9] + b"\0" * 9, None),
        ("gzip, gzip", gzip.compress(gzip.compress(b"{}"), mtime=0), None),
        ("gzip\r\nContent-Encoding: gzip", gzip.compress(gzip.compress(b"{}"), mtime=0), None),
        ("br", b"{}", None),
    ],
)
def test_a_body_with_one_encoding_is_decoded(
    encoding: str, data: bytes, body: bytes | None
) -> None:
    """A body with one encoding is decoded; one with two encodings is dropped."""
    head = OK + f"Content-Encoding: {encoding}\r\n".encode()
    assert result_of(parsed(sized(data, head=head))) == (200, body, True, False)


def test_the_limit_applies_to_the_decoded_body() -> None:
    """The limit applies to the decoded body as well."""
    head = OK + b"Content-Encoding: gzip\r\n"
    whole = sized(gzip.compress(b"x" * 1_000_000), head=head)
    assert parsed(whole, limit=1_000_000).body == b"x" * 1_000_000
    assert parsed(whole, limit=999_999).body is None
    assert parsed(whole, limit=10_000).body is None


# The bounds of what comes beside the body.

LINE = b"a: b\r\n"
INTERIM = b"HTTP/1.1 100 C\r\n\r\n"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (OK + LINE * (MAX_HEAD_LINES - 2), 200),
        (OK + LINE * (MAX_HEAD_LINES - 1), 0),
        (OK + b"".join(b"a%d:\r\n" % number for number in range(1000)), 0),
        (INTERIM * (MAX_HEAD_LINES - 2) + OK, 200),
        (INTERIM * (MAX_HEAD_LINES - 1) + OK, 0),
        (OK + b"a: " + b"b" * (MAX_HEAD_BYTES - 100) + b"\r\n", 200),
        (OK + b"a: " + b"b" * MAX_HEAD_BYTES + b"\r\n", 0),
        (OK + (b"a: " + b"b" * 300 + b"\r\n") * 250, 0),
    ],
)
def test_a_head_in_one_piece_is_bounded(head: bytes, status: int) -> None:
    """A head is bounded in bytes and lines, interim responses included, also in one piece."""
    assert parsed(sized(b"", head=head)).http_status == status


def test_the_values_of_a_repeated_header_are_joined() -> None:
    """The values of a repeated header are joined in their order, those of interim ones left out."""
    head = b"HTTP/1.1 103 E\r\na: 0\r\n\r\n" + OK + b"a: 1\r\nb: 2\r\nA: 3\r\n"
    assert parsed(sized(b"", head=head)).headers == {
        "a": "1, 3",
        "b": "2",
        "content-length": "0",
    }


@pytest.mark.parametrize(
    "framing",
    [
        b"0\r\n" + LINE * 20_000,
        b"0\r\na:" + b"b" * 100_000,
        b"1;" + b"x" * 100_000,
        b"1\r\nx\r\n" * 20_000,
    ],
    ids=["trailers", "a trailer", "a chunk extension", "chunks of one byte"],
)
@pytest.mark.parametrize("piece_bytes", [1000, 1_000_000])
def test_the_framing_of_a_body_is_bounded(framing: bytes, piece_bytes: int) -> None:
    """What frames a body is no larger than a head and the body, or the body is none."""
    pieces = [framing[at : at + piece_bytes] for at in range(0, len(framing), piece_bytes)]
    response = parsed(CHUNKED, *pieces, limit=1_000_000)
    assert result_of(response) == (200, None, True, True)


def test_a_body_in_small_chunks_is_read() -> None:
    """A body in chunks of 100 bytes is read, as much framing as it has."""
    chunk = b"64\r\n" + b"x" * 100 + b"\r\n"
    response = parsed(CHUNKED + chunk * 40_000 + b"0\r\n\r\n", limit=4_000_000)
    assert response.body == b"x" * 4_000_000


@pytest.mark.parametrize(("limit", "is_too_large"), [(3, False), (2, True)])
def test_a_body_can_be_too_large(limit: int, is_too_large: bool) -> None:
    """A response tells whether its body is larger than the limit."""
    assert parsed(sized(b"abc"), limit=limit).is_too_large is is_too_large


# Skipping the values of contentBytes.


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"contentBytes":"QUJD"}', b'{"contentBytes":""}'),
        (b'{"a":1,"contentBytes":"QU/+\\/=","b":2}', b'{"a":1,"contentBytes":"","b":2}'),
        (b'{"contentBytes":""}', b'{"contentBytes":""}'),
        (b'{"contentBytes":null}', b'{"contentBytes":null}'),
        (
            b'[{"contentBytes":"QQ=="},{"contentBytes":"Qg=="},{"contentBytes":"Qw=="}]',
            b'[{"contentBytes":""},{"contentBytes":""},{"contentBytes":""}]',
        ),
        (
            b'{"name":"\\"contentBytes\\":\\"","contentBytes":"QUJD","id":"contentBytes"}',
            b'{"name":"\\"contentBytes\\":\\"","contentBytes":"","id":"contentBytes"}',
        ),
        (b'{"contentBytes":"QUJD', b'{"contentBytes":"'),
        (b'{"contentByte":"QUJD"}', b'{"contentByte":"QUJD"}'),
        (b'"contentBytes":"contentBytes":"Q"', b'"contentBytes":"":"Q"'),
        (b"", b""),
    ],
)
def test_content_is_skipped_wherever_it_is_cut(body: bytes, kept: bytes) -> None:
    """The content's characters are skipped wherever the pieces are cut, and all else is kept."""

    @given(pieces=cuts(sized(body)))
    @example(pieces=[bytes([byte]) for byte in sized(body)])
    @example(pieces=[sized(body)])
    def skips(pieces: list[bytes]) -> None:
        assert parsed(*pieces, skipping=True).body == kept

    skips()
    assert parsed(sized(body)).body == body


@given(
    st.lists(
        st.tuples(st.sampled_from(["contentBytes", "name", "contentByte"]), st.binary(max_size=30))
    ),
    st.data(),
)
def test_only_content_values_are_emptied(
    properties: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    """Only the values of contentBytes are emptied, in any order of properties."""
    texts = [(name, value.hex()) for name, value in properties]
    body = ",".join(f'"{name}":"{value}"' for name, value in texts).encode()
    kept = ",".join(f'"{n}":"{"" if n == "contentBytes" else v}"' for n, v in texts).encode()
    assert parsed(*data.draw(cuts(sized(body))), skipping=True).body == kept


def test_content_is_not_skipped_in_an_encoded_body() -> None:
    """Content in a body with a Content-Encoding isn't skipped."""
    body = b'{"contentBytes":"QUJD"}'
    for encoding, data in ((b"gzip", gzip.compress(body)), (b"identity", body)):
        head = OK + b"Content-Encoding: " + encoding + b"\r\n"
        assert parsed(sized(data, head=head), skipping=True).body == body


@pytest.mark.parametrize("piece_bytes", [1, 25, 1460, 256_000])
def test_content_is_skipped_so_many_times(piece_bytes: int) -> None:
    """The first MAX_SKIPPED contents are skipped, in pieces of any size, and the others kept."""
    one, kept = b'{"contentBytes":"QUJD"},', b'{"contentBytes":""},'
    whole = sized(one * 1_000)
    pieces = [whole[at : at + piece_bytes] for at in range(0, len(whole), piece_bytes)]
    read = parsed(*pieces, limit=5_000_000, skipping=True).body
    assert read == kept * MAX_SKIPPED + one * (1_000 - MAX_SKIPPED)


def test_skipped_content_counts_against_the_limit() -> None:
    """Skipped content counts against the limit, and isn't held in memory."""
    body = b'{"contentBytes":"' + b"A" * 10_000 + b'"}'
    assert parsed(sized(body), limit=len(body), skipping=True).body == b'{"contentBytes":""}'
    assert parsed(sized(body), limit=len(body) - 1, skipping=True).body is None
    response = ResponseParser(max_body_bytes=10_000_000, skipped_after=b'"contentBytes":"')
    response.feed(OK + b'\r\n{"contentBytes":"')
    for _ in range(90):
        response.feed(b"A" * 100_000)
    assert (response.is_over, len(response._read)) == (False, len(b'{"contentBytes":"'))
    response.end()
    assert response.body == b'{"contentBytes":"'


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"no response",
    ],
)
def test_a_response_that_is_over_needs_no_garbage_collection(response: bytes) -> None:
    """After its response, a parser is freed with the last reference to it."""
    gc.collect()
    gc.disable()
    try:
        parser = ResponseParser(max_body_bytes=100)
        parser.feed(response)
        parser.end()
        parser.feed(b"more")
        del parser
        assert gc.collect() == 0
    finally:
        gc.enable()
