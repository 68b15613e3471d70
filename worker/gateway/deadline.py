"""One wall-clock deadline over a whole HTTP exchange, kept at every read and write of its socket."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from worker import loop

T = TypeVar("T")
Clock = Callable[[], float]


class Deadline:
    """A moment on `clock` after which an exchange is given up, however busy it looks."""

    __slots__ = ("_at", "_clock")

    def __init__(self, clock: Clock, total_s: float) -> None:
        self._clock = clock
        self._at = clock() + total_s

    def within(self, seconds: float) -> Deadline:
        """Return a nearer deadline on the same clock."""
        return Deadline(self._clock, max(0.0, min(seconds, self.left_s())))

    def now_s(self) -> float:
        """Return the time on the deadline's own clock."""
        return self._clock()

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

    deadline: Deadline | None = None

    def recv(self, *args: Any, **kwargs: Any) -> bytes:
        return self._within(super().recv, *args, **kwargs)

    def recv_into(self, *args: Any, **kwargs: Any) -> int:
        return self._within(super().recv_into, *args, **kwargs)

    def send(self, *args: Any, **kwargs: Any) -> int:
        return self._within(super().send, *args, **kwargs)

    def sendall(self, data: Any, *_: Any) -> None:
        unsent = memoryview(data)
        while unsent:
            unsent = unsent[self.send(unsent) :]

    def await_answer(self) -> None:
        """Let the other rows of a loop on until there is something to read: right after a request there is nothing."""
        here = loop.here()
        if here is not None:
            here.wait_for(self, loop.READ, self._left_s())

    def _within(self, act: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        here = loop.here()
        if here is None:
            if self.deadline is not None:
                self.settimeout(self._left_s())
            return act(*args, **kwargs)
        if self.gettimeout() != 0:  # another thread may have had it, with a time-out
            self.setblocking(False)
        while True:
            # What is there is taken, however late this row could go on.
            try:
                return act(*args, **kwargs)
            except (BlockingIOError, ssl.SSLWantReadError):
                event = loop.READ if act.__name__ != "send" or isinstance(self, ssl.SSLSocket) else loop.WRITE
            except ssl.SSLWantWriteError:
                event = loop.WRITE
            here.wait_for(self, event, self._left_s())
            if event == loop.WRITE:
                self._left_s()  # but the rest of a request does not go out after its time

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
