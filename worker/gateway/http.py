"""The SDK's HTTP client: pooled, one TLS context, a deadline over each whole request, and no retries of its own."""

from __future__ import annotations

import logging
import re
import ssl
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from http.client import HTTPException
from pathlib import Path
from urllib.parse import unquote, urlencode, urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import certifi
import urllib3
from twilio.http import HttpClient  # type: ignore[import-untyped]
from twilio.http.response import Response  # type: ignore[import-untyped]
from urllib3 import exceptions as failures

from worker.effects import effect
from worker.errors import SettingsError
from worker.gateway import exchange
from worker.gateway.connections import POOLS
from worker.gateway.deadline import Deadline, TimedSSLSocket
from worker.gateway.exchange import ExchangeError, NotSentError, Received, SentError
from worker.gateway.routes import route

# A page of 1,000 Flex tasks is about 4 MB. A few bytes of gzip can unpack to all of it, and as JSON takes 30 times as much.
MAX_BODY_BYTES = 6 * 1024 * 1024

_EFFECTS = (
    (re.compile(r"/v1/Interactions"), "post_interaction"),
    (re.compile(r"/v1/Conversations/CH\w+/Messages"), "post_message"),
    (re.compile(r"/v1/Interactions/KD\w+/Channels/UO\w+"), "post_closing"),
    (re.compile(r"/v1/Configuration/Webhooks"), "post_webhooks"),
)

REASONS: tuple[tuple[type[Exception], str], ...] = (
    (failures.ProxyError, "the proxy could not be used"),
    (failures.NameResolutionError, "the host name could not be resolved"),
    (failures.NewConnectionError, "the connection was refused"),
    (failures.ConnectTimeoutError, "the connection was not made in time"),
    (failures.SSLError, "TLS failed"),
    (ssl.SSLError, "TLS failed"),
    (failures.TimeoutError, "no complete answer came in time"),
    (TimeoutError, "no complete answer came in time"),
    (failures.DecodeError, "the answer could not be decoded"),
    (Exception, "the connection was cut"),
)


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


class PooledHttpClient(HttpClient):  # type: ignore[misc]
    """Send the SDK's requests; any number of threads may share one.

    Raises: NotSentError where nothing left this machine, SentError where something may have.
    """

    def __init__(
        self, options: HttpOptions, clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> None:
        super().__init__(logging.getLogger(__name__), is_async=False)
        # urllib3 writes whole URLs, which hold phone numbers, in its debug lines and in one warning.
        logging.getLogger("urllib3").setLevel(logging.ERROR)
        self.clock_skew_s = 0.0
        self._options = options
        self._base_url = options.base_url.rstrip("/")
        self._clock = clock
        self._wall_clock = wall_clock
        context = None if self._base_url.startswith("http://") else tls_context(options.ca_file)
        self._direct = self._pools(urllib3.PoolManager, context)
        self._proxied = (
            self._pools(_proxy_manager(options.https_proxy, context), context)
            if options.https_proxy
            else None
        )

    def request(
        self,
        method: str,
        uri: str,
        params: Mapping[str, object] | None = None,
        data: Mapping[str, object] | None = None,
        headers: Mapping[str, str] | None = None,
        auth: tuple[str, str] | None = None,
        timeout: float | None = None,  # noqa: ARG002
        allow_redirects: bool = False,  # noqa: ARG002
    ) -> Response:
        """Send one request and read all of its answer; `timeout` and `allow_redirects` are not for the SDK to say."""
        exchange.forget()
        url = route(uri, self._base_url)
        if params:
            url = f"{url}?{urlencode(params, doseq=True)}"
        all_headers = {**(headers or {}), "Accept-Encoding": "gzip"}
        if auth is not None:
            all_headers |= urllib3.make_headers(basic_auth=":".join(auth))
        body = urlencode(data, doseq=True).encode() if data is not None else None
        received = self._exchange(method, url, body, all_headers, _effect_of(method, uri))
        return Response(received.status, received.text, received.headers)

    def close(self) -> None:
        """Close the connections that rest in the pools."""
        self._direct.clear()
        if self._proxied is not None:
            self._proxied.clear()

    def _pools(
        self, manager: Callable[..., urllib3.PoolManager], context: ssl.SSLContext | None
    ) -> urllib3.PoolManager:
        pools = manager(num_pools=16, maxsize=self._options.pool_size, block=False, ssl_context=context)
        pools.pool_classes_by_scheme = POOLS
        return pools

    def _manager_for(self, url: str) -> urllib3.PoolManager:
        parts = urlsplit(url)
        if self._proxied is None or parts.scheme != "https":
            return self._direct
        # `proxy_bypass_environment` reads no environment when it is handed the list.
        is_exempt = proxy_bypass_environment(parts.netloc, {"no": self._options.no_proxy})
        return self._direct if is_exempt else self._proxied

    def _exchange(
        self, method: str, url: str, body: bytes | None, headers: dict[str, str], name: str
    ) -> Received:
        current = exchange.begin(Deadline(self._clock, self._options.total_s), name)
        try:
            with effect(name) if name else nullcontext():
                current.received = self._receive(method, url, body, headers)
        except ExchangeError:
            raise
        except (failures.HTTPError, HTTPException, OSError, ValueError) as error:
            reason = _reason(error)
            # Not chained: the messages below hold URLs, and those hold phone numbers.
            raise (SentError if current.is_sent else NotSentError)(reason) from None
        self._note_skew(current.received)
        return current.received

    def _receive(self, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Received:
        options = self._options
        response = self._manager_for(url).urlopen(
            method,
            url,
            body=body,
            headers=headers,
            redirect=False,
            retries=False,
            preload_content=False,
            timeout=urllib3.Timeout(connect=options.connect_s, read=options.total_s),
        )
        content = response.read(MAX_BODY_BYTES + 1)
        if len(content) > MAX_BODY_BYTES:
            response.close()
            raise SentError("the answer was too long to be read")
        response.release_conn()
        names = {name.lower(): value for name, value in response.headers.items()}
        return Received(response.status, names, content.decode("utf-8", errors="replace"))

    def _note_skew(self, received: Received) -> None:
        try:
            theirs = parsedate_to_datetime(received.headers.get("date", "")).timestamp()
        except (ValueError, OverflowError):
            return
        # The header is cut to whole seconds: half of one is the best guess at what was cut.
        self.clock_skew_s = theirs + 0.5 - self._wall_clock()


def _effect_of(method: str, uri: str) -> str:
    """Name what a request does at Twilio, as worker/effects.py does; empty for a look-up."""
    if method == "GET":
        return ""
    path = urlsplit(uri).path
    for shape, name in _EFFECTS:
        if shape.fullmatch(path):
            return name
    raise AssertionError("a request with an effect has a name in worker/effects.py")


def _reason(error: Exception) -> str:
    if (
        isinstance(error, failures.ProtocolError) and len(error.args) > 1
    ):  # urllib3 wraps what the socket raised
        error = error.args[1]
    return next(words for kind, words in REASONS if isinstance(error, kind))


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Build the one TLS context; reading a bundle takes about 60 ms of CPU, so never one a connection.

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


def _proxy_manager(https_proxy: str, context: ssl.SSLContext | None) -> Callable[..., urllib3.PoolManager]:
    parts = urlsplit(https_proxy)
    login = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}" if parts.username else None
    headers = urllib3.make_headers(proxy_basic_auth=login)
    return partial(urllib3.ProxyManager, https_proxy, proxy_headers=headers, proxy_ssl_context=context)
