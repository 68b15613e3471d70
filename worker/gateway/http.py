"""The SDK's HTTP client: pooled, one TLS context, a deadline over each whole request, and no retries of its own."""

from __future__ import annotations

import logging
import re
import ssl
import zlib
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cache
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import certifi
import urllib3
from twilio.http.response import Response  # type: ignore[import-untyped]
from urllib3 import exceptions as failures
from yarl import URL

from worker.effects import effect
from worker.errors import SettingsError
from worker.gateway import exchange, request, wire
from worker.gateway.connections import Connections
from worker.gateway.deadline import Deadline, TimedSSLSocket
from worker.gateway.exchange import Exchange, ExchangeError, NotSentError, Received, SentError
from worker.gateway.routes import route

_EFFECTS = re.compile(
    r"https://[^/]+/v1/(?:"
    r"(?P<post_interaction>Interactions)"
    r"|(?P<post_message>Conversations/CH\w+/Messages)"
    r"|(?P<post_closing>Interactions/KD\w+/Channels/UO\w+)"
    r"|(?P<post_webhooks>Configuration/Webhooks))"
)

REASONS: tuple[tuple[type[Exception], str], ...] = (
    (failures.NameResolutionError, "the host name could not be resolved"),
    (failures.NewConnectionError, "the connection was refused"),
    (failures.ConnectTimeoutError, "the connection was not made in time"),
    (ssl.SSLError, "TLS failed"),
    (failures.TimeoutError, "no complete answer came in time"),
    (TimeoutError, "no complete answer came in time"),
    (zlib.error, "the answer could not be decoded"),
    *((kind, "the answer was no HTTP") for kind in wire.BROKEN),
    (Exception, "the connection was cut"),
)
_FAILURES = (failures.HTTPError, HTTPException, *wire.BROKEN, zlib.error, OSError, ValueError)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """How to reach Twilio.

    `pool_size`: at least the number of threads that call. `connect_s` bounds making a connection, `total_s` the whole
    request from its start to the last byte of the answer. `base_url`: "" is Twilio itself. `ca_file`: trusted instead
    of the system's and certifi's authorities. `https_proxy`: used for https only, except for hosts in `no_proxy`.
    """

    pool_size: int = 64
    connect_s: float = 5.0
    total_s: float = 20.0
    base_url: str = ""
    ca_file: Path | None = None
    https_proxy: str = field(default="", repr=False)
    no_proxy: str = ""


class PooledHttpClient:
    """Send the SDK's requests; any number of threads may share one.

    Raises: NotSentError where nothing left this machine, SentError where something may have.
    """

    def __init__(
        self, options: HttpOptions, clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> None:
        # urllib3 writes hosts in its debug lines, and a proxy's may hold its password.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        self.clock_skew_s = 0.0
        self._options = options
        self._base_url = options.base_url.rstrip("/")
        self._clock = clock
        self._wall_clock = wall_clock
        context = None if self._base_url.startswith("http://") else tls_context(options.ca_file)
        proxy = _proxy(options.https_proxy, context) if options.https_proxy else None
        self._connections = Connections(
            options.pool_size, options.connect_s, context, proxy, options.no_proxy, clock
        )
        self._date = ""

    def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, Any] | None = None,
        headers: bytes = b"",
    ) -> Response:
        """Send one request, with `headers` as request.py writes them, and read all of its answer."""
        exchange.forget()
        url = route(uri, self._base_url)
        if params:
            url = f"{url}?{'&'.join([_said(name, value) for name, value in params.items()])}"
        # Not `urlencode`, which takes 7 times as long for a page of JSON.
        body = URL.build(query=data).raw_query_string.encode() if data else b""
        origin, written = request.write(method, url, headers, body)
        received = self._exchange(origin, written, _effect_of(method, uri))
        return Response(received.status, received.text, received.headers)

    def close(self) -> None:
        """Close the connections that rest."""
        self._connections.close()

    def _exchange(self, origin: str, written: bytes, name: str) -> Received:
        current = exchange.begin(Deadline(self._clock, self._options.total_s), name)
        try:
            with effect(name) if name else nullcontext():
                answer = self._converse(origin, written, current)
            text = wire.unpack(answer).decode("utf-8", errors="replace")
            current.received = Received(answer.status, answer.headers, text)
        except ExchangeError:
            raise
        except _FAILURES as error:
            reason = _reason(error)
            # Not chained: the messages below hold URLs, and those hold phone numbers.
            raise (SentError if current.is_sent else NotSentError)(reason) from None
        self._note_skew(current.received)
        return current.received

    def _converse(self, origin: str, written: bytes, current: Exchange) -> wire.Answer:
        connection = self._connections.take(origin)
        try:
            answer = wire.converse(connection, written, current)
        except BaseException:
            if current.is_sent:
                connection.close()
            else:  # held back before its first byte, it is as good as before
                self._connections.put_back(origin, connection)
            raise
        if answer.keeps_alive:
            self._connections.put(origin, connection)
        else:
            connection.close()
        return answer

    def _note_skew(self, received: Received) -> None:
        date = received.headers.get("date", "")
        if (
            date == self._date
        ):  # of the same second: nothing new, and reading it costs more than all other headers
            return
        self._date = date
        try:
            theirs = parsedate_to_datetime(date).timestamp()
        except (ValueError, OverflowError):
            return
        # The header is cut to whole seconds: half of one is the best guess at what was cut.
        self.clock_skew_s = theirs + 0.5 - self._wall_clock()


def _effect_of(method: str, uri: str) -> str:
    """Name what a request does at Twilio, as worker/effects.py does; empty for a look-up."""
    if method == "GET":
        return ""
    found = _EFFECTS.fullmatch(uri)
    if found is None or found.lastgroup is None:
        raise AssertionError("a request with an effect has a name in worker/effects.py")
    return found.lastgroup


def _said(name: str, value: object) -> str:
    """Write one parameter of a look-up; `urlencode` takes ten times as long, and nearly all that is asked is a page's size."""
    return f"{name}={value}" if type(value) is int else urlencode({name: value}, doseq=True)


def _reason(error: Exception) -> str:
    return next(words for kind, words in REASONS if isinstance(error, kind))


@cache
def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Build the one TLS context; reading a bundle takes about 60 ms of CPU, so never one a connection or an account.

    Raises: SettingsError if `ca_file` cannot be used.
    """
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except OSError as error:
        raise SettingsError(
            f"The certificate file {ca_file} could not be read.",
            "SSL_CERT_FILE must name a file of certificates in PEM form.",
        ) from error
    if ca_file is None:
        context.load_verify_locations(certifi.where())  # a slim container has no store of its own
    context.sslsocket_class = TimedSSLSocket
    return context


def _proxy(url: str, context: ssl.SSLContext | None) -> urllib3.ProxyManager:
    parts = urlsplit(url)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(url, proxy_headers=headers, proxy_ssl_context=context)
