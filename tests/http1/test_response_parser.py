"""http_answer: the bytes of an answer -> what it says."""

import gzip
import zlib
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from attachment_gateway.http1.response_parser import MAX_HEAD_BYTES, ResponseParser

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


def sized(body: bytes, *, head: bytes = OK) -> bytes:
    """An answer with a body."""
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(body), body)


def heard(
    *data: bytes, ends: bool = False, limit: int = 1000, without: bool = False
) -> ResponseParser:
    """What pieces, one after the other, are taken for."""
    response = ResponseParser(
        max_body_bytes=limit, skipped_after=b'"contentBytes":"' if without else b""
    )
    for piece in data:
        response.feed(piece)
    if ends:
        response.end()
    return response


def said(response: ResponseParser) -> tuple[int, bytes | None, bool, bool]:
    return response.http_status, response.body, response.is_over, response.is_last


@st.composite
def cuts(draw: st.DrawFn, data: bytes) -> list[bytes]:
    """The bytes in pieces."""
    at = draw(st.sets(st.integers(1, len(data) - 1), max_size=20)) if len(data) > 1 else ()
    return [data[begin:end] for begin, end in pairwise([0, *sorted(at), len(data)])]


# Each answer, whole, with whether the connection ends behind it, and what it says: status, body,
# whether it is over, and whether it is the last.
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
    # Whether it is the last.
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
    # What comes behind it.
    (sized(b"{}") + sized(b"[]"), False, (200, b"{}", True, True)),
    (sized(b"{}") + b"H", False, (200, b"{}", True, True)),
    (sized(b"{}") + b"\0", False, (200, b"{}", True, True)),
    (b"HTTP/1.1 204 X\r\nContent-Length: 2\r\n\r\n{}", False, (204, b"", True, True)),
    (CHUNKED + b"0\r\n\r\n0\r\n\r\n", False, (200, b"", True, True)),
    # What is cut.
    (b"", True, (0, None, True, True)),
    (OK[:12], True, (0, None, True, True)),
    (OK + b"Content-Length: 2\r\n", True, (0, None, True, True)),
    (sized(b"{}")[:-1], False, (200, None, False, True)),
    (sized(b"{}")[:-1], True, (200, None, True, True)),
    (CHUNKED + b"2\r\n{}\r\n", True, (200, None, True, True)),
    # What is none.
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
def test_an_answer(data: bytes, ends: bool, what: tuple[int, bytes | None, bool, bool]) -> None:
    """Whole, and byte for byte."""
    assert said(heard(data, ends=ends)) == what
    assert said(heard(*(bytes([byte]) for byte in data), ends=ends)) == what


@given(st.data())
def test_cuts_make_no_difference(data: st.DataObject) -> None:
    """Wherever its bytes are cut, an answer says the same."""
    whole, ends, _ = data.draw(st.sampled_from(WHOLE))
    pieces = data.draw(cuts(whole))
    cut, uncut = heard(*pieces, ends=ends), heard(whole, ends=ends)
    assert said(cut) == said(uncut)
    assert cut.http_status == 0 or cut.headers == uncut.headers


@given(st.binary(max_size=200), st.lists(st.binary(max_size=20)))
def test_nothing_breaks_it(start: bytes, more: list[bytes]) -> None:
    """Whatever comes, it ends, and then there is nothing after it."""
    response = heard(OK[: len(start)], start, *more, ends=True)
    assert (response.is_over, response.is_last) == (True, True)


def test_headers() -> None:
    """Names are in lower case, values as they are; what comes more than once is a list."""
    head = (
        b"Retry-After: 7\r\nX-EMPTY:\r\nx-twice: a\r\nX-Twice:   b, c\r\n"
        b"X-Latin: \xe9\r\nX-Twice: d\r\n"
    )
    assert heard(b"HTTP/1.1 100 C\r\nX-Early: 1\r\n\r\n" + sized(b"", head=OK + head)).headers == {
        "retry-after": "7",
        "x-empty": "",
        "x-twice": "a, b, c, d",
        "x-latin": "é",
        "content-length": "0",
    }


def test_a_value_ends_before_its_spaces() -> None:
    """Space around a header's value isn't its."""
    response = heard(
        sized(gzip.compress(b"{}", mtime=0), head=OK + b"Content-Encoding:  gzip \t\r\n")
    )
    assert (response.headers["content-encoding"], response.body) == ("gzip", b"{}")


def test_a_status_comes_with_its_head() -> None:
    """It is there before the body is, and not before the head is whole."""
    response = heard(OK)
    assert said(response) == (0, None, False, True)
    response.feed(b"Content-Length: 2\r\n\r\n")
    assert said(response) == (200, None, False, True)
    response.feed(b"{}")
    assert said(response) == (200, b"{}", True, False)


@pytest.mark.parametrize("more", [b"H", b"\r\n", sized(b"[]")])
def test_what_comes_later(more: bytes) -> None:
    """Another's bytes don't change what it says, but it is the last."""
    response = heard(sized(b"{}"))
    assert not response.is_last
    response.feed(more)
    assert said(response) == (200, b"{}", True, True)


