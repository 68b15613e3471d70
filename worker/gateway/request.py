"""The bytes of requests, of which most are the same each time: those are put together once."""

from __future__ import annotations

from collections.abc import Mapping

import urllib3

from worker.gateway import wire
from worker.gateway.exchange import NotSentError


class RequestWriter:
    """Write requests; any number of threads may share one.

    It keeps the headers that it was given, by host and credentials: the SDK has few sets of them, the same again and again.
    """

    def __init__(self) -> None:
        self._heads: dict[tuple[object, ...], bytes] = {}

    def write(
        self, method: str, url: str, headers: Mapping[str, str], auth: tuple[str, str] | None, body: bytes
    ) -> tuple[str, bytes]:
        """Write a request: where it goes to (scheme://host:port), and all of its bytes.

        Raises: NotSentError for an address or a header that would break out of its line.
        """
        scheme, _, rest = url.partition("#")[0].partition("://")
        host, _, target = rest.partition("/")
        origin, first = f"{scheme}://{host}", f"{method} /{target} HTTP/1.1\r\n"
        known = (origin, auth, *headers.items())
        head = self._heads.get(known)
        if head is None:
            head = self._heads[known] = _head(origin, headers, auth)
        if " " in target or not (first.isascii() and first[:-2].isprintable()):
            raise NotSentError("the address cannot be used")
        length = b"Content-Length: %d\r\n" % len(body) if body or method != "GET" else b""
        return origin, b"%b%b%b\r\n%b" % (first.encode(), head, length, body)


def _head(origin: str, headers: Mapping[str, str], auth: tuple[str, str] | None) -> bytes:
    login = urllib3.make_headers(basic_auth=":".join(auth)) if auth is not None else {}
    named = {name.title(): value for name, value in login.items()}
    whole = wire.compose("GET", f"{origin}/", {**headers, "Accept-Encoding": "gzip", **named}, b"")[1]
    return whole.partition(b"\r\n")[2][:-2]
