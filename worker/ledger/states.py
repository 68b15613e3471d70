"""The states of a row, its events, the reasons of our own, and the table of transitions that is the specification."""

from __future__ import annotations

from enum import IntEnum


class State(IntEnum):
    """Where a row's send stands; the numbers are what Redis keeps."""

    PENDING = 0
    QUEUED = 1
    OPENING = 2
    DOUBT_OPENING = 3
    OPEN = 4
    SENDING = 5
    DOUBT_SENDING = 6
    ACCEPTED = 7
    FAILED = 8
    INVALID = 9
    SKIPPED = 10
    NEEDS_REVIEW = 11
    CANCELLED = 12

    @property
    def is_ended(self) -> bool:
        """Tell whether the send has ended; a retry, a wave or a verdict begins a new one."""
        return self >= State.ACCEPTED

    @property
    def is_doubt(self) -> bool:
        """Tell whether a request went unanswered and is being looked up."""
        return self in (State.DOUBT_OPENING, State.DOUBT_SENDING)


IN_FLIGHT = (State.OPENING, State.OPEN, State.SENDING)
IN_DOUBT = (State.DOUBT_OPENING, State.DOUBT_SENDING)
WAITING = (State.PENDING, State.QUEUED)

OUTREACH_STATUS: dict[State, str] = {
    State.ACCEPTED: "accepted",
    State.FAILED: "failed",
    State.INVALID: "invalid",
    State.SKIPPED: "skipped",
    State.NEEDS_REVIEW: "needs_review",
    State.CANCELLED: "cancelled",
}
"""The word of the results file; every other state is `pending`."""

STATUS_WORDS = ("accepted", "failed", "invalid", "skipped", "needs_review", "cancelled", "pending")


_STATE_WORDS = tuple(OUTREACH_STATUS.get(state, "pending") for state in State)


def status_word(state: State) -> str:
    """Give the results file's word for a state."""
    return _STATE_WORDS[state]


class Delivery(IntEnum):
    """What became of an accepted message, in Twilio's words; of two pieces of news the higher is the later."""

    NONE = 0
    SENT = 1
    DELIVERED = 2
    UNDELIVERED = 3
    FAILED = 4
    READ = 5

    @property
    def word(self) -> str:
        """Give Twilio's word; empty where nothing is known yet."""
        return _DELIVERY_WORDS[self]

    @property
    def is_lost(self) -> bool:
        """Tell whether the message did not reach the customer."""
        return self in (Delivery.UNDELIVERED, Delivery.FAILED)


_DELIVERY_WORDS = tuple("" if each is Delivery.NONE else each.name.lower() for each in Delivery)


class Event(IntEnum):
    """What a row's story is made of; the numbers are what Redis keeps (`_head.lua` has the same)."""

    OPENING = 1
    OPENED = 2
    SENDING = 3
    ACCEPTED = 4
    OPENING_DEFERRED = 5
    SENDING_DEFERRED = 6
    FAILED = 7
    OPENING_UNANSWERED = 8
    SENDING_UNANSWERED = 9
    FOUND_OPEN = 10
    FOUND_SENT = 11
    ABSENT_OPEN = 12
    ABSENT_SENT = 13
    LOOKED = 14
    NEEDS_REVIEW = 15
    WAITING = 16
    SKIPPED = 17
    PUT_BACK = 18
    NEW_SEND = 19
    VERDICT = 20
    CANCELLED = 21
    GIVEN_UP = 22
    REOPENED = 23
    USED = 24
    LEASE_OVER = 25
    LOOKING_FIRST = 26
    DELIVERED = 27
    READ = 28
    UNDELIVERED = 29
    DELIVERY_FAILED = 30
    ANSWERED = 31
    OPTED_OUT = 32


AFTER_END = frozenset(
    (
        Event.DELIVERED,
        Event.READ,
        Event.UNDELIVERED,
        Event.DELIVERY_FAILED,
        Event.ANSWERED,
        Event.OPTED_OUT,
    )
)
"""What is told of a send after it has ended."""


class Reason(IntEnum):
    """Reasons of our own, below 100; from 100 a code is an HTTP status, from 10,000 Twilio's."""

    NONE = 0
    DUPLICATE = 1
    ALREADY_CONTACTED = 2
    SUPPRESSED = 3
    PAIR_BUSY = 4
    INVALID = 5
    CHANNEL_TIMEOUT = 6
    NO_ANSWER = 7
    LOOKUPS_FAILED = 8
    CUSTOMER_MISSING = 9
    PAIR_WAIT_OVER = 10
    SENT_SAYS_OPERATOR = 11
    CHANNEL_FAILED = 12
    NOT_REACHED = 13
    THROTTLED = 14
    UNREADABLE = 15
    WORKER_LOST = 16
    CONVERSATION_CLOSED = 17
    WINDOW = 18
    PAIR_IN_HAND = 19
    OLDER_LEDGER = 20
    ANSWERED = 21


