"""Pooled connections that keep to the exchange's deadline and know whether anything was sent."""

from __future__ import annotations

import socket
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError

from worker.gateway import deadline, exchange

# A server that closes an idle connection just as a request goes out leaves that request unanswered: leave before it does.
MAX_IDLE_S = 15.0


class _Exchanging(HTTPConnection):
    """Tell this thread's exchange what happens on the wire."""

    idle_since: float = 0.0
    _is_connecting: bool = False

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

    def connect(self) -> None:
        self._is_connecting = True
        try:
            super().connect()
        finally:
            self._is_connecting = False
        exchange.arm(self.sock)

    def request(self, *args: Any, **kwargs: Any) -> None:
        exchange.arm(self.sock)
        super().request(*args, **kwargs)

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        current = exchange.last()
        # A proxy's CONNECT is not yet our request.
        if current is not None and not self._is_connecting:
            current.about_to_send()
        super().send(data)

    def getresponse(self) -> Any:
        current = exchange.last()
        if current is not None and not self._is_connecting:
            current.written()
        return super().getresponse()


class TimedHTTPConnection(_Exchanging):
    """A plain connection."""


class TimedHTTPSConnection(_Exchanging, HTTPSConnection):
    """A TLS connection."""


class _Resting(HTTPConnectionPool):
    """Close connections that have rested for too long instead of trusting them with a request."""

    def _get_conn(self, timeout: float | None = None) -> Any:
        connection: Any = super()._get_conn(timeout)
        if connection.sock is not None and exchange.now_s() - connection.idle_since > MAX_IDLE_S:
            connection.close()
        return connection

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.idle_since = exchange.now_s()
        super()._put_conn(conn)


class TimedHTTPPool(_Resting):
    """Plain connections to one host."""

    ConnectionCls = TimedHTTPConnection


class TimedHTTPSPool(_Resting, HTTPSConnectionPool):
    """TLS connections to one host."""

    ConnectionCls = TimedHTTPSConnection


POOLS = {"http": TimedHTTPPool, "https": TimedHTTPSPool}