def test_taking_no_more() -> None:
    """What is cut keeps its status, and stays without a body."""
    response = heard(sized(b"{}")[:-1])
    response.cut()
    response.feed(b"}")
    response.end()
    assert said(response) == (200, None, True, True)


@pytest.mark.parametrize(
    ("whole", "ends"),
    [
        (sized(b"x" * 10), False),
        (CHUNKED + b"4\r\nxxxx\r\n6\r\nxxxxxx\r\n0\r\n\r\n", False),
        (OK + b"\r\nxxxxxxxxxx", True),
    ],
)
def test_the_longest_body(whole: bytes, ends: bool) -> None:
    """A body at the limit is read; of one beyond it the status is left."""
    assert said(heard(whole, ends=ends, limit=10))[:3] == (200, b"x" * 10, True)
    assert said(heard(whole, limit=9)) == (200, None, True, True)


@pytest.mark.parametrize("early", [b"", b"HTTP/1.1 100 Continue\r\n\r\n"])
def test_the_longest_head(early: bytes) -> None:
    """So many bytes may come, with all that comes before it, until its end is in sight."""
    reservation = MAX_HEAD_BYTES - len(early) - len(OK + b"X: \r\n\r")
    for over, status in ((0, 200), (1, 0)):
        whole = early + OK + b"X: " + b"x" * (reservation + over) + b"\r\n\r\n"
        assert heard(whole[:-1], whole[-1:]).http_status == status


def test_a_head_without_an_end() -> None:
    """Isn't read for ever, and neither is one that is always about to come."""
    for piece in (b"X: " + b"x" * 1000 + b"\r\n", b"\r\nHTTP/1.1 100 Continue\r\n"):
        response = heard(
            b"HTTP/1.1 100 Continue\r\n", *[piece] * (MAX_HEAD_BYTES // len(piece) + 1)
        )
        assert said(response) == (0, None, True, True)


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
def test_an_encoded_body(encoding: str, data: bytes, body: bytes | None) -> None:
    """One encoding is undone, although none was asked for; two are not: they hide too much."""
    head = OK + f"Content-Encoding: {encoding}\r\n".encode()
    assert said(heard(sized(data, head=head))) == (200, body, True, False)


def test_what_an_encoding_hides() -> None:
    """The limit is on what comes out as well."""
    head = OK + b"Content-Encoding: gzip\r\n"
    whole = sized(gzip.compress(b"x" * 1_000_000), head=head)
    assert heard(whole, limit=1_000_000).body == b"x" * 1_000_000
    assert heard(whole, limit=999_999).body is None
    assert heard(whole, limit=10_000).body is None


# Without content.


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
def test_without_content(body: bytes, kept: bytes) -> None:
    """A content's characters are read past, wherever the pieces are cut; all else is kept."""

    @given(pieces=cuts(sized(body)))
    @example(pieces=[bytes([byte]) for byte in sized(body)])
    @example(pieces=[sized(body)])
    def read_past(pieces: list[bytes]) -> None:
        assert heard(*pieces, without=True).body == kept

    read_past()
    assert heard(sized(body)).body == body


@given(
    st.lists(
        st.tuples(st.sampled_from(["contentBytes", "name", "contentByte"]), st.binary(max_size=30))
    ),
    st.data(),
)
def test_whichever_values(properties: list[tuple[str, bytes]], data: st.DataObject) -> None:
    """Only contents are emptied, in whatever order they come."""
    texts = [(name, value.hex()) for name, value in properties]
    body = ",".join(f'"{name}":"{value}"' for name, value in texts).encode()
    kept = ",".join(f'"{n}":"{"" if n == "contentBytes" else v}"' for n, v in texts).encode()
    assert heard(*data.draw(cuts(sized(body))), without=True).body == kept


def test_an_encoded_content() -> None:
    """Is left as it is."""
    body = b'{"contentBytes":"QUJD"}'
    for encoding, data in ((b"gzip", gzip.compress(body)), (b"identity", body)):
        head = OK + b"Content-Encoding: " + encoding + b"\r\n"
        assert heard(sized(data, head=head), without=True).body == body


def test_a_content_counts() -> None:
    """What is read past counts against the limit, and isn't held."""
    body = b'{"contentBytes":"' + b"A" * 10_000 + b'"}'
    assert heard(sized(body), limit=len(body), without=True).body == b'{"contentBytes":""}'
    assert heard(sized(body), limit=len(body) - 1, without=True).body is None
    never = ResponseParser(max_body_bytes=10_000_000, skipped_after=b'"contentBytes":"')
    never.feed(OK + b'\r\n{"contentBytes":"')
    for _ in range(90):
        never.feed(b"A" * 100_000)
    assert (never.is_over, len(never._read)) == (False, len(b'{"contentBytes":"'))
    never.end()
    assert never.body == b'{"contentBytes":"'
