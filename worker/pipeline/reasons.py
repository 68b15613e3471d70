"""Why a row is not accepted: a code, one plain sentence and what to do, for every reason there is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from worker.gateway.codes import lookup
from worker.ledger.keys import parent_of
from worker.ledger.row import Record
from worker.ledger.states import Event, Reason, State

FIRST_TWILIO_CODE = 100
_NOTHING = "Nothing: it goes on by itself."
_RETRY = "`outreach retry` sends it again."


@dataclass(frozen=True, slots=True)
class Words:
    """What is said of a row: a code for scripts, a sentence and an advice for people; empty where all is well."""

    code: str = ""
    sentence: str = ""
    advice: str = ""


@dataclass(frozen=True, slots=True)
class ReasonEntry:
    """A reason of our own in words; `retry`: a new send, later, may well succeed."""

    code: str
    sentence: str
    advice: str
    retry: bool = False


REASONS: dict[Reason, ReasonEntry] = {
    Reason.NONE: ReasonEntry(
        "unknown", "No reason was recorded.", "`outreach explain` shows the row's story."
    ),
    Reason.DUPLICATE: ReasonEntry(
        "duplicate",
        "An earlier row has the same address.",
        "Nothing: the customer is contacted once, by the first of the rows.",
    ),
    Reason.ALREADY_CONTACTED: ReasonEntry(
        "already_contacted",
        "An earlier campaign of this name reached this address, or may have.",
        "Nothing; `--again` contacts everybody once more.",
    ),
    Reason.SUPPRESSED: ReasonEntry(
        "suppressed",
        "The address is on the do-not-contact list.",
        "Nothing, unless it is there by mistake: `outreach suppress remove ADDRESS` takes it off; then send the row in a "
        "file of its own.",
    ),
    Reason.PAIR_BUSY: ReasonEntry(
        "pair_busy",
        "The customer already has an open conversation with this sender.",
        'Let an agent finish it, or set pair_busy to "use" or "wait" and send the row again.',
    ),
    Reason.INVALID: ReasonEntry(
        "invalid", "The row itself is wrong.", "Correct the row and send it in a file of its own."
    ),
    Reason.CHANNEL_TIMEOUT: ReasonEntry(
        "channel_timeout",
        "Twilio took the Interaction on, but its channel was not ready in time.",
        f"{_RETRY} If many rows say so, check the Flex configuration.",
        retry=True,
    ),
    Reason.NO_ANSWER: ReasonEntry(
        "no_answer",
        "Twilio did not answer, and has nothing of this row: every attempt was lost.",
        _RETRY,
        retry=True,
    ),
    Reason.LOOKUPS_FAILED: ReasonEntry(
        "lookups_failed",
        "Twilio's answer was lost, and it could not be found out what became of the request.",
        "Look in Twilio's console, then say what you found with `outreach review`.",
    ),
    Reason.CUSTOMER_MISSING: ReasonEntry(
        "customer_missing",
        "Twilio opened the conversation without the customer, so nothing was sent into it.",
        f"The customer probably has another open conversation with this sender; let it end first. {_RETRY}",
        retry=True,
    ),
    Reason.PAIR_WAIT_OVER: ReasonEntry(
        "pair_wait_over",
        "The customer's open conversation with this sender did not end within pair_wait_max.",
        "Let an agent finish it, then send the row again.",
    ),
    Reason.SENT_SAYS_OPERATOR: ReasonEntry(
        "sent_says_operator",
        "An operator says that the message was sent; there is no message SID to prove it.",
        "Nothing, or name the message: `outreach review ID --row N --sent --message-sid IM…`.",
    ),
    Reason.CHANNEL_FAILED: ReasonEntry(
        "channel_failed",
        "Twilio took the Interaction on, and then failed to set up its channel.",
        f"Check the address and the sender. {_RETRY}",
        retry=True,
    ),
    Reason.NOT_REACHED: ReasonEntry(
        "not_reached", "Twilio could not be reached.", f"Check the network. {_RETRY}", retry=True
    ),
    Reason.THROTTLED: ReasonEntry("throttled", "Twilio asked for a slower pace.", _RETRY, retry=True),
    Reason.UNREADABLE: ReasonEntry("unreadable", "Twilio's answer could not be read.", _RETRY, retry=True),
    Reason.WORKER_LOST: ReasonEntry(
        "worker_lost", "The worker that had this row in hand was lost.", _RETRY, retry=True
    ),
    Reason.CONVERSATION_CLOSED: ReasonEntry(
        "conversation_closed",
        "The conversation was closed before the message could be sent.",
        _RETRY,
        retry=True,
    ),
    Reason.OLDER_LEDGER: ReasonEntry(
        "older_ledger",
        "The ledger was older than what had been sent, and it could not be found out whether this row was sent.",
        "Look in Twilio's console, then say what you found with `outreach review`.",
    ),
    Reason.WINDOW: ReasonEntry("window", "The customer's window is closed.", _NOTHING, retry=True),
    Reason.ANSWERED: ReasonEntry(
        "answered",
        "The customer answered before the follow-up was sent.",
        "Nothing: an agent has the conversation.",
    ),
    Reason.PAIR_IN_HAND: ReasonEntry(
        "pair_in_hand",
        "Another row, of this campaign or another, has the same customer and sender in hand.",
        _NOTHING,
        retry=True,
    ),
}

_PENDING: dict[State, Words] = {
    State.PENDING: Words("", "It has not been its turn yet.", _NOTHING),
    State.QUEUED: Words("", "It is about to be sent.", _NOTHING),
    State.OPENING: Words("opening", "Twilio is being asked for its Interaction.", _NOTHING),
    State.OPEN: Words(
        "open", "Its Interaction is open; it waits for the customer to be in the conversation.", _NOTHING
    ),
    State.SENDING: Words("sending", "Its message is being sent.", _NOTHING),
    State.DOUBT_OPENING: Words(
        "in_doubt", "Twilio's answer about its Interaction was lost, and is being looked up.", _NOTHING
    ),
    State.DOUBT_SENDING: Words(
        "in_doubt", "Twilio's answer about its message was lost, and is being looked up.", _NOTHING
    ),
}

_CANCELLED = Words(
    "cancelled",
    "The campaign was cancelled before it was this row's turn.",
    "To contact the customer after all, send the row in a file of its own.",
)
_ACCEPTED = Words()
_AGAIN = Words("", "It waits for its next turn; nothing of the last one is left at Twilio.", _NOTHING)
_MISFIT = Words(
    "invalid",
    "The row does not fit the definition, which was changed after the row was checked.",
    "Change the definition with `--update`, then `outreach retry {campaign_id} --row {row}`.",
)


def outreach_key(campaign_id: str, row: int, send: int) -> str:
    """Give the key of a send, as its Flex task and its message carry it at Twilio; a wave's sends have their campaign's name."""
    return f"{parent_of(campaign_id)}:{row}:{send}"


def words_of(
    record: Record, note: tuple[str, str, str] | None, campaign_id: str, row: int, until: str = ""
) -> Words:
    """Say why a row is not accepted, or what it waits for; `until`: when the window opens that it waits for."""
    state = record.state
    if state is State.ACCEPTED:
        return _ACCEPTED
    if note is not None and record.code in (Reason.INVALID, Reason.NONE):
        return Words(*note)
    if state is State.NEEDS_REVIEW:
        return _review_words(record, campaign_id, row)
    if state is State.CANCELLED:
        return _CANCELLED
    if state is State.PENDING and record.story:
        last = record.story[-1]
        words = _waiting_words(last.event, last.code)
        if until and last.code == Reason.WINDOW:
            return replace(words, sentence=f"Put off until the customer's window opens, at {until}.")
        return words
    if state in _PENDING:
        return _PENDING[state]
    if state is State.FAILED and record.code == Reason.INVALID:
        return replace(_MISFIT, advice=_MISFIT.advice.format(campaign_id=campaign_id, row=row))
    return code_words(record.code, record.arg)


@lru_cache(maxsize=4096)
def code_words(code: int, arg: int = 0) -> Words:
    """Put a recorded code into words: a reason of our own, an HTTP status or Twilio's code."""
    if code >= FIRST_TWILIO_CODE:
        known = lookup(code)
        return Words(str(code), known.sentence, known.advice)
    entry = reason_entry(code)
    words = Words(entry.code, entry.sentence, entry.advice)
    if code == Reason.DUPLICATE and arg:
        return replace(
            words,
            sentence=f"Row {arg} has the same address.",
            advice=f"Nothing: the customer is contacted once, by row {arg}.",
        )
    return words


