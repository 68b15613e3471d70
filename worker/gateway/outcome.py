"""What a call to Twilio came to: four answers to a request with an effect, two to a look-up."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Generic, TypeAlias, TypeVar

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# `detail` may quote Twilio, and Twilio quotes phone numbers: it is for the row's own record, so it stays out of every repr.


@dataclass(
    slots=True
)  # not frozen: several are made for each row, and freezing makes that cost four times as much
class Accepted(Generic[T_co]):
    """Twilio did it, or knows it: `value` was read from a complete answer."""

    value: T_co


@dataclass(frozen=True, slots=True)
class Deferred:
    """Twilio never processed it: it may be sent again without a look-up.

    `throttled`: Twilio asked for a slower pace (`code` says how); else it could not be reached at all (`code` 0).
    """

    code: int
    retry_after_s: float | None
    throttled: bool
    detail: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Rejected:
    """Twilio refused it for good: `code` is Twilio's, or the HTTP status where the answer names none.

    `conversation_sid`: the open conversation that the refusal names (50416, 50425).
    """

    code: int
    detail: str = field(default="", repr=False)
    conversation_sid: str | None = None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """It may or may not have been processed: to be looked up, never repeated blind."""

    detail: str = field(default="", repr=False)
    code: int = 0


@dataclass(frozen=True, slots=True)
class Unknown:
    """A look-up that failed or was forbidden: it proves nothing, absence least of all.

    `code` is Twilio's, or the HTTP status, or 0 where no answer came.
    """

    code: int
    detail: str = field(default="", repr=False)
    retry_after_s: float | None = None
    throttled: bool = False


Refusal: TypeAlias = Deferred | Rejected | Unanswered
Outcome: TypeAlias = Accepted[T] | Deferred | Rejected | Unanswered
Answer: TypeAlias = Accepted[T] | Unknown
