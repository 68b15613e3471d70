"""One HTTP request and what is known of it: whether any of it went out, and what came back."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol

from worker import effects
from worker.gateway.deadline import Deadline


class ExchangeError(Exception):
    """A request without a usable answer; `reason` is a few words of ours, never a URL or a body."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotSentError(ExchangeError):
    """Nothing of the request left this machine: Twilio cannot have processed it."""


class SentError(ExchangeError):
    """Some of the request may have left: Twilio may have processed it."""


@dataclass(slots=True)  # not frozen, for the same reason as Accepted
class Received:
    """A complete answer: its headers (names in lower case) and its body as text."""

    status: int
    headers: dict[str, str] = field(repr=False)
    text: str = field(repr=False)


class Gate(Protocol):
    """What a request with an effect passes on its way to the wire."""

    def arrive(self) -> bool:
        """Let the request go, right before its first byte; False holds it back."""

    def left(self) -> None:
        """Hear that all of it has been written, before anything of the answer is read."""


@dataclass(slots=True)
class Exchange:
    """The state of one request, seen by one thread only."""

    deadline: Deadline
    effect: str = ""
    gate: Gate | None = None
    is_sent: bool = False
    received: Received | None = None

    def about_to_send(self) -> None:
        """Note that the first byte goes out now, once the gate has let it.

        Raises: NotSentError if the gate does not, or the time is up: the caller's claim on the row may be gone.
        """
        if self.is_sent:
            return
        if self.gate is not None and not self.gate.arrive():
            raise NotSentError("the request was held back before it was sent")
        if self.deadline.left_s() <= 0:
            raise NotSentError("the time for the request was up before it could be sent")
        self.is_sent = True

    def written(self) -> None:
        """Note that the last byte has gone out, and nothing of the answer was read."""
        if self.gate is not None:
            self.gate.left()
        if self.effect:
            effects.sent(self.effect)


# Of this thread, or of this greenlet: each has a context of its own.
_current: ContextVar[Exchange | None] = ContextVar("exchange", default=None)
_gate: ContextVar[Gate | None] = ContextVar("gate", default=None)


def begin(deadline: Deadline, effect: str = "") -> Exchange:
    """Start an exchange as this thread's own; `effect` names what it does at Twilio, if anything."""
    current = Exchange(deadline, effect, _gate.get())
    _current.set(current)
    return current


class gated:  # noqa: N801  it is used as a function
    """Have each request made by this thread in here pass `gate`.

    For what must happen on the beat: by then the request is written and its connection made, so little can delay it.
    """

    __slots__ = ("_gate",)

    def __init__(self, gate: Gate | None) -> None:
        self._gate = gate

    def __enter__(self) -> None:
        _gate.set(self._gate)

    def __exit__(self, *_: object) -> None:
        _gate.set(None)


def forget() -> None:
    """Drop this thread's last exchange, so that it cannot be taken for the next one's."""
    _current.set(None)


def last() -> Exchange | None:
    """Return this thread's exchange, under way or over; the SDK's exceptions carry no headers."""
    return _current.get()


def arm(sock: Any) -> None:
    """Put the deadline of this thread's exchange on `sock`, and on the socket below it (TLS within TLS)."""
    current = _current.get()
    if current is None or sock is None:
        return
    for each in (sock, getattr(sock, "socket", None)):
        if each is not None:
            each.deadline = current.deadline