_UNEXPLAINED = Words(
    "", "Twilio does not say why.", "`outreach retry ID --row N` sends it again, if you choose."
)


def delivery_words(code: int) -> Words:
    """Say why an accepted message was not delivered; receipts have no reasons of our own."""
    if not code:
        return _UNEXPLAINED
    words = code_words(code)
    # Of an answer it would be made good for by itself; a receipt is the last that is heard of a message.
    return replace(words, advice=_RETRY) if lookup(code).kind in ("transient", "ambiguous") else words


def reason_entry(code: int) -> ReasonEntry:
    """Find a reason of our own; a code that this version does not know is `unknown`."""
    return REASONS[Reason(code)] if code in Reason._value2member_map_ else REASONS[Reason.NONE]


def is_worth_retrying(code: int) -> bool:
    """Tell whether a new send of a row that failed with `code` may well succeed."""
    return lookup(code).retry if code >= FIRST_TWILIO_CODE else reason_entry(code).retry


def where_to_look(record: Record, campaign_id: str, row: int) -> str:
    """Say where in Twilio's console the truth about a send can be found."""
    key = outreach_key(campaign_id, row, record.send)
    if record.conversation_sid:
        whose = f" (of Interaction {record.interaction_sid})" if record.interaction_sid else ""
        return (
            f"In Twilio's console, under Conversations, open {record.conversation_sid}{whose} and look for a message "
            f"whose attributes hold outreach_key {key}"
        )
    return (
        "In Twilio's console, under TaskRouter > Workspaces > Flex Task Assignment > Tasks, look for a task whose "
        f"attributes hold outreach_key {key}; they name its conversation. Under Conversations open that one or, without "
        "a task, those of this row's address: a message whose attributes hold the same key was sent"
    )


def _review_words(record: Record, campaign_id: str, row: int) -> Words:
    words = code_words(record.code)
    what = "message" if record.arg == State.DOUBT_SENDING else "Interaction"
    sentence = words.sentence
    if record.code == Reason.OLDER_LEDGER:
        sentence = "It may have been sent: the ledger was older than what had been sent, and Twilio's look-ups did not settle it."
    elif record.code != Reason.SENT_SAYS_OPERATOR:
        sentence = f"It may have been sent: the answer about its {what} was lost, and Twilio's look-ups did not settle it."
    then = f"then say what you found: `outreach review {campaign_id} --row {row} --sent --message-sid IM…`, or `--not-sent`."
    return Words(words.code, sentence, f"{where_to_look(record, campaign_id, row)}; {then}")


@lru_cache(maxsize=1024)
def _waiting_words(event: Event, code: int) -> Words:
    if event in (Event.NEW_SEND, Event.GIVEN_UP):
        return _PENDING[State.PENDING]
    if not code:
        return _AGAIN
    words = code_words(code)
    return Words(words.code, f"Put off until its next turn. {words.sentence}", _NOTHING)
