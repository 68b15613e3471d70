"""The bytes of answers: none is taken for another."""

import gzip
import zlib

import pytest

from worker.gateway import wire
from worker.gateway.wire import Answer, unpack

OK = b"HTTP/1.1 200 OK\r\n"


def read(*chunks: bytes) -> Answer:
    answer = Answer()
    for chunk in chunks:
        answer.feed(chunk)
    return answer


def test_answer_is_whole_with_its_last_byte_however_it_is_cut():
    told = OK + b"Content-Length: 5\r\nRetry-After: a\r\nretry-after: b\r\n\r\nhello"

    for cut in range(1, len(told)):
        answer = read(told[:cut])
        assert not answer.is_whole
        answer.feed(told[cut:])
        assert (answer.is_whole, answer.keeps_alive, answer.status) == (True, True, 200)
        assert bytes(answer.content) == b"hello"
        assert answer.headers == {"content-length": "5", "retry-after": "a, b"}


def test_chunks_are_put_together_and_what_follows_them_is_no_header():
    answer = read(
        OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\nhe\r\n3\r\nllo\r\n", b"0\r\nRetry-After: 9\r\n\r\n"
    )

    assert (answer.is_whole, answer.keeps_alive, bytes(answer.content)) == (True, True, b"hello")
    assert answer.headers == {"transfer-encoding": "chunked"}


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
def test_answer_that_never_has_a_body_needs_no_length(status):
    answer = read(b"HTTP/1.1 " + status + b"\r\nRetry-After: a\r\n\r\n")

    assert (answer.is_whole, answer.keeps_alive, bytes(answer.content)) == (True, True, b"")


def test_word_in_between_is_not_the_answer():
    answer = read(
        b"HTTP/1.1 100 Continue\r\nRetry-After: a\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nhi",
    )

    assert (answer.is_whole, answer.status, bytes(answer.content)) == (True, 200, b"hi")
    assert answer.headers == {"content-length": "2"}


def test_connection_may_be_offered_another_protocol_but_not_switched_to_it():
    offered = read(OK + b"Upgrade: h2\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nhi")

    assert (offered.is_whole, bytes(offered.content)) == (True, b"hi")
    with pytest.raises(wire.BROKEN):
        read(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2\r\nConnection: Upgrade\r\n\r\nhello")


@pytest.mark.parametrize(
    "surplus",
    [
        b"?",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Two: b\r\n\r\nno",
        b"HTTP/1.1 101 S\r\nUpgrade: h2\r\nConnection: Upgrade\r\n\r\nx",
    ],
)
def test_what_nobody_asked_for_is_dropped_with_its_connection(surplus):
    answer = read(OK + b"Content-Length: 2\r\n\r\nhi" + surplus)

    assert (answer.is_whole, answer.keeps_alive, answer.status) == (True, False, 200)
    assert bytes(answer.content) == b"hi"
    assert answer.headers == {"content-length": "2"}


def test_body_without_a_length_ends_with_its_connection():
    answer = read(OK + b"\r\nhel", b"lo")
    assert not answer.is_whole

    answer.feed(b"")

    assert (answer.is_whole, answer.keeps_alive, bytes(answer.content)) == (True, False, b"hello")


@pytest.mark.parametrize("head", [OK + b"Connection: close\r\n", b"HTTP/1.0 200 OK\r\n"])
def test_connection_that_is_to_be_closed_is_not_used_again(head):
    assert not read(head + b"Content-Length: 2\r\n\r\nhi").keeps_alive


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        b"HT",
        OK,
        OK + b"Content-Length: 5\r\n\r\nhell",
        OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n",
    ],
)
def test_answer_that_is_cut_is_none(cut):
    answer = read(cut) if cut else Answer()

    with pytest.raises(ConnectionError):
        answer.feed(b"")


@pytest.mark.parametrize(
    "broken",
    [
        b"hello\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/3.9 200 OK\r\n\r\n",
        OK + b"no colon\r\n\r\n",
        OK + b"Content-Length: -1\r\n\r\n",
        OK + b"Content-Length: 1e3\r\n\r\n",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n",
        OK + b"Content-Length: 5\r\nContent-Length: 2\r\n\r\nhello",
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n",
    ],
)
def test_answer_that_leaves_room_for_doubt_is_none(broken):
    with pytest.raises(wire.BROKEN):
        read(broken)


def test_head_without_end_is_too_long():
    answer = read(OK)
    line = b"X-Long: " + b"x" * 1000 + b"\r\n"
    read_bytes = 0
    while read_bytes <= wire.MAX_HEAD_BYTES:
        assert not answer.is_too_long(read_bytes)
        answer.feed(line)
        read_bytes += len(line)

    assert answer.is_too_long(read_bytes)


def packed(content: bytes, encoding: str) -> Answer:
    head = b"Content-Encoding: %b\r\nContent-Length: %d\r\n\r\n" % (encoding.encode(), len(content))
    return read(OK + head + content)


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip"])
def test_packed_body_is_unpacked(encoding):
    assert unpack(packed(gzip.compress(b"hello", mtime=0), encoding)) == b"hello"


def test_body_that_is_not_packed_or_not_there_is_left_as_it_is():
    assert unpack(packed(b"hello", "identity")) == b"hello"
    assert unpack(packed(b"", "gzip")) == b""


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (b"hello", "gzip"),
        (gzip.compress(b"hello", mtime=0)[:-1], "gzip"),
        (gzip.compress(b"hello", mtime=0)[:-8] + b"\0" * 8, "gzip"),
        (gzip.compress(b"hel", mtime=0) + gzip.compress(b"lo", mtime=0), "gzip"),
        (gzip.compress(b"hello", mtime=0), "gzip, gzip"),
        (zlib.compress(b"hello"), "deflate"),
        (b"hello", "br"),
    ],
)
def test_body_that_leaves_room_for_doubt_is_none(content, encoding):
    with pytest.raises(zlib.error):
        unpack(packed(content, encoding))