TRANSITIONS: dict[str, tuple[frozenset[State], frozenset[State]]] = {}
"""Ledger method -> (states it takes a row from, states it may put it into)."""


def _line(method: str, sources: tuple[State, ...], targets: tuple[State, ...]) -> None:
    TRANSITIONS[method] = (frozenset(sources), frozenset(targets))


_S = State
_line("dispatch", (_S.PENDING,), (_S.QUEUED,))
_line("claim_opening", (_S.QUEUED,), (_S.OPENING, _S.PENDING, _S.CANCELLED, _S.SKIPPED, _S.DOUBT_OPENING))
_line("defer_queued", (_S.QUEUED,), (_S.PENDING,))
_line("end_queued", (_S.QUEUED,), (_S.SKIPPED, _S.FAILED))
_line("opened", (_S.OPENING,), (_S.OPEN,))
_line("defer_opening", (_S.OPENING,), (_S.PENDING,))
_line("give_up_slot", (_S.OPENING, _S.SENDING), (_S.PENDING, _S.OPEN))
_line("reject_opening", (_S.OPENING,), (_S.FAILED, _S.PENDING))
_line("skip_opening", (_S.OPENING,), (_S.SKIPPED,))
_line("wait_opening", (_S.OPENING,), (_S.PENDING,))
_line("doubt_opening", (_S.OPENING,), (_S.DOUBT_OPENING,))
_line("take", (_S.OPEN, _S.DOUBT_OPENING, _S.DOUBT_SENDING), (_S.OPEN, _S.DOUBT_OPENING, _S.DOUBT_SENDING))
_line("wait_open", (_S.OPEN,), (_S.OPEN,))
_line("use_conversation", (_S.OPENING, _S.OPEN), (_S.OPEN,))
_line("switch_interaction", (_S.OPEN,), (_S.OPEN,))
_line("abandon_open", (_S.OPEN,), (_S.FAILED, _S.SKIPPED, _S.PENDING))
_line("claim_sending", (_S.OPEN,), (_S.SENDING, _S.SKIPPED, _S.DOUBT_SENDING))
_line("accepted", (_S.SENDING,), (_S.ACCEPTED,))
_line("defer_sending", (_S.SENDING,), (_S.OPEN,))
_line("reject_sending", (_S.SENDING,), (_S.FAILED, _S.PENDING))
_line("reopen_sending", (_S.SENDING,), (_S.PENDING,))
_line("doubt_sending", (_S.SENDING,), (_S.DOUBT_SENDING,))
_line("look_again", (_S.DOUBT_OPENING, _S.DOUBT_SENDING), (_S.DOUBT_OPENING, _S.DOUBT_SENDING))
_line("adopt_opening", (_S.DOUBT_OPENING, _S.OPENING), (_S.OPEN,))
_line("absent_opening", (_S.DOUBT_OPENING,), (_S.PENDING, _S.CANCELLED, _S.FAILED))
_line("adopt_sending", (_S.DOUBT_SENDING, _S.OPEN), (_S.ACCEPTED,))
_line("adopt_sent", (_S.OPENING, _S.DOUBT_OPENING, _S.DOUBT_SENDING), (_S.ACCEPTED,))
_line("absent_sending", (_S.DOUBT_SENDING,), (_S.OPEN, _S.FAILED, _S.PENDING))
_line("review", (_S.DOUBT_OPENING, _S.DOUBT_SENDING), (_S.NEEDS_REVIEW,))
_line(
    "expire",
    (_S.OPENING, _S.OPEN, _S.SENDING, _S.DOUBT_OPENING, _S.DOUBT_SENDING),
    (_S.DOUBT_OPENING, _S.OPEN, _S.DOUBT_SENDING),
)
_line("rescue_queued", (_S.QUEUED,), (_S.PENDING,))
_line("cancel_rows", (_S.PENDING, _S.QUEUED), (_S.CANCELLED,))
_line("new_send", (_S.FAILED, _S.ACCEPTED), (_S.PENDING,))
_line("note_delivery", (_S.ACCEPTED,), (_S.ACCEPTED,))
_ANSWERABLE = tuple(state for state in _S if state is not _S.INVALID)
_line("note_answer", _ANSWERABLE, _ANSWERABLE)
_line("verdict", (_S.NEEDS_REVIEW,), (_S.ACCEPTED, _S.NEEDS_REVIEW, _S.PENDING, _S.CANCELLED))
