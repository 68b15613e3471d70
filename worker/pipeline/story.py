"""Tell one row's whole story, all its sends, in plain lines for `explain`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter

from worker.errors import NotFoundError
from worker.gateway.codes import page_of
from worker.ledger.keys import place_in_wave
from worker.ledger.ledger import Ledger
from worker.ledger.registry import Registry
from worker.ledger.row import Record, Row, Story
from worker.ledger.states import AFTER_END, Event, Reason, status_word
from worker.pipeline.hours import Openings
from worker.pipeline.reasons import Words, code_words, delivery_words, outreach_key, words_of
from worker.pipeline.results import say_moment


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One thing that happened to a row; `follow_up` is the number of the one it belongs to, 0 of none."""

    at: datetime
    send: int
    text: str
    follow_up: int = 0


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of a row's accepted message: Twilio's word, why it was not delivered, and Twilio's page about that."""

    word: str
    words: Words = field(default_factory=Words)
    page: str = ""


@dataclass(frozen=True, slots=True)
class RowStory:
    """A row as `explain` shows it: where it stands, why, and how it came there."""

    campaign_id: str
    row: int
    status: str
    words: Words
    key: str
    record: Record
    columns: tuple[str, ...]
    cells: tuple[str, ...]
    lines: tuple[StoryLine, ...]
    delivery: Delivered
    answered_at: str


_TEXTS: dict[Event, str] = {
    Event.OPENING: "Asked Twilio for an Interaction",
    Event.OPENED: "Twilio took the Interaction on",
    Event.SENDING: "Turned to Twilio with the message",
    Event.ACCEPTED: "Twilio accepted the message",
    Event.OPENING_DEFERRED: "Twilio did not process the Interaction; it will be asked for again",
    Event.SENDING_DEFERRED: "Twilio did not process the message; it will be sent again",
    Event.FAILED: "Failed",
    Event.OPENING_UNANSWERED: "The answer about the Interaction was lost: in doubt, to be looked up",
    Event.SENDING_UNANSWERED: "The answer about the message was lost: in doubt, to be looked up",
    Event.FOUND_OPEN: "Found at Twilio by our key: the Interaction had been opened",
    Event.FOUND_SENT: "Found at Twilio by our key: the message had been accepted",
    Event.ABSENT_OPEN: "Looked up: Twilio never opened an Interaction",
    Event.ABSENT_SENT: "Looked up: Twilio never took the message",
    Event.LOOKED: "Looked for it at Twilio: nothing settled yet",
    Event.NEEDS_REVIEW: "Left to a person: what became of the request could not be found out",
    Event.WAITING: "Waits",
    Event.SKIPPED: "Skipped",
    Event.PUT_BACK: "Put back when the campaign paused: the reason was not this row's",
    Event.NEW_SEND: "A new send begins",
    Event.CANCELLED: "Cancelled",
    Event.GIVEN_UP: "Gave its turn back before anything was sent",
    Event.REOPENED: "Begun anew: its conversation could not carry the message",
    Event.USED: "Goes into the conversation that the customer has open already",
    Event.LOOKING_FIRST: "Looked up before anything is asked for: the ledger may be older than what was sent",
    Event.DELIVERED: "Delivered to the customer",
    Event.READ: "The customer has read it",
    Event.UNDELIVERED: "Not delivered",
    Event.DELIVERY_FAILED: "The delivery failed",
    Event.ANSWERED: "The customer answered",
    Event.OPTED_OUT: "The customer asked for no more messages, and is on the do-not-contact list",
    Event.LEASE_OVER: "The worker that had it in hand was lost: in doubt, to be looked up",
}
_UNANSWERED = (Event.OPENING_UNANSWERED, Event.SENDING_UNANSWERED)
# Codes of these say how an operator decided, or nothing that the sentence does not say already.
_VERDICTS = {1: "An operator says: it was sent", 2: "An operator says: it was not sent"}


def explain(ledger: Ledger, registry: Registry, campaign_id: str, number: int) -> RowStory:
    """Collect a row's story. Raises: NotFoundError where there is no such campaign or row."""
    info = registry.get(campaign_id)
    row = get_row(ledger, campaign_id, number, info.rows)
    note = ledger.get_note(campaign_id, number)
    return RowStory(
        campaign_id=campaign_id,
        row=number,
        status=status_word(row.state),
        words=words_of(row.record, note, campaign_id, number, Openings(info).until(row.record, row.cells)),
        key=outreach_key(campaign_id, number, row.record.send),
        record=row.record,
        columns=info.columns,
        cells=row.cells,
        lines=in_order(
            [
                *tell_story(_sends(ledger, campaign_id, number, row.record)),
                *_follow_ups(ledger, campaign_id, number),
            ]
        ),
        delivery=delivered(row.record),
        answered_at=say_moment(row.record.answered_at),
    )


def delivered(record: Record) -> Delivered:
    """Say what became of a message."""
    if not record.delivery.is_lost:
        return Delivered(record.delivery.word)
    code = record.delivery_code
    return Delivered(record.delivery.word, delivery_words(code), page_of(code) if code else "")


def _sends(ledger: Ledger, campaign_id: str, number: int, last: Record) -> list[Record]:
    return [*ledger.get_past(campaign_id, number), last]


def _follow_ups(ledger: Ledger, campaign_id: str, number: int) -> Iterator[StoryLine]:
    """Tell of the row's follow-ups, wave by wave."""
    for wave_id in ledger.waves(campaign_id):
        with suppress(KeyError):  # the row is not in this one
            record = ledger.get_row(wave_id, number).record
            follow_up, _ = place_in_wave(wave_id)
            for line in tell_story(_sends(ledger, wave_id, number, record)):
                yield replace(line, follow_up=follow_up)


def get_row(ledger: Ledger, campaign_id: str, number: int, rows: int) -> Row:
    """Read a row. Raises: NotFoundError, saying which rows there are."""
    try:
        return ledger.get_row(campaign_id, number)
    except KeyError:
        raise NotFoundError(
            f"{campaign_id} has no row {number}.",
            f"Its rows are 1 to {rows}; 1 is the first after the header.",
        ) from None


def tell_story(records: list[Record]) -> Iterator[StoryLine]:
    """Put the events of a row's sends into words, the oldest first."""
    for record in records:
        heard = [event for event in record.story if event.event in AFTER_END]
        # News comes in any order; an answer has the time at which the customer wrote.
        for event in (
            *(event for event in record.story if event.event not in AFTER_END),
            *sorted(heard, key=lambda event: event.at),
        ):
            yield StoryLine(event.at, record.send, _say(event))


def in_order(lines: list[StoryLine]) -> tuple[StoryLine, ...]:
    """Put what was heard of a send behind what happened before it in the sends and follow-ups that came after.

    Twilio's clock may be behind ours: no line comes before an earlier one of its own send.
    """
    since: dict[tuple[int, int], datetime] = {}
    keyed = []
    for line in lines:
        send = (line.follow_up, line.send)
        since[send] = max(line.at, since.get(send, line.at))
        keyed.append((since[send], line))
    return tuple(line for _, line in sorted(keyed, key=itemgetter(0)))


def _say(event: Story) -> str:
    if event.event is Event.VERDICT:
        return f"{_VERDICTS.get(event.code, 'An operator gave a verdict')}."
    text = _TEXTS[event.event]
    # In mid-story, "no answer" is no verdict on all attempts, and the text says it already.
    if not event.code or (event.event in _UNANSWERED and event.code == Reason.NO_ANSWER):
        return f"{text}."
    words = code_words(event.code)
    return f"{text} ({words.code}). {words.sentence}"
