"""Connections to Twilio: made by urllib3, through a proxy where there is one, and kept while they can be trusted."""

from __future__ import annotations

import select
import socket
import ssl
import weakref
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from worker import loop
from worker.gateway import deadline, exchange
from worker.gateway.exchange import NotSentError

# A server that closes an idle connection just as a request goes out leaves that request unanswered: leave before it does.
MAX_IDLE_S = 15.0


class _Timed(HTTPConnection):
    """Keep to the deadline of this thread's exchange while connecting."""

    idle_since: float = 0.0
    _heard: select.poll

    def connect(self) -> None:
        super().connect()
        self._heard = select.poll()  # kept: urllib3 would make one for each look
        self._heard.register(self.sock, select.POLLIN)

    def has_heard(self) -> bool:
        """Tell of anything to read: of what nobody has asked for, or of the connection's end."""
        return bool(self._heard.poll(0))

    def _new_conn(self) -> socket.socket:
        current = exchange.last()
        assert current is not None, "connections are opened inside an exchange"
        budget = current.deadline.within(float(self.timeout or 0.0))
        try:
            sock = deadline.connect(self._dns_host, int(self.port or 0), budget)
        except socket.gaierror as error:
            raise NameResolutionError(self.host, self, error) from error
        except TimeoutError as error:
            raise ConnectTimeoutError(self, "the connect time-out passed") from error
        except OSError as error:
            raise NewConnectionError(self, "the connection could not be made") from error
        exchange.arm(sock)
        sock.settimeout(max(0.01, budget.left_s()))  # what is left of it is for the TLS handshake
        return sock

    def _tunnel(self) -> None:
        # By now it may be another socket: that of the TLS which the proxy itself speaks.
        exchange.arm(self.sock)
        super()._tunnel()


class TimedHTTPConnection(_Timed):
    """A plain connection."""


class TimedHTTPSConnection(_Timed, HTTPSConnection):
    """A TLS connection."""


class Connections:
    """Make connections and keep those that rest; any number of threads may share one.

    `size`: so many rest at most, for a while on `clock`. `context` None: only plain ones can be made. `proxy`: for https only, and not for hosts in `no_proxy`.
    """

    def __init__(
        self,
        size: int,
        connect_s: float,
        context: ssl.SSLContext | None,
        proxy: urllib3.ProxyManager | None,
        no_proxy: str,
        clock: Callable[[], float],
    ) -> None:
        self._size = size
        self._connect_s = connect_s
        self._context = context
        self._proxy = proxy
        self._no_proxy = no_proxy
        self._clock = clock
        self._resting: dict[str, list[Any]] = {}
        weakref.finalize(self, _close, self._resting)  # not everybody says when they are done

    def take(self, origin: str) -> Any:
        """Return a connection to `origin` (scheme://host:port): the one that rested least, or a new one.

        Raises: NotSentError, and what urllib3 and the socket raise.
        """
        resting = self._resting.setdefault(origin, [])
        while True:
            try:
                connection = resting.pop()
            except IndexError:  # asked first, it could still be gone: threads share the list
                return self._connect(origin)
            if self._clock() - connection.idle_since <= MAX_IDLE_S and not connection.has_heard():
                return connection
            connection.close()

    def put(self, origin: str, connection: Any) -> None:
        """Let a connection rest whose last answer was read to its end."""
        connection.idle_since = self._clock()
        self.put_back(origin, connection)

    def put_back(self, origin: str, connection: Any) -> None:
        """Let a connection rest on over which nothing went: to the server it has rested all the while."""
        resting = self._resting.setdefault(origin, [])
        if len(resting) < self._size:
            resting.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close the connections that rest, and from now on each that comes back."""
        self._size = 0
        _close(self._resting)

    def _connect(self, origin: str) -> Any:
        connection, here = self._make(origin), loop.here()
        try:
            if here is None:
                connection.connect()
            else:  # its pieces would have to be waited for one by one, and a name's address can't be
                here.aside(connection.connect)
        except Exception:
            connection.close()
            if connection.proxy is not None and not connection.has_connected_to_proxy:
                raise NotSentError("the proxy could not be used") from None
            raise
        connection.idle_since = self._clock()
        return connection

    def _make(self, origin: str) -> _Timed:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            return TimedHTTPConnection(host, port or 80, timeout=self._connect_s)
        if parts.scheme != "https" or self._context is None:
            raise NotSentError("the address cannot be used")
        # `proxy_bypass_environment` reads no environment when it is handed the list.
        if self._proxy is None or proxy_bypass_environment(parts.netloc, {"no": self._no_proxy}):
            return TimedHTTPSConnection(host, port or 443, timeout=self._connect_s, ssl_context=self._context)
        proxy = self._proxy.proxy
        assert proxy is not None
        connection = TimedHTTPSConnection(
            proxy.host or "",
            proxy.port,
            timeout=self._connect_s,
            ssl_context=self._context,
            proxy=proxy,
            proxy_config=self._proxy.proxy_config,
        )
        connection.set_tunnel(
            host, port or 443, headers=self._proxy.proxy_headers, scheme=proxy.scheme or "http"
        )
        return connection


def _close(resting: dict[str, list[Any]]) -> None:
    for connections in list(resting.values()):
        while connections:
            connections.pop().close()
