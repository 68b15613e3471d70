"""One wall-clock deadline over a whole HTTP exchange, kept at every read and write of its socket."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from worker import loop

Clock = Callable[[], float]

_NOT_YET = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Deadline:
    """A moment on `clock` after which an exchange is given up, however busy it looks."""

    __slots__ = ("_at", "_clock")

    def __init__(self, clock: Clock, total_s: float) -> None:
        self._clock = clock
        self._at = clock() + total_s

    def within(self, seconds: float) -> Deadline:
        """Return a nearer deadline on the same clock."""
        return Deadline(self._clock, max(0.0, min(seconds, self.left_s())))

    def left_s(self) -> float:
        """Return the seconds left, below zero once it has passed."""
        return self._at - self._clock()


if TYPE_CHECKING:
    _Base = socket.socket
else:
    _Base = object


class _Timed(_Base):
    """Give each system call the time that the exchange has left; in a loop, let the other rows on meanwhile.

    A socket's own time-out starts anew with each read, so an answer that drips one byte a second never ends.
    """

    # What the three calls have in common is written out: handing the call itself on took half as long as TLS does.

    deadline: Deadline | None = None

    def recv(self, *args: Any) -> bytes:
        here = self._ready()
        while True:
            try:
                return super().recv(*args)
            except _NOT_YET as error:
                self._wait(here, error, loop.READ)

    def recv_into(self, *args: Any) -> int:
        here = self._ready()
        while True:
            try:
                return super().recv_into(*args)
            except _NOT_YET as error:
                self._wait(here, error, loop.READ)

    def send(self, *args: Any) -> int:
        here = self._ready()
        while True:
            try:
                return super().send(*args)
            except _NOT_YET as error:
                self._wait(here, error, loop.WRITE)
                self._left_s()  # but the rest of a request does not go out after its time

    def sendall(self, data: Any, *_: Any) -> None:
        sent = self.send(data)  # nearly always all of it
        while sent < len(data):
            sent += self.send(memoryview(data)[sent:])

    def await_answer(self) -> None:
        """Let the other rows of a loop on until there is something to read: right after a request there is nothing."""
        here = loop.here()
        if here is not None:
            here.wait_for(self, loop.READ, self._left_s())

    def _ready(self) -> loop.Loop | None:
        """Give the next system call the time that is left; in a loop none, for what is there is taken, however late."""
        here = loop.here()
        if here is None:
            if self.deadline is not None:
                self.settimeout(self._left_s())
        elif self.gettimeout() != 0:  # another thread may have had it, with a time-out
            self.setblocking(False)
        return here

    def _wait(self, here: loop.Loop | None, error: Exception, event: int) -> None:
        """Wait for what TLS says, which may read for a write and write for a read; for `event` where it says nothing."""
        if here is None:
            raise error
        if isinstance(error, ssl.SSLWantReadError):
            event = loop.READ
        elif isinstance(error, ssl.SSLWantWriteError):
            event = loop.WRITE
        here.wait_for(self, event, self._left_s())

    def _left_s(self) -> float:
        left_s = self.deadline.left_s() if self.deadline is not None else float("inf")
        if left_s <= 0:
            raise TimeoutError("the deadline of the whole request has passed")
        return left_s


class TimedSocket(_Timed, socket.socket):
    """A plain socket under a deadline."""


class TimedSSLSocket(_Timed, ssl.SSLSocket):
    """A TLS socket under a deadline; made by an `SSLContext` whose `sslsocket_class` it is."""


def connect(host: str, port: int, budget: Deadline) -> TimedSocket:
    """Connect to the first address of `host` that answers, within `budget` over all of them.

    Raises: OSError (TimeoutError and socket.gaierror among them). Name resolution itself cannot be timed.
    """
    addresses = socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM)
    failure: OSError = TimeoutError("no address answered")
    for untried, (family, kind, protocol, _, address) in zip(
        range(len(addresses), 0, -1), addresses, strict=True
    ):
        sock = TimedSocket(family, kind, protocol)
        try:
            # A fair share each: one dead address must not use up the time of those that work.
            sock.settimeout(max(0.01, budget.left_s() / untried))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
        else:
            return sock
    raise failure
