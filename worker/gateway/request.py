"""The bytes of a request."""

from __future__ import annotations

from collections.abc import Mapping

import urllib3

from worker.gateway.exchange import NotSentError


def write_headers(headers: Mapping[str, str], auth: tuple[str, str] | None) -> bytes:
    """Write the headers that a request shares with others of its kind: `headers`, and those that are ours.

    Raises: NotSentError for one that would break out of its line.
    """
    login = urllib3.make_headers(basic_auth=":".join(auth)) if auth is not None else {}
    named = {name.title(): value for name, value in login.items()}
    lines = [f"{name}: {value}" for name, value in {**headers, "Accept-Encoding": "gzip", **named}.items()]
    if not all(line.isascii() and line.isprintable() for line in lines):
        raise NotSentError("a header cannot be used")
    return "".join(f"{line}\r\n" for line in lines).encode()


def write(method: str, url: str, headers: bytes, body: bytes) -> tuple[str, bytes]:
    """Write a request: where it goes to (scheme://host:port), and all of its bytes.

    Raises: NotSentError for an address that would break out of its line.
    """
    scheme, _, rest = url.partition("#")[0].partition("://")
    host, _, target = rest.partition("/")
    origin = f"{scheme}://{host}"
    host = host.rpartition("@")[2]
    if not (rest.isascii() and rest.isprintable()) or " " in rest:
        raise NotSentError("the address cannot be used")
    first = f"{method} /{target} HTTP/1.1\r\nHost: {host}\r\n"
    length = b"Content-Length: %d\r\n" % len(body) if body or method != "GET" else b""
    return origin, b"%b%b%b\r\n%b" % (first.encode(), headers, length, body)
