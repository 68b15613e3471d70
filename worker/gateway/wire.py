"""One request and its answer on a connection: written at once, read by llhttp, whose strictness is relied on."""

from __future__ import annotations

import zlib
from typing import Any

import httptools

from worker.gateway import exchange
from worker.gateway.deadline import TimedSocket, TimedSSLSocket
from worker.gateway.exchange import Exchange, SentError

# A page of 1,000 Flex tasks is about 4 MB. A few bytes of gzip can unpack to all of it, and as JSON takes 30 times as much.
MAX_BODY_BYTES = 6 * 1024 * 1024
MAX_HEAD_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024

_READ = {
    name.encode(): name
    for name in ("content-encoding", "content-length", "transfer-encoding", "retry-after", "date")
}
"""Headers of an answer that anybody here reads; Twilio sends about 18."""

_TIMED = (TimedSocket, TimedSSLSocket)

BROKEN = (httptools.HttpParserError, httptools.HttpParserUpgrade)
"""What is raised where an answer is no HTTP, or of a protocol that nobody asked for."""


class Answer:
    """What has been read of an answer; llhttp calls the `on_` methods.

    `keeps_alive`: the connection may serve another request. `headers`: those that are read here, names in lower case, several
    values of one name joined by commas.
    """

    __slots__ = ("_has_head", "_parser", "content", "headers", "is_whole", "keeps_alive", "status")

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._has_head = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.content = bytearray()
        self.is_whole = False
        self.keeps_alive = False

    def feed(self, chunk: bytes) -> None:
        """Read on; no bytes at all is the connection's end.

        Raises: one of BROKEN, ConnectionError for what is cut.
        """
        if not chunk:
            self._end()
            return
        try:
            self._parser.feed_data(chunk)
        except BROKEN:
            if not self.is_whole:
                raise
            self.keeps_alive = False  # what follows a whole answer was not asked for

    def on_message_begin(self) -> None:
        if self.is_whole:
            self.keeps_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._has_head:  # of a chunked body's end, or of something that follows
            return
        known = _READ.get(name.lower())
        if known is None:
            return
        said = value.decode("latin-1")
        self.headers[known] = f"{self.headers[known]}, {said}" if known in self.headers else said

    def on_headers_complete(self) -> None:
        if not self._has_head:
            self.status = self._parser.get_status_code()
            self._has_head = True

    def on_body(self, part: bytes) -> None:
        if not self.is_whole:
            self.content += part

    def on_message_complete(self) -> None:
        if self.is_whole:
            return
        if 100 <= self.status < 200:  # only a word in between
            self.headers.clear()
            self._has_head = False
            return
        self.is_whole = True
        self.keeps_alive = self._parser.should_keep_alive()

    def let_go(self) -> None:
        """Drop the parser: each holds the other, and whole bodies would wait for the garbage collector."""
        del self._parser

    def is_too_long(self, read_bytes: int) -> bool:
        """Tell whether it goes beyond what is ever needed."""
        # Beside its body there are the sizes of chunks and what follows the last one, of which nothing is kept here.
        most_bytes = 2 * MAX_BODY_BYTES if self._has_head else MAX_HEAD_BYTES
        return len(self.content) > MAX_BODY_BYTES or read_bytes > most_bytes

    def _end(self) -> None:
        is_open_ended = self._has_head and not {"content-length", "transfer-encoding"} & self.headers.keys()
        if not is_open_ended:
            raise ConnectionError("the connection ended before the answer did")
        self.is_whole = True


def unpack(answer: Answer) -> bytes | bytearray:
    """Return an answer's body as it was before it was packed.

    Raises: zlib.error for what is no gzip, or is cut; SentError for what unpacks to more than MAX_BODY_BYTES.
    """
    packing = answer.headers.get("content-encoding", "").lower()
    if packing in ("", "identity") or not answer.content:
        return answer.content
    if packing not in ("gzip", "x-gzip"):
        raise zlib.error("packed in a way that was not asked for")
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    body = unpacker.decompress(answer.content, MAX_BODY_BYTES + 1)
    if len(body) > MAX_BODY_BYTES:
        raise SentError("the answer was too long to be read")
    if not unpacker.eof or unpacker.unused_data:
        raise zlib.error("cut, or more than one")
    return body


def converse(connection: Any, request: bytes, current: Exchange) -> Answer:
    """Write a request and read the whole answer to it, within the deadline of `current`.

    Raises: OSError, ExchangeError, one of BROKEN. The connection is of no more use then.
    """
    sock = connection.sock
    is_within_tls = not isinstance(sock, _TIMED)
    if is_within_tls:
        exchange.arm(sock)
    else:
        sock.deadline = current.deadline
    current.about_to_send()
    sock.sendall(request)
    current.written()
    if not is_within_tls:  # else some may be read already
        sock.await_answer()
    answer, read_bytes = Answer(), 0
    while not answer.is_whole:
        chunk = sock.recv(_CHUNK_BYTES)
        answer.feed(chunk)
        read_bytes += len(chunk)
        if answer.is_too_long(read_bytes):
            raise SentError("the answer was too long to be read")
    answer.let_go()
    # Read and not yet unpacked: it does not show on the socket any more.
    if is_within_tls and sock.incoming.pending:
        answer.keeps_alive = False
    return answer
